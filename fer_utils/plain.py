"""A network of the kit's layers -> the same of Keras' own layers alone, which opens where the kit is not."""

import json
import zipfile

import keras
import numpy as np
from keras import layers, ops

from fer_utils import adapt
from fer_utils.labels import IMAGE_SHAPE
from fer_utils.layers import BatchNormalization, Conv2D, LogProbs, PerImage, SkipInit, StandardisedConv2D

LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the same network gives the same file


def save(model, path):
    """Save a network of the kit as a .keras file that `keras.models.load_model` opens without the kit.

    Args:
        model: flat functional keras.Model, as `models.build` and `adapt.standard` make them. path: Path.

    Raises:
        ValueError: the two networks differ in their answers, which would be an error in this module.
    """
    network = plain(model)
    if not np.allclose(answers(model), answers(network), atol=0.01):  # in bfloat16 a probability has two digits
        raise ValueError(f"{model.name}: of Keras' own layers alone it gives other answers")
    network.save(path)
    without_dates(path)


def answers(model):
    """Return a network's probabilities (8, 7) for eight images of noise."""
    images = np.random.default_rng(0).uniform(0, 255, (8, *IMAGE_SHAPE)).astype(np.float32)
    return ops.convert_to_numpy(keras.Model(model.inputs[0], model.outputs[0])(images, training=False))


def plain(model):
    """Return a network that answers the same without the layers of `fer_utils.layers`; names and precisions stay.

    Layers of a student's own classes are not copied: both networks share them.
    """
    with adapt.fresh_names():
        new = keras.models.clone_model(model, clone_function=counterpart, call_function=call)
    return keras.Model(new.inputs[0], new.outputs[0], name=model.name)


def counterpart(layer):
    """Return Keras' own layer with the settings and weights of this one; the same where there is none."""
    kind = INSTEAD.get(type(layer), type(layer))
    is_keras = kind.__module__.split(".")[0] == "keras" and issubclass(kind, keras.Layer)
    if not is_keras or issubclass(kind, layers.Lambda):
        return layer
    settings, weights = CONVERTED.get(type(layer), as_they_are)(layer)
    new = kind.from_config(settings)
    if weights:
        new.build_from_config(layer.get_build_config())
        adapt.take_weights(new, weights)
    return new


INSTEAD = {
    Conv2D: layers.Conv2D,
    StandardisedConv2D: layers.Conv2D,
    BatchNormalization: layers.BatchNormalization,
    SkipInit: layers.Rescaling,
}


def as_they_are(layer):
    return layer.get_config(), layer.get_weights()


def standardised(layer):
    """The kernels as they are applied, in the precision of what comes in."""
    known = {"bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
    settings = layer.get_config() | {"dtype": known.get(layer.input.dtype, layer.input.dtype)}
    return settings, [ops.convert_to_numpy(weight) for weight in (layer.standardised(), layer.bias)]


def factor(layer):
    return {"name": layer.name, "dtype": layer.dtype_policy, "scale": float(layer.factor), "offset": 0.0}, []


CONVERTED = {StandardisedConv2D: standardised, SkipInit: factor}


# -- layers for which Keras has arithmetic alone -----------------------------------------------------------------------


def call(layer, *inputs, **settings):
    """Call a layer, or an inner network that computes the same, whose operations cannot take the names of layers."""
    if type(layer) not in (PerImage, LogProbs):
        return layer(*inputs, **settings)
    x = keras.Input(batch_shape=inputs[0].shape, dtype=inputs[0].dtype)
    inner = keras.Model(x, layer.call(ops.cast(x, layer.compute_dtype)), name=f"before_{layer.name}")
    return layers.Activation("linear", name=layer.name, dtype=layer.dtype_policy)(inner(inputs[0]))


# -- the file ----------------------------------------------------------------------------------------------------------


def without_dates(path):
    """Write a .keras file anew without the time at which it was made."""
    with zipfile.ZipFile(path) as stored:
        parts = {name: stored.read(name) for name in stored.namelist()}
    told = json.loads(parts["metadata.json"])
    told.pop("date_saved", None)
    parts["metadata.json"] = json.dumps(told).encode()
    with zipfile.ZipFile(path, "w") as stored:
        for name, content in parts.items():
            stored.writestr(zipfile.ZipInfo(name, LONG_AGO), content)
