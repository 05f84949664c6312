"""Saliency maps: which pixels a prediction depends on, by six methods.

Every method is `f(model, images, classes) -> maps`: `model` is any Keras model with a layer `logits`; `images`
(n, 48, 48, 1) hold grey levels 0…255; `classes` (n,) ints name the logits that are explained; `maps` are (n, 48, 48)
float32. The copies of one image (noisy, faded, covered) form one batch, and the network runs in inference mode.

Sensitivities (gradient, SmoothGrad, guided backprop) are logits per grey level: how much a small change matters.
Contributions (integrated gradients, occlusion) are logits, negative where a pixel speaks against the class.
"""

from functools import lru_cache, partial

import keras
import numpy as np
import tensorflow as tf

from fer_utils.explain import graph
from fer_utils.words import words

SENSITIVITIES = ("gradient", "SmoothGrad", "guided backprop")

# -- functions of a model, traced once ---------------------------------------------------------------------------------

_IMAGES, _CLASSES = tf.TensorSpec((None, 48, 48, 1)), tf.TensorSpec((None,), tf.int64)


@lru_cache(maxsize=16)
def logits_of(model, after=None):
    """Return the function images (b, 48, 48, 1) float32 -> logits (b, 7): before the softmax, which couples classes."""
    inner = graph.part(model, ["logits"], after)
    return tf.function(lambda x: inner(x, training=False)["logits"], input_signature=[_IMAGES])


@lru_cache(maxsize=16)
def _gradients_of(model, after=None):
    """Return the function images (b, 48, 48, 1) float32, classes (b,) -> d logit / d pixel (b, 48, 48)."""
    logits = logits_of(model, after)

    def gradients(x, classes):
        with tf.GradientTape() as tape:
            tape.watch(x)
            logit = tf.gather(logits(x), classes, batch_dims=1)
        return tape.gradient(logit, x)[..., 0]

    return tf.function(gradients, input_signature=[_IMAGES, _CLASSES])


@lru_cache(maxsize=16)
def _activations_of(model, layer):
    """Return the function images, classes -> that layer's activations (b, h, w, channels) and the logit's gradient."""
    inner = graph.part(model, [layer, "logits"])

    def activations(x, classes):
        with tf.GradientTape() as tape:
            tape.watch(x)  # or nothing is recorded where no weight is trainable
            outputs = inner(x, training=False)
            logit = tf.gather(outputs["logits"], classes, batch_dims=1)
        maps = outputs[layer]
        return tf.cast(maps, tf.float32), tf.cast(tape.gradient(logit, maps), tf.float32)

    return tf.function(activations, input_signature=[_IMAGES, _CLASSES])


def as_floats(images):
    """Return images as (n, 48, 48, 1) float32."""
    return np.asarray(images, np.float32).reshape(-1, 48, 48, 1)


def mean_grey(images):
    """Return each image's mean (n, 1, 1, 1), the baseline that stands for "nothing to see".

    Black would not do: dark pixels, the eyes and brows, could then never count.
    """
    return as_floats(images).mean(axis=(1, 2, 3), keepdims=True)


def _in_batches(function, images, classes, batch=64):
    images, classes = as_floats(images), np.asarray(classes, np.int64)
    parts = [function(images[i : i + batch], classes[i : i + batch]) for i in range(0, len(images), batch)]
    return np.concatenate([np.asarray(part) for part in parts])


def _one_by_one(function, images, classes):
    """Apply `function(image, c)` -> (48, 48) to every image; what it makes of an image is one batch."""
    maps = [function(image, c) for image, c in zip(as_floats(images), classes, strict=True)]
    return np.stack(maps).astype(np.float32)


# -- methods -----------------------------------------------------------------------------------------------------------


def gradient(model, images, classes):
    """Compute d logit / d pixel: the effect of a small change of each pixel, per grey level, signed.

    References:
        Simonyan, Vedaldi & Zisserman (2014), Deep Inside Convolutional Networks.
    """
    return _in_batches(_gradients_of(model), images, classes)


def smoothgrad(model, images, classes, n=50, sigma=0.15, seed=0):
    """Average the gradient over noisy copies of each image.

    Args:
        n: copies of each image.
        sigma: standard deviation of the noise, as a share of the image's own range of grey levels.
        seed: of the noise, which is the same for every image.

    References:
        Smilkov et al. (2017), SmoothGrad: removing noise by adding noise.
    """
    noise = np.random.default_rng(seed).standard_normal((n, 48, 48, 1), dtype=np.float32)

    def of_one(image, c):
        return tf.reduce_mean(_gradients_of(model)(image + sigma * np.ptp(image) * noise, np.full(n, c)), axis=0)

    return _one_by_one(of_one, images, classes)


def integrated_gradients(model, images, classes, steps=50):
    """Integrate the gradient along the line from `mean_grey` to the image, at the midpoints of `steps` equal steps.

    The sum of a map is the logit of the image minus that of the baseline, up to `checks.completeness_gap`.

    References:
        Sundararajan, Taly & Yan (2017), Axiomatic Attribution for Deep Networks.
    """
    shares = ((np.arange(steps, dtype=np.float32) + 0.5) / steps).reshape(-1, 1, 1, 1)

    def of_one(image, c):
        distance = image - mean_grey(image)[0]
        slopes = _gradients_of(model)(image - (1 - shares) * distance, np.full(steps, c))
        return distance[..., 0] * np.mean(slopes, axis=0)

    return _one_by_one(of_one, images, classes)


def grad_cam_pp(model, images, classes, layer=None):
    """Grad-CAM++: weight a layer's channels by how much they speak for the class; >= 0, enlarged to 48×48.

    Args:
        layer: name of a layer whose output has height and width (of a convolution, its activations are taken); None:
            the last convolution.

    Raises:
        ValueError: for any other name; the message lists the right ones.
        NoAnswer: for a network without convolutions.

    References:
        Chattopadhay et al. (2018), Grad-CAM++: Generalized Gradient-Based Visual Explanations.
    """
    name = find_layer(model, layer)
    activations = _activations_of(model, graph.activation_layers(model).get(name, name))
    return _in_batches(partial(_cam, activations), images, classes)


def _cam(activations, images, classes):
    maps, slopes = (np.asarray(part) for part in activations(images, classes))
    total = maps.sum(axis=(1, 2), keepdims=True)
    below = 2 * slopes**2 + total * slopes**3
    share = np.divide(slopes**2, below, out=np.zeros_like(below), where=np.abs(below) > 1e-20)
    weights = (share * np.maximum(slopes, 0)).sum(axis=(1, 2), keepdims=True)  # (b, 1, 1, channels)
    coarse = np.maximum((weights * maps).sum(axis=-1, keepdims=True), 0)
    return tf.image.resize(coarse, (48, 48))[..., 0]


def spatial_layers(model):
    """List the layers, from the first convolution on, whose output has height and width.

    Raises:
        NoAnswer: for a network without convolutions.
    """
    every = graph.steps(model)
    after = list(every)[list(every).index(graph.convolutions(model)[0]) :]
    return [name for name in after if len(every[name].output.shape) == 4]


def find_layer(model, name=None):
    """Return the name if it is one of `spatial_layers`; for None the last convolution.

    Raises:
        ValueError: for any other name; the message lists the right ones.
        NoAnswer: for a network without convolutions.
    """
    names = spatial_layers(model)
    if name is None:
        return graph.convolutions(model)[-1]
    if name not in names:
        raise ValueError(f"layer={name!r} has no maps to explain with; those that have: {', '.join(names)}")
    return name


def occlusion(model, images, classes, size=8, stride=4):
    """Measure how far the logit falls when a square is covered with `mean_grey`; a pixel gets the mean of its squares.

    Args:
        size, stride: pixels; where they do not reach the far edge, one more square does.

    References:
        Zeiler & Fergus (2014), Visualizing and Understanding Convolutional Networks.
    """
    starts = sorted({*range(0, 48 - size + 1, stride), 48 - size})
    squares = np.zeros((len(starts) ** 2, 48, 48, 1), np.float32)
    for square, (top, left) in zip(squares, [(t, s) for t in starts for s in starts], strict=True):
        square[top : top + size, left : left + size] = 1

    def of_one(image, c):
        covered = np.where(squares == 1, mean_grey(image)[0], image)
        logits = logits_of(model)(np.concatenate([image[None], covered]))[:, c].numpy()
        falls = logits[0] - logits[1:]
        return np.tensordot(falls, squares[..., 0], axes=1) / squares[..., 0].sum(axis=0)

    return _one_by_one(of_one, images, classes)


def guided_backprop(model, images, classes):
    """Compute the gradient with negative gradients set to zero at every ReLU. A negative control.

    Its maps are crisp because they nearly redraw the image's edges, whatever the network has learned.

    Raises:
        NoAnswer: for a network without ReLUs.

    References:
        Springenberg et al. (2015), Striving for Simplicity. Nie, Zhang & Patel (2018), A Theoretical Explanation for
        Perplexing Behaviors of Backpropagation-based Visualizations.
    """
    graph.relus(model)
    return _in_batches(_gradients_of(model, _guided), images, classes)


def _guided(layer, output):
    """Let only positive gradients into a layer that applies a ReLU, be it leaky or fused into a convolution."""
    if graph.activation(layer) not in graph.RELUS:
        return output
    return keras.layers.Lambda(_only_positive_gradients, dtype=output.dtype)(output)


@tf.custom_gradient
def _only_positive_gradients(x):
    return tf.identity(x), tf.nn.relu


METHODS = {
    words("gradient"): gradient,
    words("SmoothGrad"): smoothgrad,
    words("integrated gradients"): integrated_gradients,
    words("Grad-CAM++"): grad_cam_pp,
    words("occlusion"): occlusion,
    words("guided backprop"): guided_backprop,
}

NEEDS = {"Grad-CAM++": graph.convolutions, "guided backprop": graph.relus}


def missing(model, names):
    """Map those of METHODS that have no answer for this network to the NoAnswer that says why."""
    found = {}
    for name in [name for name in names if name in NEEDS]:
        try:
            NEEDS[name](model)
        except graph.NoAnswer as why:
            found[name] = why
    return found


def methods(model, names, layer=None):
    """Return those of METHODS that this network allows, ready to call; `missing` has the others.

    Args:
        names: names in METHODS. layer: as for `grad_cam_pp`.

    Raises:
        ValueError: for a name that is not in METHODS, or a layer that is not in the network.
        NoAnswer: where no method is left.
    """
    if unknown := [name for name in names if name not in METHODS]:
        raise ValueError(f"methods={unknown} are not among: {', '.join(METHODS)}")
    without, known = missing(model, names), {name: name for name in METHODS}  # its names can be translated
    chosen = {known[name]: METHODS[name] for name in names if name not in without}
    if "Grad-CAM++" in chosen:
        chosen[known["Grad-CAM++"]] = partial(grad_cam_pp, layer=find_layer(model, layer))
    if not chosen:
        raise next(iter(without.values()))
    return chosen


def importance(name, maps):
    """Return how important each pixel is: the size of sensitivities; contributions as they are."""
    return np.abs(maps) if name in SENSITIVITIES else maps
