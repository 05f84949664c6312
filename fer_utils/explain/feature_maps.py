"""Feature maps: what the layers of a network make of an image."""

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from fer_utils.explain import graph
from fer_utils.explain.graph import activation_layers
from fer_utils.explain.saliency import as_floats
from fer_utils.labels import IMAGE_SHAPE


class Activity(NamedTuple):
    """What the channels (units) of a layer did on many images, at every place."""

    lowest: np.ndarray  # (channels,) float32
    highest: np.ndarray  # (channels,) float32
    off: np.ndarray  # (channels,) float64: share of the values that are not above 0

    @property
    def dead(self):
        """(channels,) bool: never above 0, or always the same."""
        return (self.highest <= 0) | (self.highest == self.lowest)


# -- which layers there are --------------------------------------------------------------------------------------------


def blocks(model):
    """List the last conv at each scale of the activations, from the input on; a scale is half the one before it.

    Without padding every conv makes its map a little smaller, so sides are rounded: 46 and 44 are one scale.

    Raises:
        NoAnswer: for a network without convolutions.
    """
    where, last = activation_layers(model), {}
    for name in graph.convolutions(model):
        side = graph.steps(model)[where[name]].output.shape[1]
        last[round(math.log2(IMAGE_SHAPE[0] / side))] = name
    return list(last.values())


def vector_layer(model):
    """Return the first layer that describes the image by a vector: a hidden dense layer, a global pooling, or Flatten.

    Flatten's counts only where the logits follow it directly, and where it does not merely hold the pixels.

    Raises:
        NoAnswer: for a network without one.
    """
    for name in activation_layers(model):
        if len(graph.steps(model)[name].output.shape) == 2:
            return name
    raise graph.NoAnswer(
        "The logits of {model} see the pixels: no layer between them describes the image.", model=model.name
    )


# -- what they put out -------------------------------------------------------------------------------------------------


def feature_maps(model, images, names):
    """Return what layers put out, after their activation.

    Args:
        names: of `activation_layers`.

    Returns:
        dict of name -> (n, h, w, channels) float32 of a conv, (n, units) of a dense layer.
    """
    where = activation_layers(model)
    inner = graph.part(model, [where[name] for name in names])
    outputs = inner(as_floats(images), training=False)
    return {name: tf.cast(outputs[where[name]], tf.float32).numpy() for name in names}


def extremes(maps, count):
    """Return the channels that are strongest and weakest on one image, by the mean over its places.

    Args:
        maps: (h, w, channels).
        count: how many of each; fewer where there are not twice as many channels above 0 (the others are left out).

    Returns:
        tuple of two (count,) int arrays, each the stronger first.
    """
    order = np.argsort(-maps.mean(axis=(0, 1)), kind="stable")
    active = order[maps.max(axis=(0, 1))[order] > 0]
    count = min(count, len(active) // 2)
    return active[:count], active[len(active) - count :]


def activity(model, images, names, batch=64):
    """Record what each channel does on many images: dict of name -> Activity.

    Args:
        names: of `activation_layers`.
    """
    parts = {name: [] for name in names}
    for start in range(0, len(images), batch):
        for name, maps in feature_maps(model, images[start : start + batch], names).items():
            values = maps.reshape(-1, maps.shape[-1])
            parts[name].append((values.min(axis=0), values.max(axis=0), (values <= 0).sum(axis=0), len(values)))
    found = {}
    for name, batches in parts.items():
        lowest, highest, off, count = zip(*batches, strict=True)
        found[name] = Activity(np.min(lowest, axis=0), np.max(highest, axis=0), np.sum(off, axis=0) / sum(count))
    return found


def similarity(maps, images):
    """Return how much each channel resembles an image: the size of their correlation (Pearson) over the places.

    Args:
        maps: (n, h, w, channels), enlarged to 48×48 here. images: (n, 48, 48, 1).

    Returns:
        (n, channels) floats 0…1; 0 for a constant map.
    """
    found = []
    for channels, image in zip(maps, as_floats(images), strict=True):
        large = tf.image.resize(channels, (48, 48)).numpy()
        found.append(np.abs(_standardised(image).T @ _standardised(large))[0])
    return np.stack(found)


def _standardised(maps):
    """(48, 48, channels) -> (2304, channels), each with mean 0 and length 1, or all 0."""
    values = maps.reshape(-1, maps.shape[-1])
    values = values - values.mean(axis=0)
    length = np.linalg.norm(values, axis=0)
    return np.divide(values, length, out=np.zeros_like(values), where=length > 1e-4 * np.abs(maps).max())
