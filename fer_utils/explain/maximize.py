"""Activation maximization: images by gradient ascent, and the real patches that excite a unit most.

The network stays as it is and the *image* is trained: Adam climbs the unit's activation, while penalties and small
random transformations keep it from the high-frequency noise to which every network responds. A unit is a filter of a
conv layer (its activation: the mean over the image, after the ReLU) or a unit of a dense layer (its activation: the
weighted sum *before* the ReLU, which has a gradient where the ReLU has none).

References:
    Erhan et al. (2009), Visualizing higher-layer features of a deep network.
    Olah, Mordvintsev & Schubert (2017), Feature visualization, Distill.
    Fel et al. (2023), Unlocking feature visualization for deeper networks with MAgnitude Constrained Optimization.
"""

import math
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from fer_utils.explain import graph
from fer_utils.explain.fields import SIDE, receptive_field
from fer_utils.labels import IMAGE_SHAPE


class Maximized(NamedTuple):
    """Images that maximize units, in the order in which the units were asked for."""

    images: np.ndarray  # (units, 48, 48) float32, grey levels 0…255
    activations: np.ndarray  # (units,) float32, of these images as they are, not transformed


class Patches(NamedTuple):
    """The real patches that excite a unit most, the strongest first."""

    patches: np.ndarray  # (top, size, size) float32 grey levels; NaN where the field reaches beyond the image
    activations: np.ndarray  # (top,) float32, at that one place
    images: np.ndarray  # (top,) int, which of the given images


class Stripes(NamedTuple):
    """The strongest wave of each of several patterns: its crests are the stripes that the eye sees."""

    periods: np.ndarray  # (n,) float, pixels from crest to crest; inf where nothing or brightness is strongest
    angles: np.ndarray  # (n,) float, degrees, along the crests: 0 horizontal, 45 rising to the right, 90 vertical
    shares: np.ndarray  # (n,) float 0…1, of the power of all waves: of those within SECTOR of this direction

    @property
    def clear(self):
        """(n,) bool: more than half of the power has one direction, more than twice as much as in noise."""
        return self.shares > 0.5

    @property
    def period(self):
        """float: median of the periods of what has a wave; NaN where nothing has."""
        waves = self.periods[np.isfinite(self.periods)]
        return float(np.median(waves)) if len(waves) else math.nan


SECTOR = 20.0  # degrees to either side


# -- gradient ascent ---------------------------------------------------------------------------------------------------


def maximize(
    model, layer, units=None, spectrum=None, steps=150, tv=None, l2=None, shift=4, rotation=10.0, zoom=0.1, seed=0
):
    """Compute images that maximize units of a layer, all in one batch.

    All units start from the same noise and share each step's transformation, so a unit's image does not depend on which
    others are asked for.

    Args:
        model: Keras model, input (48, 48, 1) grey levels 0…255.
        layer: name of a conv or dense layer, or `logits`. units: list of ints, None for all of the layer.
        spectrum: (48, 25) magnitudes from `mean_spectrum`: only the phase is learned, and there are no penalties
            (MaCo). None: every pixel is learned, through a sigmoid.
        steps: of Adam with rate 0.1.
        tv: weight of the total variation, a mean over pixels; None: 3 for dense layers, 0.2 for convs.
        l2: weight of the squared distance from middle grey, likewise; None: 1 for dense layers, 0.1 for convs. For
            convs both count in units of the layer's mean activation on plain grey: layers differ by factors of 100.
        shift, rotation, zoom: largest random transformation, in pixels, degrees and as a share; 0: none.
        seed: int; of the initial noise and of the transformations.

    Returns:
        Maximized: images (units, 48, 48) and activations (units,).

    Raises:
        ValueError: for a layer or unit that does not exist; the message lists those that do.
    """
    units = _check_units(model, layer, units)
    score, dense = _score(model, layer, units), _is_vector(_step(model, layer))
    tv, l2 = (3.0 if dense else 0.2) if tv is None else tv, (1.0 if dense else 0.1) if l2 is None else l2
    if not dense:
        usual = _usual(model, layer)
        tv, l2 = tv * usual, l2 * usual
    if spectrum is None:  # convs start from strong noise: in even grey their filters would find no pattern
        start, image = (0.01 if dense else 1.0) * _noise((SIDE, SIDE), len(units), seed), tf.sigmoid
    else:
        start, image = np.pi * _noise(spectrum.shape, len(units), seed), _from_phase(spectrum)
        tv = l2 = 0.0
    unknown, adam = keras.Variable(start), keras.optimizers.Adam(0.1)
    adam.build([unknown])

    @tf.function(input_signature=[tf.TensorSpec((8,))], autograph=False)
    def step(transform):
        with tf.GradientTape() as tape:
            images = image(unknown.value)  # (units, 48, 48) in 0…1
            loss = tv * _variation(images) + l2 * tf.reduce_sum((images - 0.5) ** 2) / SIDE**2
            moved = keras.ops.image.affine_transform(_as_batch(images), transform, fill_mode="nearest")
            loss -= tf.reduce_sum(score(moved))
        adam.apply(tape.gradient(loss, [unknown.value]), [unknown])

    for transform in _transforms(steps, shift, rotation, zoom, seed):
        step(transform)
    images = _as_batch(image(unknown.value))
    return Maximized(images.numpy()[..., 0], score(images).numpy())


def mean_spectrum(images):
    """Return the mean magnitude of the images' Fourier transforms: what all faces share, wherever their parts are.

    Args:
        images: (n, 48, 48, 1) grey levels.

    Returns:
        (48, 25) float32, the half that determines a real image.
    """
    return np.abs(np.fft.rfft2(np.asarray(images)[..., 0])).mean(axis=0).astype(np.float32)


def _noise(shape, count, seed):
    """Draw the same normal noise for every unit: (units, height, width)."""
    noise = np.random.default_rng(seed).normal(size=(1, *shape)).astype(np.float32)
    return np.repeat(noise, count, axis=0)


def _from_phase(spectrum):
    """Return the function from phases (units, 48, 25) to images (units, 48, 48) of this spectrum, in 0…1."""
    magnitude = tf.constant(spectrum)

    def image(phase):
        waves = tf.signal.irfft2d(tf.complex(magnitude * tf.cos(phase), magnitude * tf.sin(phase)), [SIDE, SIDE])
        mean, variance = tf.nn.moments(waves, axes=[1, 2], keepdims=True)
        return tf.sigmoid(1.5 * (waves - mean) / tf.sqrt(variance + 1e-6))

    return image


def _transforms(steps, shift, rotation, zoom, seed):
    """Draw a small random affine map for each step, which the content of an image must survive: (steps, 8)."""
    draw = np.random.default_rng(seed + 1).uniform(-1, 1, (4, steps))
    right, down, angle, larger = draw * np.array([[shift], [shift], [np.radians(rotation)], [zoom]])
    a, b = (1 + larger) * np.cos(angle), (1 + larger) * np.sin(angle)
    middle, zero = (SIDE - 1) / 2, np.zeros(steps)  # about the centre: pixel (x, y) is read from …
    x, y = middle * (1 - a + b) + right, middle * (1 - a - b) + down
    return np.stack([a, -b, x, b, a, y, zero, zero], axis=1).astype(np.float32)  # … (ax − by + …, bx + ay + …)


DIFFERENCES = np.eye(SIDE - 1, SIDE, 1, dtype=np.float32) - np.eye(SIDE - 1, SIDE, dtype=np.float32)


def _variation(images):
    """Return the total variation: differences between neighbours, by pixel, summed over the units."""
    down, right = tf.matmul(DIFFERENCES, images), tf.matmul(images, DIFFERENCES.T)  # slices have slow gradients
    return (tf.reduce_sum(tf.abs(down)) + tf.reduce_sum(tf.abs(right))) / SIDE**2


def _as_batch(images):
    """(units, 48, 48) in 0…1 -> (units, 48, 48, 1) grey levels 0…255, as the network takes them."""
    return 255 * images[..., None]


# -- what is seen on the images ----------------------------------------------------------------------------------------


def stripes(patterns, window=True, points=192):
    """Measure period and direction of the strongest wave of each pattern, by its Fourier transform.

    Args:
        patterns: (n, side, side) grey levels or weights.
        window: whether patterns are parts of a larger image: they fade out at their edges (Hann), and neither their
            mean nor waves longer than their side count. False for kernels, which are 0 beyond their edges.
        points: of the spectrum along each axis.

    Returns:
        Stripes: periods (n,) in pixels, angles (n,) in degrees, shares (n,).
    """
    patterns, side = np.asarray(patterns, np.float64), np.shape(patterns)[-1]
    if window:
        fade = np.outer(np.hanning(side), np.hanning(side))
        patterns = fade * (patterns - (fade * patterns).sum(axis=(1, 2), keepdims=True) / fade.sum())
    power = np.abs(np.fft.fft2(patterns, (points, points))).reshape(len(patterns), -1) ** 2
    down, right = (waves.ravel() for waves in np.meshgrid(*2 * [np.fft.fftfreq(points)], indexing="ij"))
    frequency, direction = np.hypot(down, right), 90 - np.degrees(np.arctan2(down, right))  # crests cross their wave
    power *= frequency >= (1 / side if window else 0)
    peak = power.argmax(axis=1)  # the first, at frequency 0, where a pattern is even
    turned = between(direction, direction[peak, None])
    waves = power * (frequency > 0)
    near, every = (waves * (turned <= SECTOR)).sum(axis=1), waves.sum(axis=1)
    shares = np.divide(near, every, out=np.zeros_like(every), where=every > 0)
    periods = np.divide(1, frequency[peak], out=np.full(len(peak), np.inf), where=peak > 0)
    return Stripes(periods, direction[peak] % 180, shares)


def between(angles, others):
    """Return the angles between directions, 0…90 degrees: 175 and 5 differ by 10."""
    return np.abs((np.subtract(angles, others) + 90) % 180 - 90)


# -- activations -------------------------------------------------------------------------------------------------------


def layer_units(model):
    """List the layers that have units: dict of name -> number of units, from the input to the logits.

    Units are the filters of conv layers (channels, where each has its own filter), those of dense layers, the logits.
    """
    return {
        name: step.output.shape[-1]
        for name, step in graph.steps(model).items()
        if isinstance(step.layer, (*graph.CONVS, layers.Dense)) or name == "logits"
    }


def hidden_dense(model):
    """List the hidden dense layers on a flat input, from the input on; networks without are fine, too."""
    answer, every = {"logits", graph.classifier(model)}, graph.steps(model)
    return [name for name in layer_units(model) if _is_vector(every[name]) and name not in answer]


def filters(model):
    """Return the first layer that has units and its weights as images: name, (side, side, units) float32.

    Raises:
        NoAnswer: where its weights are no square images, such as on several channels.
    """
    name, units = next(iter(layer_units(model).items()))
    layer = graph.steps(model)[name].layer
    if isinstance(layer, layers.SeparableConv2D):
        kernel = np.asarray(layer.depthwise_kernel) @ np.asarray(layer.pointwise_kernel)[0, 0]
    else:
        kernel = np.asarray(getattr(layer, "kernel", ()))
    side = math.isqrt(kernel.size // units)
    if not side or side**2 * units != kernel.size:
        raise graph.NoAnswer(
            "The weights of {layer}, the first layer of {model} that has units, are no square images.",
            layer=name,
            model=model.name,
        )
    return name, kernel.reshape(side, side, units)


def activations(model, layer, images, units=None, batch=256):
    """Return the activation of units at every place: after the ReLU for convs, before it for dense layers.

    Args:
        model, layer, units: as for `maximize`.
        images: (n, 48, 48) or (n, 48, 48, 1) grey levels 0…255.

    Returns:
        (n, height, width, units) float32; height = width = 1 for a dense layer on a flat input.
    """
    units = _check_units(model, layer, units)
    images = np.asarray(images).reshape(-1, *IMAGE_SHAPE)
    places, starts = _places(model, layer, units), range(0, len(images), batch)
    return np.concatenate([places(images[i : i + batch]).numpy() for i in starts])


def _score(model, layer, units):
    """Return the function from images (units, 48, 48, 1) to (units,): each image's activation of its own unit."""
    if _is_vector(_step(model, layer)):
        places = _places(model, layer, units)
        return lambda images: tf.linalg.diag_part(places(images)[:, 0, 0])
    inner, own = graph.part(model, [layer]), tf.one_hot(units, layer_units(model)[layer])[..., None]

    def score(images):  # a product picks each image's own map: the gradient of `gather` would take most of the time
        maps = inner(images, training=False)[layer]
        maps = tf.reshape(maps, (len(units), -1, maps.shape[-1])) @ tf.cast(own, maps.dtype)
        return tf.reduce_mean(tf.nn.relu(tf.cast(maps, tf.float32)), axis=(1, 2))

    return score


def _places(model, layer, units):
    """Return the function from images to activations (n, height, width, units), float32 whatever the precision."""
    step = _step(model, layer)
    linear = isinstance(step.layer, layers.Dense) and _is_vector(step)
    source = step.before[0] if linear else layer
    inner = graph.part(model, [source])

    def places(images):
        x = inner(images, training=False)[source]
        if linear:  # what comes before its ReLU
            x = tf.cast(x, tf.float32) @ tf.gather(step.layer.kernel.value, units, axis=1)
            x += tf.gather(step.layer.bias.value, units) if step.layer.use_bias else 0
        else:
            x = tf.cast(tf.gather(x, units, axis=-1), tf.float32)
        if not _is_vector(step):
            x = tf.nn.relu(x)  # changes nothing where the layer has a ReLU of its own
        for _ in range(4 - len(x.shape)):
            x = x[:, None]
        return x

    return places


def _usual(model, layer):
    """Return the mean activation of a conv layer on plain grey."""
    every = range(layer_units(model)[layer])
    return float(tf.reduce_mean(_places(model, layer, every)(tf.fill((1, *IMAGE_SHAPE), 127.5))))


def _is_vector(step):
    """Return whether a step puts out a vector (a dense layer on the last axis of an image is a 1×1 convolution)."""
    return len(step.output.shape) == 2


def _step(model, name):
    if name not in layer_units(model):
        raise ValueError(f"layer={name!r} has no units; choose one of: {', '.join(layer_units(model))}")
    return graph.steps(model)[name]


def _check_units(model, layer, units):
    _step(model, layer)
    count = layer_units(model)[layer]
    units = list(range(count)) if units is None else [int(unit) for unit in units]
    if not units or min(units) < 0 or max(units) >= count:
        raise ValueError(f"units={units}: {layer} has the units 0 … {count - 1}")
    return units


# -- real patches ------------------------------------------------------------------------------------------------------


def top_patches(model, layer, images, units=None, top=9):
    """Cut out the places in real images that excite units most, at most one an image.

    Args:
        model, layer, units: as for `maximize`.
        images: (n, 48, 48, 1) grey levels.
        top: how many patches a unit, at most n.

    Returns:
        list of Patches, one a unit.
    """
    images, field = np.asarray(images)[..., 0], receptive_field(model, layer)
    maps = activations(model, layer, images, units)
    flat = maps.reshape(len(maps), -1, maps.shape[-1])  # (n, places, units)
    peaks, places = flat.max(axis=1), flat.argmax(axis=1)  # (n, units)
    found = []
    for unit in range(maps.shape[-1]):
        best = np.argsort(-peaks[:, unit], kind="stable")[:top]
        corners = np.stack(np.divmod(places[best, unit], maps.shape[2]), axis=1) * field.stride + field.start
        cut = [_cut(images[n], *corner, field.size) for n, corner in zip(best, corners, strict=True)]
        found.append(Patches(np.stack(cut), peaks[best, unit], best))
    return found


def _cut(image, top, left, size):
    """Return a square of an image, NaN outside of it."""
    framed = np.pad(image.astype(np.float32), size, constant_values=np.nan)  # a field overlaps its image
    return framed[top + size : top + 2 * size, left + size : left + 2 * size]
