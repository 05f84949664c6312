import keras
import numpy as np
import pytest
import tensorflow as tf

from fer_utils import layers, machine, models, training

# builder, all parameters, trainable parameters, million floating-point operations of a forward pass
COUNTS = [
    ("cnn_a", 629_077, 627_657, 142.600),
    ("dnn_a", 623_422, 623_422, 1.245),
    ("cnn_b", 8_019_463, 8_014_471, 442.011),
    ("dnn_b", 13_643_783, 13_643_783, 27.277),
    ("cnn_c", 4_103_495, 4_100_455, 340.732),
    ("cnn_d", 13_562_119, 13_562_119, 954.687),
    ("dnn_d", 1_387_207, 1_387_207, 2.773),
    ("cnn_e", 1_919_975, 1_919_079, 123.837),
    ("dnn_e", 2_076_697, 2_076_697, 4.291),
    ("cnn_small", 171_527, 171_399, 11.576),
    ("cnn_fast", 1_515_978, 1_515_978, 195.087),
    ("cnn_large", 7_849_127, 7_843_303, 426.008),
    ("dnn", 623_422, 623_422, 1.245),
    ("dnn_matched", 629_013, 629_013, 1.257),
]


def test_the_table_is_complete():
    assert [row[0] for row in COUNTS] == list(models.BUILDERS)


@pytest.mark.parametrize(("name", "total", "trainable", "megaflops"), COUNTS)
def test_counts(name, total, trainable, megaflops):
    model = models.build(name)
    assert model.input_shape == (None, 48, 48, 1)
    assert model.output_shape == (None, 7)
    assert (model.count_params(), models.trainable_parameters(model)) == (total, trainable)
    assert models.flops(model) / 1e6 == pytest.approx(megaflops, abs=1e-3)
    assert sum(layer["parameters"] for layer in models.describe(model)) == total


@pytest.mark.parametrize("name", models.BUILDERS)
def test_logits_and_probs_are_separate_named_layers_of_a_flat_model(name):
    model = models.build(name)
    assert [layer.name for layer in model.layers[-2:]] == ["logits", "probs"]
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert len({layer.name for layer in model.layers}) == len(model.layers)
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 1)).astype("float32")
    logits = keras.Model(model.input, model.get_layer("logits").output)(images)
    probs = model(images, training=False)
    np.testing.assert_allclose(keras.ops.softmax(logits), probs, atol=1e-6)


@pytest.mark.parametrize("parameters", [5_000, 20_000, 102_709, 629_077, 1_919_975, 13_562_119])
def test_a_dnn_matches_any_count_within_a_thousandth(parameters):
    first, second = models.matched_widths(parameters)
    exact = 2304 * first + first + first * second + second + 7 * second + 7
    assert abs(exact - parameters) <= 1e-3 * parameters


def test_a_dnn_cannot_match_a_count_below_its_first_layer():
    with pytest.raises(ValueError, match="1,000 parameters"):
        models.matched_widths(1_000)


# what the network's layers get for grey levels 0, 51 and 255
NORMALISED = [
    ("none", [0, 51, 255]),
    ("scale", [0, 0.2, 1]),
    ("zscore", [-2, -1.49, 0.55]),
]


@pytest.mark.parametrize(("word", "expected"), NORMALISED)
def test_normalisation(word, expected):
    inputs = keras.Input((48, 48, 1))
    model = keras.Model(inputs, models.normalise(inputs, word, mean=200.0, sd=100.0))
    images = np.zeros((1, 48, 48, 1), "float32")
    images[0, 0, :3, 0] = [0, 51, 255]
    np.testing.assert_allclose(model(images)[0, 0, :3, 0], expected, atol=1e-6)


def test_normalisation_by_image():
    inputs = keras.Input((48, 48, 1))
    model = keras.Model(inputs, models.normalise(inputs, "image"))
    images = np.random.default_rng(0).normal([[[[60]]], [[[200]]]], 30, (2, 48, 48, 1)).astype("float32")
    seen = np.asarray(model(images))
    np.testing.assert_allclose(seen.mean(axis=(1, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(seen.std(axis=(1, 2, 3)), 1, atol=0.05)
    assert np.isfinite(model(np.zeros((1, 48, 48, 1), "float32"))).all()


def test_unknown_words_name_the_known_ones():
    with pytest.raises(ValueError, match="cnn_a, dnn_a"):
        models.build("resnet")
    with pytest.raises(ValueError, match="zscore"):
        models.cnn_small(normalisation="minmax")


# -- without batch norm ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "side"), [(3, 6), (3, 3), (4, 5), (1, 2), (3, 12)])
def test_the_gradients_of_small_maps_are_those_of_the_convolution(size, side):
    random = np.random.default_rng(0)
    x = tf.constant(random.normal(size=(4, side, side, 3)), tf.bfloat16)
    kernel = tf.constant(random.normal(size=(size, size, 3, 5)), tf.bfloat16)
    upstream = random.normal(size=(4, side, side, 5)).astype("float32")

    def gradients(convolve):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            loss = tf.reduce_sum(tf.cast(convolve(x, kernel), tf.float32) * upstream)
        return tape.gradient(loss, [x, kernel])

    usual = gradients(lambda x, kernel: tf.nn.conv2d(x, kernel, 1, "SAME"))
    for ours, expected in zip(gradients(layers.convolve), usual, strict=True):
        scale = np.abs(expected).astype("float32").max()
        np.testing.assert_allclose(
            ours.numpy().astype("float32"), expected.numpy().astype("float32"), atol=0.02 * scale
        )


def test_kernels_are_standardised_so_that_signals_keep_their_size():
    images = np.random.default_rng(0).normal(size=(32, 12, 12, 16)).astype("float32")
    layer = layers.StandardisedConv2D(64, 3, padding="same", activation="relu")
    before = keras.ops.convert_to_numpy(layer(images))
    layer.kernel.assign(5 * layer.kernel + 3)  # neither scale nor mean of the kernel matters
    np.testing.assert_allclose(layer(images), before, atol=1e-2)
    assert before[:, 1:-1, 1:-1].std() == pytest.approx(1, abs=0.15)


def test_the_net_without_norm_takes_images_of_any_size_and_is_stored_whole(tmp_path):
    model = models.build("cnn_fast", widths=(4, 8), side=None)
    small, large = np.zeros((2, 24, 24, 1), "float32"), np.zeros((2, 48, 48, 1), "float32")
    assert model(small).shape == model(large).shape == (2, 7)
    for layer in model.layers:
        for weight in layer.trainable_weights:
            weight.assign(weight + 0.1)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    images = np.random.default_rng(0).uniform(0, 255, (2, 48, 48, 1)).astype("float32")
    np.testing.assert_allclose(again(images), model(images), atol=1e-6)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_batch_norm_is_that_of_keras(policy):
    random = np.random.default_rng(0)
    x = tf.cast(random.normal(3, 2, (8, 6, 6, 16)), "bfloat16" if policy == "mixed_bfloat16" else "float32")
    upstream = tf.cast(random.normal(size=x.shape), x.dtype)
    seen = []
    for kind in (keras.layers.BatchNormalization, layers.BatchNormalization):
        layer = kind(momentum=0.9, dtype=policy)
        layer.build(x.shape)
        layer.gamma.assign(np.linspace(0.5, 2, 16))
        layer.beta.assign(np.linspace(-1, 1, 16))
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
        gradients = tape.gradient(y, [x, layer.gamma.value, layer.beta.value], upstream)
        seen.append([y, *gradients, layer.moving_mean, layer.moving_variance, layer(x, training=False)])
    for usual, ours in zip(*seen, strict=True):
        usual, ours = (np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(a, "float32"))) for a in (usual, ours))
        np.testing.assert_allclose(ours, usual, atol=(2e-5 if policy == "float32" else 0.02) * np.abs(usual).max())


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_small_maps_are_explained_outside_of_a_training_too(policy):
    layer = layers.Conv2D(4, 3, padding="same", dtype=policy)
    x = tf.ones([2, 6, 6, 3], "bfloat16" if policy == "mixed_bfloat16" else "float32")
    layer(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer.convolution_op(x, layer.kernel)  # the kernel as a variable, which nothing has cast
    assert tape.gradient(y, x).shape == x.shape


@pytest.mark.parametrize("settings", [{}, {"scale": False}, {"center": False}, {"scale": False, "center": False}])
@pytest.mark.parametrize("trainable", [True, False])
def test_batch_norm_without_scale_or_frozen_is_that_of_keras_too(settings, trainable):
    x = tf.constant(np.random.default_rng(0).normal(3, 2, (8, 6, 6, 16)), tf.float32)
    seen = []
    for kind in (keras.layers.BatchNormalization, layers.BatchNormalization):
        layer = kind(momentum=0.9, **settings)
        layer.build(x.shape)
        layer.trainable = trainable
        seen.append([layer(x, training=True), layer.moving_mean.value, layer.moving_variance.value])
    for usual, ours in zip(*seen, strict=True):
        np.testing.assert_allclose(ours, usual, atol=1e-5)


@pytest.mark.parametrize("settings", [{"strides": 2}, {"dilation_rate": 2}, {"groups": 3}, {"padding": "valid"}])
def test_convolutions_of_other_kinds_are_those_of_keras(settings):
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype("float32")
    usual, ours = (kind(6, 3, **{"padding": "same"} | settings) for kind in (keras.layers.Conv2D, layers.Conv2D))
    usual.build(x.shape), ours.build(x.shape)
    ours.set_weights(usual.get_weights())
    np.testing.assert_allclose(ours(x), usual(x), atol=1e-5)


# network, does it have convolutions, does the device multiply bfloat16 -> the policy of precision="auto"
POLICIES = [
    ("cnn_small", {}, True, "mixed_bfloat16"),
    ("cnn_small", {}, False, "float32"),
    ("dnn", {"widths": [4]}, True, "float32"),
]


@pytest.mark.parametrize(("model", "settings", "in_hardware", "expected"), POLICIES)
def test_the_precision_follows_network_and_device(model, settings, in_hardware, expected, monkeypatch):
    monkeypatch.setattr(machine, "has_bfloat16", lambda: in_hardware)
    run = {"model": model, "model_settings": settings, "precision": "auto"}
    before = keras.mixed_precision.global_policy().name
    with training.precision(run) as policy:
        assert policy == expected == keras.mixed_precision.global_policy().name
    with training.precision(run | {"precision": "float32"}) as policy:
        assert policy == "float32"
    assert keras.mixed_precision.global_policy().name == before


# compute capabilities of the GPUs -> bfloat16 in hardware
GPUS = [([(9, 0)], True), ([(8, 0), (8, 6)], True), ([(7, 5)], False), ([(9, 0), (7, 0)], False), ([None], False)]


@pytest.mark.parametrize(("capabilities", "expected"), GPUS)
def test_on_a_gpu_the_processor_does_not_decide(capabilities, expected, monkeypatch):
    monkeypatch.setattr(machine, "on_gpu", lambda: True)
    monkeypatch.setattr(machine.Path, "read_text", lambda path: pytest.fail("the processor was asked"))
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: list(range(len(capabilities))))
    details = [{"device_name": "H"} | ({"compute_capability": one} if one else {}) for one in capabilities]
    monkeypatch.setattr(tf.config.experimental, "get_device_details", details.__getitem__)
    assert machine.has_bfloat16() is expected
    assert machine.name() == {1: "H", 2: "2 × H"}[len(capabilities)]


def test_on_a_gpu_small_maps_are_convolved_as_usual(monkeypatch):
    monkeypatch.setattr(layers, "on_gpu", lambda: True)
    monkeypatch.setattr(layers, "_convolve_small", lambda x, kernel: pytest.fail("the CPU's way"))
    assert layers.convolve(tf.ones([1, 6, 6, 3], tf.bfloat16), tf.ones([3, 3, 3, 4], tf.bfloat16)).shape == (1, 6, 6, 4)


def test_a_standardised_kernel_is_float32_whatever_policy_is_in_force(tmp_path):
    """Loaded where the policy is float32, a network that was trained in bfloat16 must not round its kernels earlier."""
    images = np.random.default_rng(0).uniform(0, 255, (16, 48, 48, 1)).astype(np.float32)
    answers = []
    with training.precision({"precision": "mixed_bfloat16"}):
        keras.utils.set_random_seed(0)
        model = models.build("cnn_fast", widths=(32, 32))
        model.get_layer("logits").kernel.assign(np.random.default_rng(1).standard_normal((32, 7)))
        model.save(tmp_path / "model.keras")
        answers.append(training.predict(model, images))
    answers.append(training.predict(keras.models.load_model(tmp_path / "model.keras"), images))
    np.testing.assert_array_equal(*answers)
