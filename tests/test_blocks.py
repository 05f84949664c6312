"""Networks as blocks: what belongs together, branches, and that nothing is lost or counted twice."""

import keras
import pytest
from keras import layers

from fer_utils import adapt, models
from fer_utils.explain import blocks
from fer_utils.explain.blocks import Part, grouped, segments


def chain(*kinds):
    """A plain row of parts: "conv", "dense", "input", or the name of a class, each 10 parameters and 2 operations."""
    names = [f"{kind}_{i}" for i, kind in enumerate(kinds)]
    before = [(), *((name,) for name in names)]
    return [
        Part(name, told, kind, [kind], (i + 1,), 10, 2)
        for i, (name, told, kind) in enumerate(zip(names, before, kinds, strict=False))
    ]


# a row of parts -> what the blocks say
ROWS = [
    (["input", "Rescaling", "conv", "ReLU", "conv"], [["input", "Rescaling"], ["conv", "ReLU"], ["conv"]]),
    (["input", "conv", "Flatten", "Dropout", "dense"], [["input"], ["conv"], ["Flatten", "Dropout", "dense"]]),
    (["input", "weights", "Flatten"], [["input"], ["weights", "Flatten"]]),
    (
        ["conv", "GlobalAveragePooling2D", "dense", "Softmax"],
        [["conv", "GlobalAveragePooling2D"], ["dense", "Softmax"]],
    ),
]


@pytest.mark.parametrize(("kinds", "expected"), ROWS)
def test_a_layer_with_weights_begins_a_block(kinds, expected):
    found = grouped(chain(*kinds))
    assert [block["says"] for block in found] == expected
    assert sum(block["parameters"] for block in found) == 10 * len(kinds)
    assert sum(block["work"] for block in found) == 2 * len(kinds)
    assert found[-1]["output"] == (len(kinds),)


def test_a_network_is_cut_where_everything_passes_through():
    a, b, c, d = chain("input", "conv", "conv", "Add")
    parts = [a, b, c, d._replace(before=(c.name, a.name))]
    assert segments(parts) == [(None, [a], None), (a, [b, c], parts[3])]
    assert [block["kind"] for block in grouped(parts)] == ["input", "branches"]


def net(body):
    """A model from a function of the images' features to those in front of the classes."""
    inputs = keras.Input((48, 48, 1))
    x = body(layers.Conv2D(4, 3, strides=4, padding="same", name="first")(inputs))
    return keras.Model(inputs, layers.Dense(7, activation="softmax")(layers.Flatten()(x)))


def conv(x, n=4, size=3, **settings):
    return layers.Conv2D(n, size, padding="same", **settings)(x)


def squeezed(x):
    return layers.Multiply()([x, conv(layers.GlobalAveragePooling2D(keepdims=True)(x), 4, 1, activation="sigmoid")])


def tangled(x):
    a, b = conv(x), conv(x)
    c = a + b
    return layers.Concatenate()([c, conv(c), b])


# what lies between the first conv and the classes -> what its block says, and its kind
BODIES = {
    "plain": (lambda x: conv(x, activation="gelu"), "3×3 conv, 4 · GELU", "conv"),
    "residual": (
        lambda x: layers.Add()([x, conv(conv(x, activation="relu"))]),
        "3×3 conv, 4 · ReLU · 3×3 conv, 4 · + input",
        "branches",
    ),
    "operator": (lambda x: layers.ReLU()(x + conv(x)), "3×3 conv, 4 · + input · ReLU", "branches"),
    "projection": (
        lambda x: layers.Add()([conv(x, 8, 1), layers.BatchNormalization()(conv(conv(x, 8), 8))]),
        "3×3 conv, 8 · 3×3 conv, 8 · batch norm · + 1×1 conv, 8",
        "branches",
    ),
    "squeeze": (squeezed, "global average · 1×1 conv, 4 · sigmoid · × input", "branches"),
    "inception": (
        lambda x: layers.Concatenate()([conv(x, 2, 1), conv(x, 2), conv(x, 2, 5)]),
        "3 branches · 3 layers · concatenated",
        "branches",
    ),
    "tangled": (tangled, "4 layers with branches · concatenated", "branches"),
    "depthwise": (
        lambda x: layers.DepthwiseConv2D(3, strides=2, padding="same", activation=layers.LeakyReLU(0.2))(x),
        "3×3 depthwise conv · stride 2 · LeakyReLU 0.2",
        "conv",
    ),
    "dilated": (lambda x: conv(x, dilation_rate=2, groups=2), "3×3 conv, 4 · dilation 2 · 2 groups", "conv"),
}


@pytest.mark.parametrize(("body", "says", "kind"), BODIES.values(), ids=BODIES)
def test_what_a_block_says(body, says, kind):
    model = net(body)
    *_, block, _ = found = blocks.blocks(model)
    assert (blocks.dotted(block["says"]), block["kind"]) == (says, kind)
    assert sum(block["parameters"] for block in found) == model.count_params()


def test_poolings_without_weights_belong_to_the_block_before_them():
    def both(x):
        poolings = layers.GlobalAveragePooling2D(keepdims=True), layers.GlobalMaxPooling2D(keepdims=True)
        return layers.Concatenate()([pool(x) for pool in poolings])

    _, first, _ = blocks.blocks(net(both))
    assert blocks.dotted(first["says"]) == "3×3 conv, 4 · stride 4 · 2 branches · 2 layers · concatenated"


@pytest.mark.parametrize("name", models.BUILDERS)
def test_every_network_of_the_kit(name):
    model = models.build(name)
    found = blocks.blocks(model)
    assert sum(block["parameters"] for block in found) == model.count_params()
    assert sum(block["work"] for block in found) == models.flops(model)
    assert found[-1]["says"] == ["dense, 7", "softmax"] and all(block["says"] for block in found)


def test_blocks_of_the_network_of_system_a():
    table = blocks.table(blocks.blocks(models.build("cnn_a")))
    assert table["block"] == ["images", "conv2d_1", "conv2d_2", "conv2d_3", "dense_1", "dense_2", "logits"]
    assert table["layers"][3] == "3×3 conv, 100 · ReLU · batch norm · max-pool 2 · dropout 0.25"
    assert (table["output"][3], table["parameters"][4]) == ("6×6×100", 396_110)
    assert sum(table["share of parameters"]) == sum(table["share of operations"]) == pytest.approx(1)


def test_a_block_that_does_much_has_several_rows():
    table = blocks.table(blocks.blocks(models.build("cnn_fast")))
    at = table["block"].index("add_4")
    assert set(table["block"][at + 1 : -1]) == {""} and table["parameters"][at + 1] == ""
    assert max(map(len, table["layers"])) <= 66
    assert table["layers"][-2].endswith("global average · dropout 0.4")


@pytest.mark.parametrize(
    ("name", "holds", "sentences"), [("cnn_a", "dense_1", 2), ("cnn_c", "conv2d_7", 2), ("dnn_a", "dense_1", 1)]
)
def test_the_block_with_the_most_parameters_is_named(name, holds, sentences):
    said = blocks.distribution(blocks.blocks(models.build(name)))
    assert f" {holds} " in said[0] and len(said) == sentences


def test_a_nested_model_and_a_layer_that_is_called_twice_are_counted_once():
    twice = layers.Conv2D(4, 3, padding="same")
    inner = keras.Sequential([keras.Input((12, 12, 4)), layers.Conv2D(4, 1), layers.ReLU()])
    model = net(lambda x: twice(inner(twice(x))))
    found = blocks.blocks(model)
    assert [block["kind"] for block in found] == ["input", "conv", "conv", "conv", "conv", "dense"]
    assert sum(block["parameters"] for block in found) == model.count_params()
    assert found[2]["parameters"] and not found[4]["parameters"] and found[2]["work"] == found[4]["work"]


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (layers.Rescaling(1 / 255), ["÷ 255"]),
        (layers.Rescaling(1 / 64, offset=-2), ["− 128", "÷ 64"]),
        (layers.Rescaling(2, offset=1), ["+ 0.5", "÷ 0.5"]),
        (layers.Dropout(0), []),
        (layers.Activation("linear"), []),
        (layers.Activation("softmax"), ["softmax"]),
        (layers.MaxPooling2D(3, strides=2), ["max-pool 3, stride 2"]),
        (layers.AveragePooling2D((2, 1)), ["average-pool 2×1"]),
        (layers.ZeroPadding2D(1), ["ZeroPadding2D"]),
    ],
)
def test_what_a_layer_says(layer, says):
    assert blocks.said(layer) == says


def test_the_form_that_the_kit_gives_to_a_network_of_ones_own():
    model = adapt.standard(net(lambda x: x))
    assert blocks.blocks(model)[-1]["says"] == ["flatten", "dense, 7", "softmax"]
