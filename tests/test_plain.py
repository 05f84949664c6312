"""Networks as Keras opens them where the kit is not."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from fer_utils import adapt, layers, models, plain, presets
from fer_utils.labels import IMAGE_SHAPE

# What is run in a process that cannot import the kit: it loads each network and keeps its logits for some images.
ALONE = """
import sys, pathlib
sys.modules |= {"fer_utils": None, "fer_report": None}
import keras, numpy as np
folder = pathlib.Path(sys.argv[1])
images = np.load(folder / "images.npy")
for path in sorted(folder.glob("*.keras")):
    model = keras.models.load_model(path)
    logits = keras.Model(model.input, model.get_layer("logits").output)(images, training=False)
    np.savez(path.with_suffix(".npz"), logits=logits, probs=model(images, training=False))
"""

# name -> preset, normalisation; the other dense ones are made as A-dnn is, and large
NORMALISATIONS = {"A none": ("A", "none"), "A image": ("A", "image"), "fast none": ("fast", "none")}
NETWORKS = {name: (name, None) for name in presets.PRESETS if name not in ("B-dnn", "D-dnn")} | NORMALISATIONS
IMAGES = np.random.default_rng(0).integers(0, 256, (4, *IMAGE_SHAPE)).astype(np.float32)


def with_random_weights(model):
    """Change all weights, also those that begin at 0 and batch norm's statistics; variances stay positive."""
    random = np.random.default_rng(1)
    weights = [weight for layer in model.layers for weight in layer.weights if "seed" not in weight.path]
    for weight in weights:
        weight.assign(weight + 0.05 * np.abs(random.standard_normal(weight.shape)))
    return model


def network(preset, normalisation):
    settings = presets.settings(preset, "full")
    normalisation = {"normalisation": normalisation or settings["normalisation"], "mean": 120.0, "sd": 60.0}
    return with_random_weights(models.build(settings["model"], **settings.get("model_settings", {}), **normalisation))


def of_its_own():
    """A network as a student may write it, which ends in no softmax."""
    images = keras.Input(IMAGE_SHAPE)
    x = keras.layers.Dense(7)(keras.layers.Flatten()(images / 255.0))
    x = keras.layers.Activation("sigmoid")(x)
    return adapt.standard(keras.Model(images, x / keras.ops.sum(x, axis=1, keepdims=True), name="own"))


@pytest.fixture(params=["float32", "mixed_bfloat16"])
def precision(request):
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(request.param)
    yield request.param
    keras.mixed_precision.set_global_policy(before)


def test_keras_alone_opens_every_network_and_answers_the_same(precision, tmp_path):
    few = NETWORKS if precision == "float32" else {name: NETWORKS[name] for name in ("A", "tiny", "A image")}
    built = {name: network(*chosen) for name, chosen in few.items()} | {"own": of_its_own()}
    assert {type(layer) for model in built.values() for layer in model.layers} >= {
        *(layers.Conv2D, layers.StandardisedConv2D, layers.BatchNormalization),
        *(layers.SkipInit, layers.PerImage, layers.LogProbs),
    }
    np.save(tmp_path / "images.npy", IMAGES)
    for name, model in built.items():
        plain.save(model, tmp_path / f"{name}.keras")
    command = [sys.executable, "-c", ALONE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name, model in built.items():
        whole = keras.Model(model.inputs[0], [model.get_layer("logits").output, model.outputs[0]])
        logits, probs = (np.asarray(x) for x in whole(IMAGES, training=False))
        there = np.load(tmp_path / f"{name}.npz")
        assert np.ptp(logits) > 0 and abs(there["logits"] - logits).max() <= 1e-5 * abs(logits).max(), name
        np.testing.assert_allclose(there["probs"], probs, atol=1e-5, err_msg=name)


def test_the_same_network_gives_the_same_file_and_the_kit_reads_it_again(tmp_path):
    model = network("tiny", "image")
    before = model.get_layer("logits").output, model.get_weights()
    for name in ("once", "again"):
        plain.save(model, tmp_path / f"{name}.keras")
    assert (tmp_path / "once.keras").read_bytes() == (tmp_path / "again.keras").read_bytes()
    assert model.get_layer("logits").output is before[0]  # the network itself is as it was
    assert all(map(np.array_equal, model.get_weights(), before[1]))
    read = adapt.standard(keras.models.load_model(tmp_path / "once.keras"))
    assert not any(isinstance(layer, keras.Model) for layer in read.layers)
    np.testing.assert_allclose(plain.answers(read), plain.answers(model), atol=1e-6)


def test_a_layer_of_a_students_class_stays(tmp_path):
    class Half(keras.layers.Layer):
        def call(self, x):
            return x / 2

    images = keras.Input(IMAGE_SHAPE)
    logits = keras.layers.Dense(7, name="logits")(Half(name="half")(keras.layers.Flatten()(images)))
    model = keras.Model(images, keras.layers.Softmax(name="probs")(logits))
    assert type(plain.plain(model).get_layer("half")) is Half


def test_other_answers_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setitem(plain.CONVERTED, layers.SkipInit, lambda layer: ({"scale": 9.0, "offset": 0.0}, []))
    with pytest.raises(ValueError, match="other answers"):
        plain.save(network("tiny", None), tmp_path / "model.keras")
    assert not (tmp_path / "model.keras").exists()
