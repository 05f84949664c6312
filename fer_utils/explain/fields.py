"""Receptive fields: which pixels one place of a layer depends on, and how much each of them counts."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from fer_utils.explain.feature_maps import activation_layers
from fer_utils.explain.saliency import as_floats
from fer_utils.labels import IMAGE_SHAPE

SIDE = IMAGE_SHAPE[0]


class Field(NamedTuple):
    """Output place i depends on the pixels start + i * stride … start + i * stride + size − 1."""

    size: int
    stride: int
    start: int  # negative where the field begins in the padding


WHOLE = Field(SIDE, SIDE, 0)  # the image: what a vector depends on


def receptive_field(model, layer):
    """Compute the receptive field of one place of a layer's output, from the input down, branches included.

    Args:
        model: flat functional Keras model, input (48, 48, 1).
        layer: name of any of its layers.

    Returns:
        Field: size, stride and start in pixels; the whole image where the output has no height and width.

    Raises:
        ValueError: for a layer whose window is unknown (one that is neither conv, pooling nor elementwise), and where
            branches of different strides meet.

    References:
        Araujo, Norris & Sim (2019), Computing receptive fields of convolutional neural networks, Distill.
    """
    return _field(model.get_layer(layer), {})


def _field(layer, known):
    """The Field of a layer; `known` holds those that were computed already."""
    if layer.name not in known:
        if len(layer.output.shape) != 4:
            known[layer.name] = WHOLE
        elif isinstance(layer, layers.InputLayer):
            known[layer.name] = Field(1, 1, 0)
        else:
            inputs = layer.input if isinstance(layer.input, list) else [layer.input]
            before = _union(layer, [_field(tensor._keras_history.operation, known) for tensor in inputs])
            known[layer.name] = _moved(layer, before)
    return known[layer.name]


def _union(layer, fields):
    """The Field of a sum or concatenation of branches: from where the first one begins to where the last one ends."""
    if len({field.stride for field in fields}) > 1:
        raise ValueError(f"the branches that meet in layer {layer.name} have different strides, so it has no one field")
    start = min(field.start for field in fields)
    end = max(field.start + field.size for field in fields)
    return Field(end - start, fields[0].stride, start)


def _moved(layer, field):
    """The Field of a layer's output, where `field` is that of its input."""
    size, stride, start = field
    if isinstance(layer, layers.Conv2D | layers.MaxPooling2D | layers.AveragePooling2D):
        reach, step = _window(layer)
        if layer.padding == "same":  # as TensorFlow pads: the odd one at the end
            pixels = layer.input.shape[1]
            start -= stride * (max((-(-pixels // step) - 1) * step + reach - pixels, 0) // 2)
        return Field(size + stride * (reach - 1), stride * step, start)
    if isinstance(layer, layers.ZeroPadding2D | layers.Cropping2D):
        (above, _), _ = layer.padding if isinstance(layer, layers.ZeroPadding2D) else layer.cropping
        return Field(size, stride, start - stride * (above if isinstance(layer, layers.ZeroPadding2D) else -above))
    inputs = layer.input if isinstance(layer.input, list) else [layer.input]
    resized = any(tensor.shape[1:3] != layer.output.shape[1:3] for tensor in inputs)
    if resized or hasattr(layer, "kernel_size") or hasattr(layer, "pool_size"):  # a window of another kind
        raise ValueError(f"the receptive field behind layer {layer.name} ({type(layer).__name__}) is not known")
    return field  # elementwise


def _window(layer):
    """How many places of its input a conv or pooling layer spans, and by how many it moves."""
    if isinstance(layer, layers.Conv2D):
        return (layer.kernel_size[0] - 1) * layer.dilation_rate[0] + 1, layer.strides[0]
    return layer.pool_size[0], layer.strides[0]


def central_field(model, layer):
    """Return the receptive field of the central place of a layer's output: first row (or column) and side in pixels."""
    field, side = receptive_field(model, layer), model.get_layer(layer).output.shape[1]
    return field.start + side // 2 * field.stride, field.size


def effective_field(model, images, name, batch=64):
    """Measure how much each pixel counts for the central place of a conv layer: the mean of |d place / d pixel|.

    Args:
        name: of a conv layer; its channels are added up at that place, after their activation.

    Returns:
        (48, 48) float32, activation per grey level.

    References:
        Luo et al. (2016), Understanding the Effective Receptive Field in Deep Convolutional Neural Networks.
    """
    inner = keras.Model(model.input, model.get_layer(activation_layers(model)[name]).output)
    row, column = (side // 2 for side in inner.output.shape[1:3])
    total = np.zeros((48, 48), np.float32)
    for start in range(0, len(images), batch):
        x = tf.constant(as_floats(images[start : start + batch]))
        with tf.GradientTape() as tape:
            tape.watch(x)
            place = tf.reduce_sum(tf.cast(inner(x, training=False)[:, row, column], tf.float32))
        total += np.abs(tape.gradient(place, x)[..., 0]).sum(axis=0)
    return total / len(images)


def core(heat, share=0.9):
    """Find the smallest square that holds so much of a map.

    Args:
        heat: (h, w), >= 0. share: of the map's sum, 0…1.

    Returns:
        tuple of ints: first row, first column, side.
    """
    sums = np.pad(heat.astype(np.float64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    for side in range(1, min(heat.shape) + 1):
        inside = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
        if inside.max() >= share * sums[-1, -1]:
            break
    row, column = np.unravel_index(inside.argmax(), inside.shape)
    return int(row), int(column), side
