"""Explanations of the models that students bring: sequential, nested, without a hidden dense layer, without convs …"""

import keras
import numpy as np
import pytest
from keras import layers

from fer_utils import adapt
from fer_utils.explain import checks, feature_maps, fields, graph, maximize, saliency

RNG = np.random.default_rng(0)
IMAGES, CLASSES = RNG.integers(0, 256, (2, 48, 48, 1)).astype(np.uint8), np.array([2, 5])
QUICK = {"SmoothGrad": {"n": 3}, "integrated gradients": {"steps": 3}, "occlusion": {"size": 24, "stride": 12}}


# -- the models --------------------------------------------------------------------------------------------------------


def head():
    return [layers.Dense(7, name="logits"), layers.Softmax(name="probs")]


def chain(*parts):
    """A functional model of layers, one behind the other."""
    inputs = x = keras.Input((48, 48, 1))
    for part in (*parts, *head()):
        x = part(x)
    return keras.Model(inputs, x, name="mine")


def plain():
    return chain(
        layers.Rescaling(1 / 255, name="scale"),
        layers.Conv2D(3, 5, strides=2, padding="same", activation="relu", name="conv_1"),
        layers.BatchNormalization(name="norm"),
        layers.Conv2D(4, 3, activation="relu", name="conv_2"),
        layers.MaxPooling2D(name="pool"),
        layers.Flatten(name="flatten"),
        layers.Dense(9, activation="relu", name="dense"),
        layers.Dropout(0.5, name="drop"),
    )


def sequential():
    """The layers of `plain`, in a Sequential that learns its input only when it is called."""
    model = keras.Sequential([type(layer).from_config(layer.get_config()) for layer in plain().layers[1:]], name="mine")
    model.build((None, 48, 48, 1))
    return model


def nested():
    """The layers of `plain` in models within models; the innermost takes images of any size."""
    scale, *convs, pool, flatten, dense, drop = plain().layers[1:-2]
    any_size = keras.Input((None, None, 1))
    body = x = any_size
    for layer in convs:
        x = layer(x)
    body = keras.Model(any_size, pool(x), name="body")
    flips = keras.Sequential([layers.RandomFlip("horizontal", name="flip"), scale], name="augment")
    return chain(flips, keras.Sequential([body, flatten], name="features"), dense, drop)


def wrapped():
    """A student's whole model inside another one, with a name twice."""
    mine = keras.Sequential(
        [
            keras.Input((48, 48, 1)),
            layers.Rescaling(1 / 255, name="scale"),
            layers.Conv2D(9, 3, activation="relu", name="conv"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(7, activation="softmax", name="logits"),
        ]
    )
    inputs = keras.Input((48, 48, 1))
    logits = layers.Lambda(lambda p: keras.ops.log(p + 1e-7), name="logits")(mine(inputs))
    return keras.Model(inputs, layers.Softmax(name="probs")(logits), name="mine")


def conv_logits():
    return chain(
        layers.Conv2D(3, 3, strides=4, activation="relu", name="conv"),
        layers.Flatten(name="flat"),
        layers.Dropout(0.1),
    )


def no_conv():
    return chain(layers.Flatten(), layers.Dense(6), layers.LeakyReLU(), layers.BatchNormalization())


def linear():
    return chain(layers.Rescaling(1 / 255), layers.Flatten())


def separable():
    return chain(
        layers.SeparableConv2D(4, 3, depth_multiplier=2, activation="relu", name="separable"),
        layers.DepthwiseConv2D(3, strides=2, padding="same", name="depthwise"),
        layers.Activation("relu", name="relu"),
        layers.GlobalMaxPooling2D(name="pool"),
    )


def separate():
    """Every activation a layer of its own, behind a batch norm."""
    kinds = {"relu": layers.ReLU, "leaky": layers.LeakyReLU, "prelu": layers.PReLU, "elu": layers.ELU}
    parts = []
    for kind, build in kinds.items():
        parts += [layers.Conv2D(3, 3, strides=2, name=f"conv_{kind}"), layers.BatchNormalization(), build(name=kind)]
    return chain(*parts, layers.Flatten(), layers.Dense(4, name="dense"), layers.ReLU(name="dense_relu"))


class Odd(layers.Layer):
    """A layer that cannot be built from its settings."""

    def __init__(self, factor):
        super().__init__(name="odd")
        self.factor = factor

    def call(self, x):
        return self.factor * x


def residual():
    """Plain operations on tensors, squeeze and excitation, one layer called twice, layers that have no settings."""
    inputs = keras.Input((48, 48, 1))
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    x = layers.Conv2D(3, 5, strides=4, name="stem")(Odd(2.0)(inputs / 255.0))
    x = layers.ReLU(name="relu_1")(shared(x) + x)
    x = layers.ReLU(name="relu_2")(keras.ops.relu(shared(x)) + x)
    gate = layers.Dense(3, activation="sigmoid", name="gate")(
        layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    )
    x = layers.Multiply(name="gated")([x, gate])
    for layer in (layers.GlobalAveragePooling2D(name="mean"), *head()):
        x = layer(x)
    return keras.Model(inputs, x, name="mine")


BUILDERS = [plain, sequential, nested, wrapped, conv_logits, no_conv, linear, separable, separate, residual]
CONVS = [build for build in BUILDERS if build not in (no_conv, linear)]


def name_of(build):
    return build.__name__


@pytest.fixture(scope="module")
def built():
    """Each of them, once: builder -> model."""
    keras.utils.set_random_seed(1)
    with adapt.fresh_names():  # whatever other tests have built, the operation relu is no second `relu_1`
        return {build: build() for build in BUILDERS}


@pytest.fixture
def model(built, request):
    return built[request.param]


every_model = pytest.mark.parametrize("model", BUILDERS, ids=name_of, indirect=True)
every_cnn = pytest.mark.parametrize("model", CONVS, ids=name_of, indirect=True)


def logits(model, images):
    """Its logits by Keras alone."""
    inner = keras.Model(model.inputs[0], model.get_layer("logits").output)
    return np.asarray(inner(images.astype(np.float32), training=False))


# -- saliency ----------------------------------------------------------------------------------------------------------


@every_model
def test_every_method_has_a_map_or_says_why_not(model):
    missing = saliency.missing(model, saliency.METHODS)
    for name, method in saliency.METHODS.items():
        if name in missing:
            with pytest.raises(graph.NoAnswer) as why:
                method(model, IMAGES, CLASSES)
            assert "mine" in why.value.text and why.value.text.template
        else:
            maps = method(model, IMAGES, CLASSES, **QUICK.get(name, {}))
            assert maps.shape == (2, 48, 48) and maps.dtype == np.float32 and np.isfinite(maps).all(), name
            assert (np.ptp(maps, axis=(1, 2)) > 0).any(), name


def test_only_a_network_without_convolutions_or_relus_misses_a_method(built):
    missing = {build: list(saliency.missing(model, saliency.METHODS)) for build, model in built.items()}
    expected = {no_conv: ["Grad-CAM++"], linear: ["Grad-CAM++", "guided backprop"]}
    assert missing == {build: expected.get(build, []) for build in BUILDERS}


@every_model
def test_the_gradient_is_the_slope_of_the_logits(model):
    maps = saliency.gradient(model, IMAGES, CLASSES)
    np.testing.assert_allclose(saliency.logits_of(model)(IMAGES / np.float32(1)), logits(model, IMAGES), atol=1e-4)
    for map_, image, c in zip(maps, IMAGES, CLASSES, strict=True):
        step = 0.05 * map_[..., None] / np.abs(map_).max()
        above, below = (logits(model, image[None] + way * step)[0, c] for way in (1, -1))
        np.testing.assert_allclose(above - below, 2 * (map_ * step[..., 0]).sum(), rtol=0.05)


@pytest.mark.parametrize("build", [sequential, nested], ids=name_of)
def test_a_nested_network_is_explained_as_its_flat_counterpart(build, built):
    flat, other = built[plain], build()
    for name, step in graph.steps(flat).items():
        if step.before and step.layer.weights:
            graph.steps(other)[name].layer.set_weights(step.layer.get_weights())
    np.testing.assert_allclose(logits(other, IMAGES), logits(flat, IMAGES), rtol=1e-4, atol=1e-5)
    for name, method in saliency.METHODS.items():
        one, two = (method(model, IMAGES, CLASSES, **QUICK.get(name, {})) for model in (flat, other))
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-4 * np.abs(one).max(), err_msg=name)
    assert feature_maps.activation_layers(flat) == feature_maps.activation_layers(other)
    names = ["conv_1", "conv_2", "dense"]
    one, two = (feature_maps.feature_maps(model, IMAGES, names) for model in (flat, other))
    for name in names:
        np.testing.assert_allclose(one[name], two[name], rtol=1e-3, atol=1e-5)
        assert fields.receptive_field(flat, name) == fields.receptive_field(other, name)
        first, second = (maximize.maximize(model, name, [0, 2], steps=2).images for model in (flat, other))
        np.testing.assert_allclose(first, second, atol=0.5)
    one, two = (fields.effective_field(model, IMAGES, "conv_2") for model in (flat, other))
    np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-7)


def test_a_relu_of_its_own_is_explained_as_a_fused_one():
    def net(*convs):
        keras.utils.set_random_seed(2)
        return chain(*convs, layers.Flatten())

    def conv(n, fused):
        return layers.Conv2D(3, 3, strides=2, activation="relu" if fused else None, name=f"conv_{n}")

    fused = net(conv(1, True), conv(2, True))
    apart = net(conv(1, False), layers.ReLU(), conv(2, False), layers.Activation("relu"))
    apart.set_weights(fused.get_weights())
    for name, method in saliency.METHODS.items():
        one, two = (method(model, IMAGES, CLASSES, **QUICK.get(name, {})) for model in (fused, apart))
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5 * np.abs(one).max(), err_msg=name)


@pytest.mark.parametrize("model", [nested, wrapped, residual], ids=name_of, indirect=True)
def test_the_model_is_as_it_was_after_all_its_weights_were_shuffled(model):
    before, shown = model.get_weights(), logits(model, IMAGES)
    names = ["gradient", "guided backprop", "Grad-CAM++"]
    table = checks.randomisation(model, IMAGES, CLASSES, saliency.methods(model, names), stages=9)
    assert list(table) == names and table.notna().all(axis=None) and len(table) >= 2
    for kept, values in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, values)
    np.testing.assert_array_equal(shown, logits(model, IMAGES))


# -- layers ------------------------------------------------------------------------------------------------------------


def test_names_are_the_layers_own_and_those_of_the_outer_model_come_first(built):
    names = list(graph.steps(built[nested]))
    assert " ".join(names[1:]) == "flip scale conv_1 norm conv_2 pool flatten dense drop logits probs"
    assert list(graph.steps(built[wrapped]))[1:] == ["scale", "conv", "pool", "logits_2", "logits", "probs"]
    assert graph.classifier(built[wrapped]) == "logits_2"
    steps = graph.steps(built[residual])
    assert steps["shared"].layer is steps["shared_2"].layer is built[residual].get_layer("shared")


def test_a_model_that_was_opened_can_be_saved_and_trained(tmp_path):
    model = nested()
    first = saliency.gradient(model, IMAGES, CLASSES)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(saliency.gradient(again, IMAGES, CLASSES), first, rtol=1e-3, atol=1e-7)
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    model.fit(IMAGES, CLASSES, verbose=0)
    trained = saliency.gradient(model, IMAGES, CLASSES)  # of the weights as they are now
    assert np.abs(trained - first).max() > 1e-6


# builder: (which layer's activations are in which, the layers with the last convs of a scale, the vector)
FOUND = {
    plain: ("conv_1-conv_1 conv_2-conv_2 dense-dense", "conv_2", "dense"),
    nested: ("conv_1-conv_1 conv_2-conv_2 dense-dense", "conv_2", "dense"),
    wrapped: ("conv-conv pool-pool", "conv", "pool"),
    conv_logits: ("conv-conv flat-flat", "conv", "flat"),
    separable: ("separable-separable depthwise-relu pool-pool", "separable depthwise", "pool"),
    separate: (
        "conv_relu-relu conv_leaky-leaky conv_prelu-prelu conv_elu-elu dense-dense_relu",
        "conv_relu conv_leaky conv_prelu conv_elu",
        "dense",
    ),
    residual: ("stem-relu_1 shared-relu_1 shared_2-relu squeeze-squeeze gate-gate mean-mean", "shared_2", "mean"),
}


@pytest.mark.parametrize("build", FOUND, ids=name_of)
def test_layers_are_found(build, built):
    where, blocks, vector = FOUND[build]
    assert feature_maps.activation_layers(built[build]) == dict(pair.split("-") for pair in where.split())
    assert feature_maps.blocks(built[build]) == blocks.split()
    assert feature_maps.vector_layer(built[build]) == vector


@every_cnn
def test_feature_maps_and_fields_of_every_layer(model):
    where, blocks = feature_maps.activation_layers(model), feature_maps.blocks(model)
    vector = feature_maps.vector_layer(model)
    shown = feature_maps.feature_maps(model, IMAGES, list(where))
    assert {len(shown[name].shape) for name in blocks} == {4} and shown[vector].ndim == 2
    assert all(np.isfinite(maps).all() for maps in shown.values())
    assert set(feature_maps.activity(model, IMAGES, list(where))) == set(where)
    for name in blocks:
        start, size = fields.central_field(model, where[name])
        heat = fields.effective_field(model, IMAGES, name)
        inside = np.zeros((48, 48), bool)
        inside[max(start, 0) : start + size, max(start, 0) : start + size] = True
        assert heat.sum() > 0 and heat[~inside].sum() == 0, name
    assert fields.receptive_field(model, vector) == fields.WHOLE


@pytest.mark.parametrize("model", [no_conv, linear], ids=name_of, indirect=True)
def test_what_a_network_without_convolutions_has_not(model):
    for call in (feature_maps.blocks, saliency.find_layer, graph.convolutions):
        with pytest.raises(graph.NoAnswer, match="mine has no convolutions"):
            call(model)


def test_the_layers_of_a_subclassed_model_are_out_of_reach():
    class Own(keras.Model):
        def __init__(self):
            super().__init__(name="own")
            self.conv = layers.Conv2D(2, 3, strides=4, activation="relu")

        def call(self, x):
            return keras.ops.mean(self.conv(x), axis=(1, 2))

    model = chain(Own())
    assert list(saliency.methods(model, ["gradient", "Grad-CAM++"])) == ["gradient"]
    assert saliency.gradient(model, IMAGES, CLASSES).any()
    with pytest.raises(graph.NoAnswer, match="inside own, a subclassed model"):
        graph.convolutions(model)


# -- maximization ------------------------------------------------------------------------------------------------------


@every_model
def test_every_layer_with_units_can_be_maximized(model):
    units = maximize.layer_units(model)
    assert list(units)[-1] == "logits" and units["logits"] == 7
    for name, count in units.items():
        found = maximize.maximize(model, name, [0, count - 1], steps=2)
        assert found.images.shape == (2, 48, 48) and np.isfinite(found.images).all()
        assert np.isfinite(found.activations).all()
        patches = maximize.top_patches(model, name, IMAGES, [count - 1], top=1)[0]
        assert np.isfinite(patches.activations).all() and patches.patches.shape[0] == 1
    np.testing.assert_allclose(
        maximize.activations(model, "logits", IMAGES)[:, 0, 0], logits(model, IMAGES), rtol=1e-3, atol=1e-4
    )


def test_the_first_filters_are_images(built):
    sizes = {build: maximize.filters(model)[1].shape for build, model in built.items()}
    assert sizes[plain] == sizes[nested] == (5, 5, 3) and sizes[separable] == (3, 3, 4)
    assert sizes[no_conv] == (48, 48, 6) and sizes[linear] == (48, 48, 7)
    name, kernel = maximize.filters(built[separable])
    impulse = np.zeros((1, 48, 48, 1))
    impulse[0, 20, 20] = 1  # the answer to one pixel is the filter, mirrored
    seen = maximize.activations(built[separable], name, impulse)[0, 18:21, 18:21]
    np.testing.assert_allclose(seen, np.maximum(kernel[::-1, ::-1], 0), atol=1e-5)
