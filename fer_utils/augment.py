"""Augmentation as one tf.data step: a batch of images and a seed in, changed images out.

Every random draw is stateless (a function of the seed alone), so a resumed training sees the same images as an
uninterrupted one. Images are float32 grey levels 0…255; pixels that move in from outside repeat the edge.
"""

import math

import tensorflow as tf

from fer_utils.machine import on_gpu

# Each setting is 0 (or False) unless a preset says otherwise; `augment()` refuses names that are not here.
SETTINGS = {
    "shift": "largest shift, as a share of the width and of the height",
    "rotation": "largest rotation to either side, in degrees",
    "zoom": "largest change of scale, as a share",
    "shear": "largest shear, in degrees",
    "crop": "largest share of the side that a random crop cuts away (the rest is enlarged again)",
    "flip": "mirror each image with probability one half",
    "noise": "standard deviation of Gaussian noise on each pixel, as a share of the grey range",
    "cutout": "side of a square that is filled with the image's mean, in pixels",
}


def augment(images, seed, **settings):
    """Randomly augment a batch of images.

    Args:
        images: (batch, height, width, 1) float32 tensor, grey levels 0…255.
        seed: (2,) int tensor; the same seed gives the same images.
        settings: see SETTINGS.

    Returns:
        Tensor of the same shape and range.

    Raises:
        ValueError: for a setting that is not in SETTINGS.
    """
    unknown = sorted(set(settings) - set(SETTINGS))
    if unknown:
        raise ValueError(f"augment: unknown {', '.join(unknown)}; there are: {', '.join(SETTINGS)}")
    given = {name: value for name, value in settings.items() if value}
    moves = {name: given[name] for name in ("shift", "rotation", "zoom", "shear", "crop", "flip") if name in given}
    if moves:
        images = warp(images, seed, **moves)
    if "noise" in given:
        images = images + 255 * given["noise"] * tf.random.stateless_normal(tf.shape(images), _fold(seed, 10))
        images = tf.clip_by_value(images, 0.0, 255.0)
    if "cutout" in given:
        images = cutout(images, seed, given["cutout"])
    return images


def warp(images, seed, shift=0.0, rotation=0.0, zoom=0.0, shear=0.0, crop=0.0, flip=False):
    """Shift, rotate, zoom, shear, crop and mirror in one affine transform (bilinear) about the image's centre."""
    count, height, width = tf.shape(images)[0], images.shape[1], images.shape[2]

    def draw(number, largest):
        return tf.random.stateless_uniform([count], _fold(seed, number), -largest, largest)

    angle, slant = draw(0, math.radians(rotation)), draw(1, math.radians(shear))
    kept = 1 - tf.abs(draw(7, crop))  # share of the side that is left; its place in the image is drawn below
    scale_x, scale_y = kept * (1 + draw(2, zoom)), kept * (1 + draw(3, zoom))
    mirror = tf.where(draw(4, 1.0) < 0, -1.0, 1.0) if flip else tf.ones([count])
    # Rows of the matrix that maps an output pixel to the input pixel that it is read from.
    a, b = mirror * scale_x * tf.cos(angle), -scale_x * tf.sin(angle + slant)
    d, e = mirror * scale_y * tf.sin(angle), scale_y * tf.cos(angle + slant)
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    c = middle_x - a * middle_x - b * middle_y + draw(5, shift * width) + draw(8, width / 2) * (1 - kept)
    f = middle_y - d * middle_x - e * middle_y + draw(6, shift * height) + draw(9, height / 2) * (1 - kept)
    zero = tf.zeros([count])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([a, b, c, d, e, f, zero, zero], axis=1),
        output_shape=[height, width],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )


def cutout(images, seed, side):
    """Fill a random square of each image with the image's mean.

    References:
        DeVries & Taylor (2017), Improved Regularization of Convolutional Neural Networks with Cutout, arXiv:1708.04552.
    """
    count, height, width = tf.shape(images)[0], images.shape[1], images.shape[2]
    middle_y = tf.random.stateless_uniform([count, 1, 1, 1], _fold(seed, 20), 0.0, float(height))
    middle_x = tf.random.stateless_uniform([count, 1, 1, 1], _fold(seed, 21), 0.0, float(width))
    rows = tf.reshape(tf.range(height, dtype=tf.float32), [1, -1, 1, 1])
    columns = tf.reshape(tf.range(width, dtype=tf.float32), [1, 1, -1, 1])
    hole = (tf.abs(rows - middle_y) < side / 2) & (tf.abs(columns - middle_x) < side / 2)
    return tf.where(hole, tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True), images)


def batches(images, targets, batch, seed, first_epoch=0, epochs=1, augmentation=None, balanced=None):
    """Stream the training images, shuffled anew in every epoch, as a tf.data.Dataset.

    A batch is a function of (seed, epoch, step) alone, so a stream can start at any epoch.

    Args:
        images: (N, 48, 48, 1) uint8 array. targets: array of N rows, such as labels or their distributions.
        batch: images a step; the last batch of an epoch may be smaller.
        seed: int. first_epoch, epochs: the stream holds the epochs first_epoch … epochs − 1.
        augmentation: settings of `augment`, or None.
        balanced: (N,) int labels: sample each epoch with replacement, all classes equally often; None: each image once.

    Returns:
        tf.data.Dataset of ((batch, 48, 48, 1) float32 in 0…255, (batch, …) as the targets).
    """
    count, steps = len(images), math.ceil(len(images) / batch)
    images, targets = tf.constant(images), tf.constant(targets)
    if balanced is not None:
        classes = tf.constant(balanced, tf.int32)
        rarity = -tf.math.log(tf.gather(tf.cast(tf.math.bincount(classes), tf.float32), classes))

    def rows_of(epoch):  # the images of each batch, by row number
        if balanced is not None:
            order = tf.random.stateless_categorical(rarity[None], count, seed=[seed, epoch], dtype=tf.int32)[0]
        else:
            order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=[seed, epoch])
        return tf.data.Dataset.from_tensor_slices(order).batch(batch).enumerate(epoch * steps)

    def read(step, rows):
        chosen = tf.cast(tf.gather(images, rows), tf.float32)
        if augmentation:
            chosen = augment(chosen, tf.stack([tf.constant(seed, tf.int64), step]), **augmentation)
        return chosen, tf.gather(targets, rows)

    stream = tf.data.Dataset.range(first_epoch, epochs).flat_map(rows_of)
    at_once = tf.data.AUTOTUNE if on_gpu() else 2  # a GPU leaves the cores to this; elsewhere training needs them
    return stream.map(read, num_parallel_calls=at_once).prefetch(4)


def _fold(seed, number):
    """Derive another seed for each random draw."""
    return tf.random.experimental.stateless_fold_in(tf.cast(seed, tf.int64), number)
