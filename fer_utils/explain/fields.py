"""Receptive fields: which pixels one place of a layer depends on, and how much each of them counts."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from fer_utils.explain import graph
from fer_utils.explain.saliency import as_floats
from fer_utils.labels import IMAGE_SHAPE

SIDE = IMAGE_SHAPE[0]


WINDOWS = (
    layers.Conv2D,
    layers.DepthwiseConv2D,
    layers.SeparableConv2D,
    layers.MaxPooling2D,
    layers.AveragePooling2D,
)


class Field(NamedTuple):
    """Output place i depends on the pixels start + i * stride … start + i * stride + size − 1."""

    size: int
    stride: int
    start: int  # negative where the field begins in the padding


WHOLE = Field(SIDE, 0, 0)  # the image: what a vector depends on, and all that is made of one


def receptive_field(model, layer):
    """Compute the receptive field of one place of a layer's output, from the input down, branches included.

    Args:
        model: Keras model, input (48, 48, 1).
        layer: name of any of its layers, those of nested models included.

    Returns:
        Field: size, stride and start in pixels; the whole image where the output has no height and width.

    Raises:
        NoAnswer: for a layer whose window is unknown (one that is neither conv, pooling nor elementwise) or not square,
            and where branches of different strides meet.

    References:
        Araujo, Norris & Sim (2019), Computing receptive fields of convolutional neural networks, Distill.
    """
    return _field(graph.steps(model), layer, {})


def _field(every, name, known):
    """The Field of a step; `known` holds those that were computed already."""
    if name not in known:
        if len(every[name].output.shape) != 4:
            known[name] = WHOLE
        elif not every[name].before:
            known[name] = Field(1, 1, 0)
        else:
            before = _union(name, [_field(every, each, known) for each in every[name].before])
            known[name] = _moved(every, name, before)
    return known[name]


def _union(name, fields):
    """The Field of a sum or concatenation of branches: from where the first one begins to where the last one ends."""
    if WHOLE in fields:
        return WHOLE
    if len({field.stride for field in fields}) > 1:
        raise graph.NoAnswer(
            "The branches that meet in layer {layer} have different strides, so it has no one receptive field.",
            layer=name,
        )
    start = min(field.start for field in fields)
    end = max(field.start + field.size for field in fields)
    return Field(end - start, fields[0].stride, start)


def _moved(every, name, field):
    """The Field of a step's output, where `field` is that of its input."""
    (layer, before, output), (size, stride, start) = every[name], field
    shapes = [every[each].output.shape[1:3] for each in before]
    if field == WHOLE or isinstance(layer, graph.GLOBAL_POOLINGS):
        return WHOLE
    if isinstance(layer, WINDOWS) and _is_square(layer):
        reach, step = _window(layer)
        if layer.padding == "same":  # as TensorFlow pads: the odd one at the end
            pixels = shapes[0][0]
            start -= stride * (max((-(-pixels // step) - 1) * step + reach - pixels, 0) // 2)
        return Field(size + stride * (reach - 1), stride * step, start)
    if isinstance(layer, layers.ZeroPadding2D | layers.Cropping2D):
        (above, _), (left, _) = layer.padding if isinstance(layer, layers.ZeroPadding2D) else layer.cropping
        if above == left:
            return Field(size, stride, start - stride * (above if isinstance(layer, layers.ZeroPadding2D) else -above))
    elif _is_pointwise(layer) and set(shapes) == {output.shape[1:3]}:
        return field
    raise graph.NoAnswer(
        "The receptive field behind layer {layer} ({kind}) is not known.", layer=name, kind=type(layer).__name__
    )


def _is_square(layer):
    """Return whether a window is as high as it is wide, and moves as far down as across."""
    settings = (getattr(layer, name, (1, 1)) for name in ("kernel_size", "pool_size", "strides", "dilation_rate"))
    return all(down == across for down, across in settings)


def _is_pointwise(layer):
    """Return whether a layer that keeps height and width also works on each place alone, as far as can be told."""
    windowed = hasattr(layer, "kernel_size") or hasattr(layer, "pool_size") or isinstance(layer, keras.Model)
    return not windowed and (isinstance(layer, layers.Dense | layers.PReLU) or not graph.has_matrix(layer))


def _window(layer):
    """How many places of its input a conv or pooling layer spans, and by how many it moves."""
    if hasattr(layer, "pool_size"):
        return layer.pool_size[0], layer.strides[0]
    return (layer.kernel_size[0] - 1) * layer.dilation_rate[0] + 1, layer.strides[0]


def central_field(model, layer):
    """Return the receptive field of the central place of a layer's output: first row (or column) and side in pixels."""
    field, side = receptive_field(model, layer), graph.steps(model)[layer].output.shape[1]
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
    layer = graph.activation_layers(model)[name]
    inner = graph.part(model, [layer])
    row, column = (side // 2 for side in graph.steps(model)[layer].output.shape[1:3])
    total = np.zeros((48, 48), np.float32)
    for start in range(0, len(images), batch):
        x = tf.constant(as_floats(images[start : start + batch]))
        with tf.GradientTape() as tape:
            tape.watch(x)
            place = tf.reduce_sum(tf.cast(inner(x, training=False)[layer][:, row, column], tf.float32))
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
