"""Find copies among the images: exact and near ones, leaks between the sets, conflicting labels.

NumPy in, NumPy out; no Keras. Copies of one image form a *group*, whose number is its first row; `data.parts` says
what a *part* is.
"""

import io

import numpy as np
import pandas as pd

from fer_utils import data, metrics
from fer_utils.labels import IMAGE_SHAPE
from fer_utils.words import marked

ALTERED = marked("lighter", "noise", "JPEG", "shifted", "mirrored")  # the copies that `altered` makes


# -- near copies -------------------------------------------------------------------------------------------------------


def near_copies(images, distance=8, correlation=0.92):
    """Find pairs of images that are nearly equal: saved again, lightened, with another watermark, shifted by a pixel.

    Two images are candidates if their perceptual hashes (pHash, 64 bits), which ignore brightness, differ in few bits.
    Many faces have similar hashes, so the pixels must correlate as well, without the mean face that all images share.

    Args:
        images: (N, 48, 48, 1) uint8.
        distance: maximal number of bits in which the hashes differ, 0…64.
        correlation: minimal correlation of the pixels, up to 1.

    Returns:
        (pairs, 2) int64 row numbers, the smaller one first. Of exactly equal images only the first one is compared.

    References:
        Zauner (2010), Implementation and benchmarking of perceptual image hash functions, Upper Austria University of
        Applied Sciences.
    """
    first = np.unique(data.group_identical(images))
    pairs = first[close_pairs(hashes(images[first]), distance)]
    return pairs[pixel_correlation(images, pairs) >= correlation]


def hashes(images):
    """Compute perceptual hashes (N,) uint64 of images (N, 48, 48, 1) uint8, in about 0.2 ms each."""
    from imagehash import phash
    from PIL import Image

    bits = [phash(Image.fromarray(image[..., 0])).hash.ravel() for image in images]
    return np.packbits(bits, axis=1).view(np.uint64)[:, 0]


def close_pairs(codes, distance, block=512):
    """Find the index pairs (pairs, 2), a < b, of codes (N,) uint64 that differ in at most `distance` bits.

    Compares all pairs: 6 × 10^8 for FER2013, which takes some seconds.
    """
    pairs = [np.empty((0, 2), np.int64)]
    for start in range(0, len(codes), block):  # (block, N - start) distances at a time
        bits = np.bitwise_count(codes[start : start + block, None] ^ codes[start:])
        here, there = np.nonzero(bits <= distance)
        pairs.append(start + np.stack([here, there], axis=1)[here < there])
    return np.concatenate(pairs)


def pixel_correlation(images, pairs):
    """Correlate the pixels of two images without the mean face, (pairs,) in [-1, 1]; 0 for a blank image."""
    rows, places = np.unique(pairs, return_inverse=True)
    vectors, mean = unit(images[rows]), unit(images.mean(axis=0)[None])[0]
    vectors = unit(vectors - np.outer(vectors @ mean, mean))
    a, b = places.reshape(-1, 2).T
    return np.einsum("ij,ij->i", vectors[a], vectors[b])


def unit(images):
    """Normalise images (n, …) to float32 vectors (n, pixels) of mean 0 and length 1, or length 0 if blank."""
    vectors = images.reshape(-1, np.prod(IMAGE_SHAPE)).astype(np.float32)
    vectors -= vectors.mean(axis=1, keepdims=True)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-6)


def altered(images, seed=0):
    """Make near copies, to test which of them `near_copies` finds.

    Args:
        images: (N, 48, 48, 1) uint8. seed: of the noise.

    Returns:
        dict from name to (N, 48, 48, 1) uint8: 20 grey levels lighter, Gaussian noise of σ = 8 grey levels, JPEG of
        quality 30, shifted to the right by a pixel, mirrored.
    """
    noise = np.random.default_rng(seed).normal(0, 8, images.shape)
    copies = (
        (images.astype(int) + 20).clip(0, 255).astype(np.uint8),
        (images + noise).round().clip(0, 255).astype(np.uint8),
        np.stack([as_jpeg(image, quality=30) for image in images]),
        np.concatenate([images[:, :, :1], images[:, :, :-1]], axis=2),
        images[:, :, ::-1],
    )
    return dict(zip(ALTERED, copies, strict=True))


def as_jpeg(image, quality):
    """Compress an image (48, 48, 1) uint8 to JPEG of a quality 1…95 and decode it."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image[..., 0]).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))[..., None]


# -- groups of copies --------------------------------------------------------------------------------------------------


def join(groups, pairs):
    """Join groups of exact copies with pairs of near copies.

    A pair joins its two groups, so two images of a group may be related only through a third one.

    Args:
        groups: (N,) from `data.group_identical`. pairs: (pairs, 2) from `near_copies`.

    Returns:
        (N,) group numbers.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = np.arange(len(groups))
    a, b = np.concatenate([np.stack([rows, groups], axis=1), pairs]).T
    component = connected_components(coo_array((np.ones(len(a)), (a, b)), shape=(len(rows), len(rows))))[1]
    return np.unique(component, return_index=True)[1][component]


def differing(groups, values):
    """Return the numbers of the groups whose images differ in a value: a label (-1, unknown, is ignored) or a part."""
    frame = pd.DataFrame({"group": groups, "value": values})
    counts = frame[frame["value"] != -1].groupby("group")["value"].nunique()
    return np.array(counts.index[counts > 1], np.int64)


def copies(dataset, groups):
    """Count the copies in a dataset.

    Args:
        dataset: data.Dataset. groups: (N,) from `data.group_identical` or `join`.

    Returns:
        dict of ints: groups, images in them, groups across parts, groups with conflicting labels.
    """
    sizes = np.unique(groups, return_counts=True)[1]
    return {
        "groups": int((sizes > 1).sum()),
        "images": int(sizes[sizes > 1].sum()),
        "across": len(differing(groups, data.parts(dataset.split))),
        "conflicting": len(differing(groups, dataset.labels)),
    }


def examples(groups, values, n=4, seed=0):
    """Draw groups whose images differ in a value, as rows (k <= n, 2) of two such images."""
    some = np.random.default_rng(seed).permutation(differing(groups, values))[:n]
    pairs = []
    for group in some:
        rows = np.flatnonzero((groups == group) & (pd.Series(values) != -1))
        other = next(row for row in rows if values[row] != values[rows[0]])
        pairs.append((rows[0], other))
    return np.array(pairs, np.int64).reshape(-1, 2)


# -- leaks -------------------------------------------------------------------------------------------------------------


def twins(dataset, split, groups=None):
    """Find leaks: for each image of a split, a copy of it in the sets that must not share images with this split.

    Args:
        dataset: data.Dataset.
        split: a test split (searches train and val), val (searches train), or train (searches the test splits).
        groups: (N,) group numbers from `join`; None: exact copies only.

    Returns:
        (n,) int64 in the order of `dataset.part(split)`: first such row of dataset.images, or -1.
    """
    groups = data.group_identical(dataset.images) if groups is None else groups
    elsewhere = {"train": ("public", "private", "test"), "val": ("train",)}.get(split, ("train", "val"))
    others = np.flatnonzero(np.isin(dataset.split, elsewhere))
    found, first = np.unique(groups[others], return_index=True)
    twin = dict(zip(found.tolist(), others[first].tolist(), strict=True))
    return np.array([twin.get(group, -1) for group in groups[dataset.where(split)].tolist()], np.int64)


def change_without(right, left_out, draws=2000, seed=0):
    """Compute by how much accuracy changes if some images are left out, with a 95 % bootstrap percentile interval.

    Resampling n images is drawing n times from four cells (right or wrong, left out or not).

    Args:
        right: (n,) bool, correctly classified images. left_out: (n,) bool, not all True.

    Returns:
        metrics.Estimate; 0.01 is one percentage point.
    """
    n, cells = len(right), np.bincount(2 * np.asarray(right, int) + left_out, minlength=4)
    drawn = np.random.default_rng(seed).multinomial(n, cells / n, size=draws)
    wrong_kept, _, right_kept, right_left_out = np.vstack([cells, drawn]).T
    change = right_kept / np.maximum(right_kept + wrong_kept, 1) - (right_kept + right_left_out) / n
    return metrics.Estimate(float(change[0]), *map(float, np.percentile(change[1:], [2.5, 97.5])), n)
