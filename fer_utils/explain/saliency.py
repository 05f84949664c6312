"""Where a network looks: a model and pictures in, one map for each picture out, and the checks that tell good from bad.

Every method is `f(model, images, classes) -> maps`: flat functional `model` with a layer `logits`; `images`
(n, 48, 48, 1), grey levels 0…255; `classes` (n,) ints, whose logit is explained; `maps` (n, 48, 48) float32. The copies
of one picture (noisy, faded, covered) are one batch, and the network runs as it does when it answers: no dropout.

Sensitivities (gradient, SmoothGrad, guided backprop) are logits per grey level: how much a small change matters.
Contributions (integrated gradients, occlusion) are logits, and negative where a pixel speaks against the class.
"""

from functools import lru_cache, partial
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from scipy import ndimage, stats

SENSITIVITIES = ("gradient", "SmoothGrad", "guided backprop")
REGIONS = ("elsewhere", "brows", "eyes", "mouth")  # the numbers 0…3 in the masks of drawn faces


# -- compiled once for each model --------------------------------------------------------------------------------------

_PICTURES, _CLASSES = tf.TensorSpec((None, 48, 48, 1)), tf.TensorSpec((None,), tf.int64)


@lru_cache(maxsize=16)
def _logits(model):
    """Pictures (b, 48, 48, 1) float32 -> logits (b, 7): before the softmax, where one class does not push another."""
    inner = keras.Model(model.input, model.get_layer("logits").output)
    return tf.function(lambda x: inner(x, training=False), input_signature=[_PICTURES])


@lru_cache(maxsize=16)
def _gradients(model):
    """Pictures (b, 48, 48, 1) float32 and classes (b,) -> d logit / d pixel (b, 48, 48)."""
    logits = _logits(model)

    def gradients(x, classes):
        with tf.GradientTape() as tape:
            tape.watch(x)
            logit = tf.gather(logits(x), classes, batch_dims=1)
        return tape.gradient(logit, x)[..., 0]

    return tf.function(gradients, input_signature=[_PICTURES, _CLASSES])


@lru_cache(maxsize=16)
def _activations(model, layer):
    """Pictures and classes -> that layer's activations (b, h, w, channels) and the logit's gradient by them."""
    inner = keras.Model(model.input, [model.get_layer(layer).output, model.get_layer("logits").output])

    def activations(x, classes):
        with tf.GradientTape() as tape:
            tape.watch(x)  # or nothing is recorded where no weight is trainable
            maps, logits = inner(x, training=False)
            logit = tf.gather(logits, classes, batch_dims=1)
        return tf.cast(maps, tf.float32), tf.cast(tape.gradient(logit, maps), tf.float32)

    return tf.function(activations, input_signature=[_PICTURES, _CLASSES])


def _floats(images):
    return np.asarray(images, np.float32).reshape(-1, 48, 48, 1)


def _in_batches(function, images, classes, batch=64):
    images, classes = _floats(images), np.asarray(classes, np.int64)
    parts = [function(images[i : i + batch], classes[i : i + batch]) for i in range(0, len(images), batch)]
    return np.concatenate([np.asarray(part) for part in parts])


def _one_by_one(function, images, classes):
    """`function(image, c)` -> (48, 48) of every picture; what it makes of the picture is one batch."""
    maps = [function(image, c) for image, c in zip(_floats(images), classes, strict=True)]
    return np.stack(maps).astype(np.float32)


# -- methods -----------------------------------------------------------------------------------------------------------


def gradient(model, images, classes):
    """How the logit answers to a small change of each pixel: d logit / d pixel, per grey level, signed.

    References:
        Simonyan, Vedaldi & Zisserman (2014), Deep Inside Convolutional Networks.
    """
    return _in_batches(_gradients(model), images, classes)


def smoothgrad(model, images, classes, n=50, sigma=0.15, seed=0):
    """The gradient's mean over noisy copies: what flickers from one copy to the next averages out.

    Args:
        n: copies of each picture.
        sigma: standard deviation of the noise, as a share of the picture's own range of grey levels.
        seed: draws the noise, the same for every picture.

    References:
        Smilkov et al. (2017), SmoothGrad: removing noise by adding noise.
    """
    noise = np.random.default_rng(seed).standard_normal((n, 48, 48, 1), dtype=np.float32)

    def of_one(image, c):
        return tf.reduce_mean(_gradients(model)(image + sigma * np.ptp(image) * noise, np.full(n, c)), axis=0)

    return _one_by_one(of_one, images, classes)


def blank(images):
    """Each picture's mean grey (n, 1, 1, 1): what 'nothing to see' is here.

    Black would not do: dark pixels, the eyes and brows, could then never count.
    """
    return _floats(images).mean(axis=(1, 2, 3), keepdims=True)


def integrated_gradients(model, images, classes, steps=50):
    """The gradient summed up while the picture fades in from `blank`, at the midpoints of `steps` equal steps.

    A map's sum is the logit of the picture minus that of the blank, up to `completeness_gap`.

    References:
        Sundararajan, Taly & Yan (2017), Axiomatic Attribution for Deep Networks.
    """
    shares = ((np.arange(steps, dtype=np.float32) + 0.5) / steps).reshape(-1, 1, 1, 1)

    def of_one(image, c):
        away = image - blank(image)[0]
        slopes = _gradients(model)(image - (1 - shares) * away, np.full(steps, c))
        return away[..., 0] * np.mean(slopes, axis=0)

    return _one_by_one(of_one, images, classes)


def grad_cam_pp(model, images, classes, layer=None):
    """Grad-CAM++: a layer's channels, weighted by how much they speak for the class; >= 0, enlarged to 48×48.

    Args:
        layer: name of a layer whose output has height and width; None: the last convolution.

    Raises:
        ValueError: for any other name, and for a network without such layers; the message lists the right ones.

    References:
        Chattopadhay et al. (2018), Grad-CAM++: Generalized Gradient-Based Visual Explanations.
    """
    return _in_batches(partial(_cam, _activations(model, find_layer(model, layer))), images, classes)


def _cam(activations, images, classes):
    maps, slopes = (np.asarray(part) for part in activations(images, classes))
    total = maps.sum(axis=(1, 2), keepdims=True)
    below = 2 * slopes**2 + total * slopes**3
    share = np.divide(slopes**2, below, out=np.zeros_like(below), where=np.abs(below) > 1e-20)
    weights = (share * np.maximum(slopes, 0)).sum(axis=(1, 2), keepdims=True)  # (b, 1, 1, channels)
    coarse = np.maximum((weights * maps).sum(axis=-1, keepdims=True), 0)
    return tf.image.resize(coarse, (48, 48))[..., 0]


def spatial_layers(model):
    """Names of the layers, from the first convolution on, whose output has height and width; none in a DNN."""
    convolutions = [number for number, layer in enumerate(model.layers) if isinstance(layer, keras.layers.Conv2D)]
    after = model.layers[convolutions[0] :] if convolutions else []
    return [layer.name for layer in after if len(layer.output.shape) == 4]


def find_layer(model, name=None):
    """The name itself if it is one of `spatial_layers`; None gives the last convolution.

    Raises:
        ValueError: otherwise; the message lists the right ones.
    """
    names = spatial_layers(model)
    if name is None and names:
        return [layer.name for layer in model.layers if isinstance(layer, keras.layers.Conv2D)][-1]
    if name not in names:
        known = ", ".join(names) or "none, this network has no convolutions"
        raise ValueError(f"layer={name!r} has no maps to explain with; those that have: {known}")
    return name


def occlusion(model, images, classes, size=8, stride=4):
    """How far the logit falls when a square is covered with `blank`; each pixel gets the mean of its squares.

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
        covered = np.where(squares == 1, blank(image)[0], image)
        logits = _logits(model)(np.concatenate([image[None], covered]))[:, c].numpy()
        falls = logits[0] - logits[1:]
        return np.tensordot(falls, squares[..., 0], axes=1) / squares[..., 0].sum(axis=0)

    return _one_by_one(of_one, images, classes)


def guided_backprop(model, images, classes):
    """The gradient, but what is negative is dropped on its way back through every ReLU. A negative control.

    Its maps are crisp because they come close to redrawing the picture's edges, whatever was learned.

    References:
        Springenberg et al. (2015), Striving for Simplicity. Nie, Zhang & Patel (2018), A Theoretical Explanation for
        Perplexing Behaviors of Backpropagation-based Visualizations.
    """
    twin = _guided_twin(model)
    twin.set_weights(model.get_weights())
    return gradient(twin, images, classes)


@lru_cache(maxsize=16)
def _guided_twin(model):
    return keras.models.clone_model(model, clone_function=_guided_layer)


def _guided_layer(layer):
    """A copy of the layer whose ReLU, be it fused into a convolution, a layer of its own or leaky, is guided."""
    if isinstance(layer, keras.layers.ReLU | keras.layers.LeakyReLU):
        return keras.layers.Activation(_guided_relu(float(layer.negative_slope)), name=layer.name)
    copy = type(layer).from_config(layer.get_config())
    if getattr(copy, "activation", None) is keras.activations.relu:
        copy.activation = _guided_relu()
    return copy


def _guided_relu(slope=0.0):
    @tf.custom_gradient
    def relu(x):
        factor = tf.where(x > 0, tf.ones_like(x), tf.fill(tf.shape(x), tf.cast(slope, x.dtype)))
        return x * factor, lambda upstream: tf.nn.relu(upstream) * factor

    return relu


METHODS = {
    "gradient": gradient,
    "SmoothGrad": smoothgrad,
    "integrated gradients": integrated_gradients,
    "Grad-CAM++": grad_cam_pp,
    "occlusion": occlusion,
    "guided backprop": guided_backprop,
}


def methods(model, names, layer=None):
    """Those of METHODS that this network allows, ready to call; Grad-CAM++ needs convolutions and gets its layer.

    Args:
        names: names in METHODS. layer: as for `grad_cam_pp`.

    Raises:
        ValueError: for a name that is not in METHODS, a layer that is not in the network, or where no method is left.
    """
    if unknown := [name for name in names if name not in METHODS]:
        raise ValueError(f"methods={unknown} are not among: {', '.join(METHODS)}")
    chosen = {name: METHODS[name] for name in names}
    if "Grad-CAM++" in chosen:
        if spatial_layers(model):
            chosen["Grad-CAM++"] = partial(grad_cam_pp, layer=find_layer(model, layer))
        else:
            del chosen["Grad-CAM++"]
    if not chosen:
        raise ValueError(f"methods={names}: none of them can explain this network; choose of: {', '.join(METHODS)}")
    return chosen


def importance(name, maps):
    """What counts as important: the size of sensitivities; contributions as they are, those against the class last."""
    return np.abs(maps) if name in SENSITIVITIES else maps


# -- checks ------------------------------------------------------------------------------------------------------------


def completeness_gap(model, images, classes, maps):
    """Sum of each map of `integrated_gradients` minus (logit of the picture − logit of its blank): (n,), in logits."""
    x, rows = _floats(images), np.arange(len(images))
    full, empty = (_logits(model)(part).numpy()[rows, classes] for part in (x, np.broadcast_to(blank(x), x.shape)))
    return maps.sum(axis=(1, 2), dtype=np.float64) - (full - empty)


def model_free(images, seed=0):
    """Maps that know no network, which a method should beat: dict of name -> (n, 48, 48) float32.

    Random numbers; a Gaussian blob in the centre (standard deviation 10 px); the edges of the picture (Sobel).
    """
    x = _floats(images)[..., 0]
    row, column = np.mgrid[:48, :48] - 23.5
    blob = np.exp(-(row**2 + column**2) / (2 * 10**2))
    maps = {
        "random": np.stack([np.random.default_rng(seed).random((48, 48))] * len(x)),
        "centre blob": np.stack([blob] * len(x)),
        "Sobel edges": np.hypot(ndimage.sobel(x, axis=1), ndimage.sobel(x, axis=2)),
    }
    return {name: values.astype(np.float32) for name, values in maps.items()}


def deletion_insertion(model, images, classes, maps, steps=24):
    """How the class's probability falls when the most important pixels go first, and rises when they come first.

    Deleted pixels, and those not yet inserted, have the grey of `blank`.

    Args:
        maps: (n, 48, 48), the larger the more important.
        steps: pictures of each curve, besides the untouched one.

    Returns:
        tuple of two (n,) arrays, areas under the curves, 0…1: deletion (a good map's is low) and insertion (high).

    References:
        Petsiuk, Das & Saenko (2018), RISE: Randomized Input Sampling for Explanation of Black-box Models.
    """
    shares = np.linspace(0, 1, steps + 1).reshape(-1, 1, 1)
    areas = []
    for image, c, values in zip(_floats(images), classes, maps, strict=True):
        order = np.argsort(-values, axis=None, kind="stable")
        rank = np.empty(order.size)
        rank[order] = np.arange(order.size)
        first = (rank.reshape(48, 48) < shares * order.size)[..., None]  # (steps + 1, 48, 48, 1): the first so many
        grey = blank(image)[0]
        pictures = np.concatenate([np.where(first, grey, image), np.where(first, image, grey)])
        curves = tf.nn.softmax(_logits(model)(pictures))[:, c].numpy().reshape(2, -1)
        areas.append(np.trapezoid(curves, dx=1 / steps))
    return tuple(np.array(areas).T)


def randomisation(model, images, classes, chosen, stages=6, seed=0):
    """Do the maps change when the network forgets? Layer after layer, from the logits down, its weights are shuffled.

    Shuffled weights are spread as the trained ones are, but know nothing. Batch norms keep theirs.

    Args:
        chosen: dict of name -> method, as `methods` gives.
        stages: up to so many rows, evenly spread over the layers; the last one is always the whole network.

    Returns:
        DataFrame: row the last layer shuffled, column the method, value the mean Spearman correlation of the maps with
        those of the trained network; near 0 is right, near 1 means the map does not depend on the weights. A map
        without any value resembles nothing: 0.

    References:
        Adebayo et al. (2018), Sanity Checks for Saliency Maps.
    """
    import pandas as pd

    broken = keras.models.clone_model(model)
    broken.set_weights(model.get_weights())
    trained = {name: importance(name, method(broken, images, classes)) for name, method in chosen.items()}
    dice, rows = np.random.default_rng(seed), {}
    layers = [layer for layer in reversed(broken.layers) if hasattr(layer, "kernel")]
    shown = set(np.linspace(0, len(layers) - 1, min(stages, len(layers))).round().astype(int))
    for number, layer in enumerate(layers):
        layer.set_weights([dice.permuted(values.ravel()).reshape(values.shape) for values in layer.get_weights()])
        if number in shown:
            now = {name: importance(name, method(broken, images, classes)) for name, method in chosen.items()}
            rows[layer.name] = {name: np.mean(spearman(trained[name], now[name])) for name in chosen}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("shuffled down to")


def spearman(maps, others):
    """Rank correlation of each pair of maps: (n,); 0 where one of them is constant."""
    alike = [
        stats.spearmanr(a, b, axis=None).statistic if np.ptp(a) and np.ptp(b) else 0.0
        for a, b in zip(maps, others, strict=True)
    ]
    return np.array(alike)


def region_shares(maps, regions):
    """Which share of each map's positive part falls on which part of the face.

    Args:
        maps: (n, 48, 48); np.ones gives the shares of the area, what a map would get by chance.
        regions: (n, 48, 48) ints, 0 elsewhere, 1 brows, 2 eyes, 3 mouth.

    Returns:
        (n, 4) float64 in the order of REGIONS, each row sums to 1; nan for a map without anything positive.
    """
    weights = np.maximum(maps, 0).astype(np.float64)
    parts = np.stack([(weights * (regions == r)).sum(axis=(1, 2)) for r in range(len(REGIONS))], axis=1)
    total = parts.sum(axis=1, keepdims=True)
    return np.divide(parts, total, out=np.full_like(parts, np.nan), where=total > 0)


# -- feature maps ------------------------------------------------------------------------------------------------------


class Activity(NamedTuple):
    """What the channels (units) of a layer did on many pictures, at every place."""

    lowest: np.ndarray  # (channels,) float32
    highest: np.ndarray  # (channels,) float32
    off: np.ndarray  # (channels,) float64: share of the values that are not above 0

    @property
    def dead(self):
        """(channels,) bool: never above 0, or always the same."""
        return (self.highest <= 0) | (self.highest == self.lowest)


def activated(model):
    """Where the activations of each conv and hidden dense layer are: dict of its name -> name of the layer.

    That is the layer itself where the ReLU is fused into it, else the ReLU of its own that follows.
    """
    found, last = {}, None
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense) and layer.name != "logits":
            last = layer.name
            found[last] = last
        elif isinstance(layer, keras.layers.ReLU | keras.layers.LeakyReLU | keras.layers.Activation) and last:
            found[last] = layer.name
    return found


def blocks(model):
    """The last conv of each resolution, from the input on: list of names.

    Raises:
        ValueError: for a network without convolutions.
    """
    convs = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    if not convs:
        raise ValueError(f"{model.name} has no convolutions, so it has no feature maps: choose the preset of a CNN")
    return list({layer.output.shape[1]: layer.name for layer in convs}.values())


def feature_maps(model, images, names):
    """What layers put out, after their activation.

    Args:
        names: of `activated` layers.

    Returns:
        dict of name -> (n, h, w, channels) float32 of a conv, (n, units) of a dense layer.
    """
    where = activated(model)
    inner = keras.Model(model.input, {name: model.get_layer(where[name]).output for name in names})
    outputs = inner(_floats(images), training=False)
    return {name: tf.cast(outputs[name], tf.float32).numpy() for name in names}


def extremes(maps, count):
    """The channels that are strongest and weakest on one picture, by the mean over its places; silent ones left out.

    Args:
        maps: (h, w, channels).
        count: how many of each; less where there are not twice as many channels above 0.

    Returns:
        tuple of two (count,) int arrays, each the stronger first.
    """
    order = np.argsort(-maps.mean(axis=(0, 1)), kind="stable")
    heard = order[maps.max(axis=(0, 1))[order] > 0]
    count = min(count, len(heard) // 2)
    return heard[:count], heard[len(heard) - count :]


def activity(model, images, names, batch=64):
    """What each channel does on many pictures: dict of name -> Activity.

    Args:
        names: of `activated` layers.
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


def likeness(maps, pictures):
    """How much each channel resembles a picture: the size of their correlation (Pearson) over the places.

    Args:
        maps: (n, h, w, channels), enlarged to 48×48 here. pictures: (n, 48, 48, 1).

    Returns:
        (n, channels) floats 0…1; 0 for a map without any variation.
    """
    alike = []
    for channels, picture in zip(maps, _floats(pictures), strict=True):
        large = tf.image.resize(channels, (48, 48)).numpy()
        alike.append(np.abs(_standard(picture).T @ _standard(large))[0])
    return np.stack(alike)


def _standard(maps):
    """(48, 48, channels) -> (2304, channels), each with mean 0 and length 1, or all 0."""
    values = maps.reshape(-1, maps.shape[-1])
    values = values - values.mean(axis=0)
    length = np.linalg.norm(values, axis=0)
    return np.divide(values, length, out=np.zeros_like(values), where=length > 1e-4 * np.abs(maps).max())


def effective_field(model, images, name, batch=64):
    """How much each pixel counts for the central place of a conv layer: mean over the pictures of |d place / d pixel|.

    Args:
        name: of a conv layer; the place's channels are added up, after their activation.

    Returns:
        (48, 48) float32, activation per grey level.

    References:
        Luo et al. (2016), Understanding the Effective Receptive Field in Deep Convolutional Neural Networks.
    """
    inner = keras.Model(model.input, model.get_layer(activated(model)[name]).output)
    row, column = (side // 2 for side in inner.output.shape[1:3])
    total = np.zeros((48, 48), np.float32)
    for start in range(0, len(images), batch):
        x = tf.constant(_floats(images[start : start + batch]))
        with tf.GradientTape() as tape:
            tape.watch(x)
            place = tf.reduce_sum(tf.cast(inner(x, training=False)[:, row, column], tf.float32))
        total += np.abs(tape.gradient(place, x)[..., 0]).sum(axis=0)
    return total / len(images)


def core(heat, share=0.9):
    """The smallest square that holds so much of a map.

    Args:
        heat: (h, w), >= 0.
        share: of the map's sum, 0…1.

    Returns:
        tuple of ints: first row, first column, side.
    """
    sums = np.pad(heat.astype(np.float64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    for side in range(1, min(heat.shape) + 1):
        held = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
        if held.max() >= share * sums[-1, -1]:
            break
    row, column = np.unravel_index(held.argmax(), held.shape)
    return int(row), int(column), side
