"""Find leaks: training images among those that judge a network, also mirrored, rotated, shifted or in another light.

NumPy in, NumPy out; no Keras. The first look compares how strong coarse waves are in two images: a shift does not
change that, a rotation turns the waves, a mirror flips them. It names for each image the training image most like it.
The second look lays the two on one another and compares their details; it decides. In FER2013, which has hundreds of
photographs in both sets, 60 pairs that correlate by 0.90 to 0.95 were looked at: all showed one photograph twice.
"""

import json
import os
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import fft, ndimage

from fer_utils import data
from fer_utils.labels import IMAGE_SHAPE
from fer_utils.words import joined, words

WORTH_NAMING = 0.01  # share of a split
JUDGES = ("val", "public", "private", "test")  # the splits whose accuracy is told

SIDE = IMAGE_SHAPE[0]
PLACES = np.stack(np.mgrid[:SIDE, :SIDE], axis=-1).astype(np.float32) - (SIDE - 1) / 2  # (48, 48, 2), from the centre
RADIUS = np.hypot(PLACES[..., 0], PLACES[..., 1])
DISC = np.cos(np.pi / 2 * np.clip(2 * RADIUS / SIDE, 0, 1)).reshape(-1, 1)  # fades out where a rotation cuts corners
INNER = np.clip((19 - RADIUS) / 4, 0, 1)  # of the second look

FINEST = 9  # waves across an image, at most
AXES = 64  # numbers that describe an image in the first look
ALIKE = 0.7  # least cosine that is worth a second look
ANGLES = (0, -8, 8)  # degrees that the first look tries
FINE_ANGLES = (-4, -2, 2, 4)  # added to them in the second look
SHIFT = 6  # most pixels
PROMISING, SAME = 0.5, 0.93  # correlations: worth the fine angles; the same photograph


# -- leaks of a dataset ------------------------------------------------------------------------------------------------


class Leak(NamedTuple):
    """How many of the `images` of a split are copies of images that the network trains on, and how many exact ones."""

    split: str
    images: int
    copies: int
    exact: int


def originals(dataset, split):
    """Find for each image of a split the image of which it is a copy, among those that must not share any with it.

    The answer is kept in the cache, since it takes seconds. Drawn faces have no copies: each was drawn by itself.

    Args:
        dataset: data.Dataset. split: a test split (searches train and val) or val (searches train).

    Returns:
        (n,) int64 in the order of `dataset.part(split)`: row of dataset.images, or -1.
    """
    rows = dataset.where(split)
    others = np.flatnonzero(np.isin(dataset.split, ("train",) if split == "val" else ("train", "val")))
    if dataset.drawn or not len(others):
        return np.full(len(rows), -1)
    key = data.hash_of(f"{dataset.fingerprint} {split}".encode(), Path(__file__).read_bytes())
    kept = data.cache_root() / f"leaks-{key}.json"
    with suppress(OSError, ValueError):
        return np.array(json.loads(kept.read_text("utf-8")), np.int64)
    found = sources(dataset.images[rows], dataset.images[others])
    found = np.where(found < 0, -1, others[found])
    with suppress(OSError):  # a cache that cannot be written is no reason to stop
        half = kept.with_suffix(f".{os.getpid()}")
        half.write_text(json.dumps(found.tolist()), "utf-8")
        os.replace(half, kept)
    return found


def count(dataset):
    """Count the leaks into each split that judges: list of Leak."""
    leaks = []
    for split in [split for split in JUDGES if split in dataset.splits]:
        rows, twins = dataset.where(split), originals(dataset, split)
        rows, twins, n = rows[twins >= 0], twins[twins >= 0], len(rows)
        exact = (dataset.images[rows] == dataset.images[twins]).all(axis=(1, 2, 3))
        leaks.append(Leak(split, n, len(rows), int(exact.sum())))
    return leaks


def warning(dataset):
    """Return the sentence, as Words, that names every leak worth naming; None without any."""
    named = [leak for leak in count(dataset) if leak.copies > WORTH_NAMING * leak.images]
    if not named:
        return None
    shown = [
        words("{split} {copies:,} ({share:.1%}, exact {exact:,})", **leak._asdict(), share=leak.copies / leak.images)
        for leak in named
    ]
    return words("Leak: copies of training images, exact or altered, are in {shown}.", shown=joined(shown))


# -- both looks --------------------------------------------------------------------------------------------------------


def sources(images, training):
    """Find for each image the training image of which it is a copy: the same, or altered.

    Copies that are mirrored, rotated by up to 12°, shifted by up to 4 pixels, in another light or contrast, noisy or
    compressed are found, also several of these at once; most of those that are 10 % larger or smaller are not.

    Args:
        images: (n, 48, 48, 1) uint8. training: (N, 48, 48, 1) uint8.

    Returns:
        (n,) int64 places in `training`, the first one of equal images; or -1.
    """
    first = data.group_identical(np.concatenate([training, images]))[len(training) :]
    found = np.where(first < len(training), first, -1)
    seen = strengths(training)
    mean, directions = axes(seen)
    seen = unit((seen - mean) @ directions)
    for mirrored, angle in product((False, True), ANGLES):
        rows = np.flatnonzero(found < 0)
        cosines, places = most_alike(unit((strengths(images[rows], angle, mirrored) - mean) @ directions), seen)
        rows, places = rows[cosines > ALIKE], places[cosines > ALIKE]
        same = likeness(images[rows], training[places], angle, mirrored) > SAME
        found[rows[same]] = places[same]
    return found


# -- the first look ----------------------------------------------------------------------------------------------------


def strengths(images, angle=0, mirrored=False):
    """Measure how strong coarse waves are in images that are mirrored and turned: the size of their Fourier transform.

    Args:
        images: (N, 48, 48, 1) uint8. angle: degrees, anticlockwise. mirrored: whether left and right change, first.

    Returns:
        (N, 126) float32 of length 1, or 0 for a blank image. Shifts, brightness and contrast hardly change them.
    """
    waves = np.stack(np.mgrid[-FINEST : FINEST + 1, : FINEST + 1], axis=-1).reshape(-1, 2)
    waves = waves[(np.hypot(*waves.T) <= FINEST) & ((waves[:, 1] > 0) | (waves[:, 0] > 0))]  # one of each pair ±wave
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    waves = waves @ np.array([[cos, -sin], [sin, cos]]) * (1, -1 if mirrored else 1)  # the waves turn, not the images
    phases = 2 * np.pi / SIDE * PLACES.reshape(-1, 2) @ waves.T.astype(np.float32)
    probes = DISC * np.hstack([np.cos(phases), np.sin(phases)])
    probes -= DISC * (probes.sum(axis=0) / DISC.sum())  # a grey image has none
    parts = np.concatenate(
        [some.reshape(len(some), SIDE**2).astype(np.float32) @ probes for some in blocks(images, 4096)]
    )
    return unit(np.hypot(*np.split(parts, 2, axis=1)))


def axes(seen):
    """Choose the directions in which strengths (N, 126) differ most: their mean (126,), and a matrix (126, 64)."""
    mean = seen.mean(axis=0)
    variance, directions = np.linalg.eigh((seen - mean).T @ (seen - mean) / len(seen))
    scale = variance[-AXES:].clip(variance[-1] / 1000 + 1e-9) ** 0.25  # half way to equal weight
    return mean, (directions[:, -AXES:] / scale).astype(np.float32)


def most_alike(wanted, seen):
    """Find for unit vectors (n, d) the largest cosine (n,) with any of the unit vectors (N, d), and its place (n,)."""
    cosines, places = np.empty(len(wanted), np.float32), np.empty(len(wanted), np.int64)
    for start, some in enumerate(blocks(wanted, 128)):
        at = slice(128 * start, 128 * start + len(some))
        table = some @ seen.T
        places[at] = table.argmax(axis=1)
        cosines[at] = np.take_along_axis(table, places[at, None], axis=1)[:, 0]
    return cosines, places


def blocks(array, size):
    """Cut an array into blocks along its first axis; an empty one into itself."""
    return [array[start : start + size] for start in range(0, max(len(array), 1), size)]


def unit(vectors):
    """Divide vectors (N, d) by their lengths; those of length 0 stay."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-6)


# -- the second look ---------------------------------------------------------------------------------------------------


def likeness(images, others, angle, mirrored):
    """Correlate the details of images with those of others, where they lie best on one another: (n,) in [-1, 1].

    Args:
        images, others: (n, 48, 48, 1) uint8, in pairs. angle, mirrored: how the images are altered, about.
    """
    here, there = details(images), details(others)
    here = here[:, :, ::-1] if mirrored else here
    best = correlation(turned(here, angle), there)
    rows = np.flatnonzero((best > PROMISING) & (best <= SAME))
    for fine in FINE_ANGLES:
        best[rows] = np.maximum(best[rows], correlation(turned(here[rows], angle + fine), there[rows]))
    return best


def details(images):
    """Return what is between 3 and 9 pixels wide in images (n, 48, 48, 1) uint8: (n, 48, 48) float32."""
    images = images[..., 0].astype(np.float32)
    return ndimage.uniform_filter(images, (1, 3, 3)) - ndimage.uniform_filter(images, (1, 9, 9))


def turned(images, angle):
    """Turn images (n, 48, 48) about their centre by degrees, anticlockwise."""
    if not angle or not len(images):
        return images
    return ndimage.rotate(images, angle, axes=(1, 2), reshape=False, order=1, mode="nearest")


def correlation(images, others):
    """Correlate images with the inner disc of others (n, 48, 48), shifted by up to SHIFT pixels: (n,), the highest."""
    disc, inner = transform(INNER[None].astype(np.float32)).conj(), transform(INNER * others).conj()
    products, energies = back(transform(images) * inner), back(transform(images**2) * disc)
    energy = (INNER * others**2).sum(axis=(1, 2))[:, None, None]
    shifts = np.ix_(range(len(images)), *2 * [np.r_[-SHIFT : SHIFT + 1]])
    return (products[shifts] / np.sqrt((energies[shifts] * energy).clip(1e-3))).max(axis=(1, 2), initial=-1)


def transform(images):
    """Transform images (n, 48, 48) to frequencies (n, 48, 25)."""
    return fft.rfft2(images, workers=-1)


def back(frequencies):
    """Transform frequencies (n, 48, 25) to images (n, 48, 48)."""
    return fft.irfft2(frequencies, s=(SIDE, SIDE), workers=-1)
