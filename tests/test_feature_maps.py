"""Feature maps where they are known: planted kernels, dead channels, a gradient that is the kernel, squares of heat."""

import keras
import numpy as np
import pytest
from keras import layers

from fer_utils import models
from fer_utils.explain import feature_maps, fields, graph

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(1, 256, (5, 48, 48, 1)).astype(np.uint8)


def network(*middle):
    inputs = x = keras.Input((48, 48, 1))
    for layer in middle:
        x = layer(x)
    return models.classify(inputs, layers.Flatten()(x), "network")


def with_weights(conv, kernel, bias):
    """The network of this conv alone, its kernel (size, size, 1, filters) and biases set."""
    model = network(conv)
    conv.set_weights([np.asarray(kernel, np.float32), np.asarray(bias, np.float32)])
    return model


@pytest.fixture(scope="module")
def three():
    """The image itself; a filter that is never above 0; one that always says 5."""
    conv = layers.Conv2D(3, 1, activation="relu", name="conv2d_1")
    return with_weights(conv, [[[[1, -1, 0]]]], [0, 0, 5])


# builder: (where the activations of some layers are, the last conv of each resolution)
LAYERS = {
    models.cnn_a: ({"conv2d_3": "conv2d_3", "dense_2": "dense_2"}, ["conv2d_1", "conv2d_2", "conv2d_3"]),
    models.cnn_b: ({"conv2d_1": "leaky_1", "dense_1": "dense_1"}, [f"conv2d_{n}" for n in (1, 2, 3, 4)]),
    models.cnn_c: ({"conv2d_7": "leaky_7", "dense_1": "leaky_dense_1"}, [f"conv2d_{n}" for n in (2, 4, 5, 6, 7)]),
    models.cnn_e: ({"conv2d_1_1": "conv2d_1_1"}, ["conv2d_1_2", "conv2d_2_2", "conv2d_3_2"]),
    models.cnn_small: ({"conv2d_3": "conv2d_3", "dense_1": "dense_1"}, ["conv2d_1", "conv2d_2", "conv2d_3"]),
    models.cnn_fast: (
        {"conv2d_1": "relu_1", "conv2d_2_2": "conv2d_2_2", "conv2d_2_3": "relu_2", "mean": "mean"},
        ["conv2d_1", "conv2d_2_3", "conv2d_3_3", "conv2d_4_3"],  # each pooling comes before its ReLU
    ),
}


@pytest.mark.parametrize(("build", "found"), LAYERS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_activations_and_blocks_of_every_cnn(build, found):
    model, (some, blocks) = build(), found
    where = feature_maps.activation_layers(model)
    assert {name: where[name] for name in some} == some
    assert "logits" not in where
    assert feature_maps.blocks(model) == blocks
    vector = feature_maps.vector_layer(model)
    shown = feature_maps.feature_maps(model, IMAGES[:1], [*blocks, vector])
    assert {name: maps.ndim for name, maps in shown.items()} == dict.fromkeys(blocks, 4) | {vector: 2}
    assert len({maps.shape[1] for name, maps in shown.items() if name != vector}) == len(blocks)


def test_a_network_without_convolutions_says_so():
    with pytest.raises(graph.NoAnswer, match="dnn_a has no convolutions"):
        feature_maps.blocks(models.dnn_a())


def test_feature_maps_are_taken_after_the_activation_and_before_what_follows():
    conv = layers.Conv2D(1, 1, name="conv2d_1")
    model = network(conv, layers.LeakyReLU(0.5), layers.BatchNormalization(), layers.MaxPooling2D(2))
    conv.set_weights([np.ones((1, 1, 1, 1)), np.array([-100.0])])
    maps = feature_maps.feature_maps(model, IMAGES, ["conv2d_1"])["conv2d_1"]
    away = IMAGES - 100.0
    np.testing.assert_allclose(maps, np.where(away > 0, away, away / 2), rtol=1e-5)


def test_extremes_leave_out_what_is_silent():
    maps = np.zeros((4, 4, 6))
    maps[0, 0] = [3, 0, 1, 5, -2, 2]
    strongest, weakest = feature_maps.extremes(maps, 2)
    assert strongest.tolist() == [3, 0] and weakest.tolist() == [5, 2]
    assert [len(found) for found in feature_maps.extremes(maps, 9)] == [2, 2]
    assert [len(found) for found in feature_maps.extremes(0 * maps, 2)] == [0, 0]


@pytest.mark.parametrize("batch", [2, 64])
def test_dead_is_what_no_image_brings_above_0_or_what_never_changes(three, batch):
    images = IMAGES.copy()
    images[4, :12] = 0  # a quarter of one image in five
    found = feature_maps.activity(three, images, ["conv2d_1"], batch)["conv2d_1"]
    assert found.dead.tolist() == [False, True, True]
    np.testing.assert_allclose(found.off, [0.05, 1, 0])
    np.testing.assert_allclose(found.highest, [images.max(), 0, 5])


def test_a_channel_is_as_similar_to_its_image_as_it_correlates(three):
    maps = feature_maps.feature_maps(three, IMAGES, ["conv2d_1"])["conv2d_1"]
    maps = np.concatenate([maps, 300 - 2 * maps[..., :1]], axis=-1)
    own, other = feature_maps.similarity(maps, IMAGES), feature_maps.similarity(maps, np.roll(IMAGES, 1, axis=0))
    np.testing.assert_allclose(own, [[1, 0, 0, 1]] * len(IMAGES), atol=1e-5)
    r = np.corrcoef(IMAGES[1].ravel(), IMAGES[0].ravel())[0, 1]
    np.testing.assert_allclose(other[1], [abs(r), 0, 0, abs(r)], atol=1e-5)


def test_coarse_maps_are_enlarged_before_they_are_compared():
    smooth = np.add.outer(np.arange(48.0), np.arange(48.0))[None, ..., None]
    coarse = smooth.reshape(1, 12, 4, 12, 4, 1).mean(axis=(2, 4))
    assert feature_maps.similarity(coarse, smooth)[0, 0] > 0.99


def test_effective_field_of_a_linear_conv_is_its_kernel():
    kernel = RNG.normal(size=(3, 3, 1, 1))
    conv = layers.Conv2D(1, 3, padding="same", name="conv2d_1")
    heat = fields.effective_field(with_weights(conv, kernel, [0]), IMAGES, "conv2d_1", batch=2)
    expected = np.zeros((48, 48))
    expected[23:26, 23:26] = np.abs(kernel[..., 0, 0])  # around the central place, 24
    np.testing.assert_allclose(heat, expected, atol=1e-6)


@pytest.mark.parametrize("build", [models.cnn_small, models.cnn_a, models.cnn_e], ids=lambda build: build.__name__)
def test_effective_field_fills_the_receptive_field_and_no_more(build):
    keras.utils.set_random_seed(0)
    model = build()
    for name in feature_maps.blocks(model)[:2]:
        field, side = fields.receptive_field(model, name), model.get_layer(name).output.shape[1]
        start = field.start + side // 2 * field.stride
        for counts in (fields.effective_field(model, IMAGES, name).sum(axis=axis) > 0 for axis in (0, 1)):
            assert np.flatnonzero(counts)[[0, -1]].tolist() == [max(start, 0), min(start + field.size, 48) - 1]


SQUARES = {
    "one pixel": ((20, 30, 1), (20, 30, 1)),
    "a square": ((3, 7, 10), (3, 7, 10)),
    "everything": ((0, 0, 48), (0, 0, 46)),  # 46² is more than 0.9 · 48², 45² is less
}


@pytest.mark.parametrize(("square", "found"), SQUARES.values(), ids=SQUARES)
def test_core_is_the_smallest_square_that_holds_enough(square, found):
    row, column, side = square
    heat = np.zeros((48, 48), np.float32)
    heat[row : row + side, column : column + side] = 1
    assert fields.core(heat, share=0.9 if side == 48 else 0.999) == found


def test_core_leaves_out_a_faint_edge():
    heat = np.full((48, 48), 0.1 / 48**2)
    heat[10:14, 10:14] += 0.95 / 16
    assert fields.core(heat) == (10, 10, 4)


# builder -> the layer that describes the image by a vector
VECTORS = [
    (models.cnn_a, "dense_1"),
    (models.cnn_c, "dense_1"),
    (models.cnn_small, "dense_1"),
    (models.cnn_fast, "mean"),
    (models.dnn_a, "dense_1"),
    (models.dnn_e, "dense_2"),  # its first dense layer works on every pixel
]


@pytest.mark.parametrize(("build", "expected"), VECTORS, ids=lambda value: getattr(value, "__name__", ""))
def test_every_network_has_a_layer_that_describes_the_image(build, expected):
    model = build()
    name = feature_maps.vector_layer(model)
    assert name == expected
    assert feature_maps.feature_maps(model, IMAGES[:2], [name])[name].shape == (
        2,
        model.get_layer(name).output.shape[1],
    )


def test_a_network_whose_logits_see_the_pixels_has_none():
    with pytest.raises(graph.NoAnswer, match="The logits of network see the pixels"):
        feature_maps.vector_layer(network())


def residual(*convs):
    """A branch of convs beside the identity, then a pooling."""
    inputs = x = y = keras.Input((48, 48, 1))
    for size in convs:
        y = layers.Conv2D(1, size, padding="same", kernel_initializer="ones")(y)
    x = layers.MaxPooling2D(2, name="pool")(layers.Add(name="add")([x, y]))
    return models.classify(inputs, layers.GlobalAveragePooling2D(name="mean")(x), "residual")


# layer -> its field
BRANCHES = [("add", (7, 1, -3)), ("pool", (8, 2, -3)), ("mean", (48, 0, 0)), ("logits", (48, 0, 0))]


@pytest.mark.parametrize(("layer", "expected"), BRANCHES)
def test_the_field_of_a_sum_is_that_of_all_its_branches(layer, expected):
    assert fields.receptive_field(residual(3, 5), layer) == expected


def test_padding_and_cropping_move_the_field():
    model = network(
        layers.ZeroPadding2D(2, name="pad"), layers.Conv2D(1, 3, name="conv"), layers.Cropping2D(1, name="cut")
    )
    assert [fields.receptive_field(model, name).start for name in ("pad", "conv", "cut")] == [-2, -2, -1]


@pytest.mark.parametrize(
    "layer", [layers.UpSampling2D(2, name="new"), layers.Conv2DTranspose(1, 5, padding="same", name="new")]
)
def test_a_layer_whose_window_is_unknown_says_so(layer):
    with pytest.raises(graph.NoAnswer, match=f"behind layer new .{type(layer).__name__}. is not known"):
        fields.receptive_field(network(layer), "new")


def test_branches_of_different_strides_have_no_one_field():
    inputs = keras.Input((48, 48, 1))
    both = layers.Add(name="add")([layers.MaxPooling2D(2)(inputs), layers.Conv2D(1, 25)(inputs)])
    model = models.classify(inputs, layers.Flatten()(both), "odd")
    with pytest.raises(graph.NoAnswer, match="meet in layer add have different strides"):
        fields.receptive_field(model, "add")


def test_the_effective_field_of_a_network_with_branches_lies_within_its_field():
    keras.utils.set_random_seed(0)
    model = models.cnn_fast(widths=(4, 8, 8))
    for name in feature_maps.blocks(model)[:2]:
        start, size = fields.central_field(model, feature_maps.activation_layers(model)[name])
        heat = fields.effective_field(model, IMAGES, name)
        inside = np.zeros((48, 48), bool)
        inside[max(start, 0) : start + size, max(start, 0) : start + size] = True
        assert heat[inside].sum() > 0 and heat[~inside].sum() == 0, name
