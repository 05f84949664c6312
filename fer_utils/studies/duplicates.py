"""What is wrong with the pictures and their labels: copies, leaks between the parts, blanks, and what people voted.

NumPy in, NumPy out; no Keras. A *part* is what the source calls Training, PublicTest or PrivateTest: validation is cut
from Training, so `train` and `val` are one part. Pictures that are copies of one another form a *group*; its number is
its first row.
"""

import io
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from fer_utils import data, metrics
from fer_utils.data import DataError
from fer_utils.labels import CLASSES, IMAGE_SHAPE

VOTES = (*CLASSES, "contempt", "unknown", "not a face")
VOTE_COLUMNS = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", "contempt", "unknown", "NF"]
USAGES = {"Training": "train", "PublicTest": "public", "PrivateTest": "private"}
LEAST_AGREEMENT = 0.4  # of labels and votes: rows that are joined in a wrong order agree by chance, in about 0.2


def parts(split):
    """The part (N,) of each picture: its split, where "val" counts as "train"."""
    return np.where(np.asarray(split) == "val", "train", split)


def blank(images):
    """Which of the images (N, 48, 48, 1) show nothing, all pixels being equal: (N,) bool."""
    return np.ptp(images.reshape(len(images), -1), axis=1) == 0


# -- near copies -------------------------------------------------------------------------------------------------------


def near_copies(images, distance=8, correlation=0.92):
    """Pairs of pictures that are nearly equal: saved again, lightened, with another watermark, moved by a pixel.

    Two pictures are candidates if their perceptual hashes (pHash, 64 bits) differ in few bits, whatever their
    brightness. To such a hash many faces look alike, so the pixels must correlate as well, after the mean face, which
    all of them share, is taken out.

    Args:
        images: (N, 48, 48, 1) uint8.
        distance: most bits in which the hashes may differ, 0…64.
        correlation: least correlation of the pixels, up to 1.

    Returns:
        (pairs, 2) int64 rows of images, the smaller one first. Exactly equal pictures are no pair, and only the first
        one of them is looked at.

    References:
        Zauner (2010), Implementation and benchmarking of perceptual image hash functions, Upper Austria University of
        Applied Sciences.
    """
    first = np.unique(data.group_identical(images))
    pairs = first[close_pairs(hashes(images[first]), distance)]
    return pairs[likeness(images, pairs) >= correlation]


def hashes(images):
    """Perceptual hashes (N,) uint64 of images (N, 48, 48, 1) uint8, in about 0.2 ms each."""
    from imagehash import phash
    from PIL import Image

    bits = [phash(Image.fromarray(image[..., 0])).hash.ravel() for image in images]
    return np.packbits(bits, axis=1).view(np.uint64)[:, 0]


def close_pairs(codes, distance, block=512):
    """Index pairs (pairs, 2), a < b, of codes (N,) uint64 that differ in at most `distance` bits.

    Every code is compared with every other: 5 × 10^8 pairs for FER2013, which takes NumPy some seconds.
    """
    pairs = [np.empty((0, 2), np.int64)]
    for start in range(0, len(codes), block):  # (block, N - start) numbers at a time
        bits = np.bitwise_count(codes[start : start + block, None] ^ codes[start:])
        here, there = np.nonzero(bits <= distance)
        pairs.append(start + np.stack([here, there], axis=1)[here < there])
    return np.concatenate(pairs)


def likeness(images, pairs):
    """Correlation (pairs,) of the pixels of two pictures after the mean face is taken out; 0 for a blank one."""
    rows, places = np.unique(pairs, return_inverse=True)
    vectors, mean = unit(images[rows]), unit(images.mean(axis=0)[None])[0]
    vectors = unit(vectors - np.outer(vectors @ mean, mean))
    a, b = places.reshape(-1, 2).T
    return np.einsum("ij,ij->i", vectors[a], vectors[b])


def unit(images):
    """Pictures (n, …) as float32 vectors (n, pixels) of mean 0 and length 1; of length 0 if blank."""
    vectors = images.reshape(-1, np.prod(IMAGE_SHAPE)).astype(np.float32)
    vectors -= vectors.mean(axis=1, keepdims=True)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-6)


def altered(images, seed=0):
    """Near copies made on purpose, to see which of them `near_copies` finds.

    Args:
        images: (N, 48, 48, 1) uint8. seed: draws the noise.

    Returns:
        dict of what was done -> (N, 48, 48, 1) uint8: 20 grey levels lighter, Gaussian noise of σ = 8 grey levels,
        saved as JPEG of quality 30, moved to the right by a pixel, mirrored.
    """
    noise = np.random.default_rng(seed).normal(0, 8, images.shape)
    return {
        "lighter 調亮": (images.astype(int) + 20).clip(0, 255).astype(np.uint8),
        "noise 雜訊": (images + noise).round().clip(0, 255).astype(np.uint8),
        "JPEG 壓縮": np.stack([as_jpeg(image, quality=30) for image in images]),
        "moved 移動": np.concatenate([images[:, :, :1], images[:, :, :-1]], axis=2),
        "mirrored 鏡像": images[:, :, ::-1],
    }


def as_jpeg(image, quality):
    """A picture (48, 48, 1) uint8 as it comes back from a JPEG file of this quality, 1…95."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image[..., 0]).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))[..., None]


# -- groups of copies --------------------------------------------------------------------------------------------------


def join(groups, pairs):
    """Groups (N,) in which exact copies (groups of `data.group_identical`) and near ones (pairs) are together.

    A pair joins its groups, so two pictures of a group may be alike only through a third one.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = np.arange(len(groups))
    a, b = np.concatenate([np.stack([rows, groups], axis=1), pairs]).T
    component = connected_components(coo_array((np.ones(len(a)), (a, b)), shape=(len(rows), len(rows))))[1]
    return np.unique(component, return_index=True)[1][component]


def differing(groups, values):
    """Numbers of the groups whose pictures differ in a value: labels (-1 is unknown and differs from none), parts."""
    frame = pd.DataFrame({"group": groups, "value": values})
    counts = frame[frame["value"] != -1].groupby("group")["value"].nunique()
    return np.array(counts.index[counts > 1], np.int64)


def copies(dataset, groups):
    """How many pictures are copies, as a dict of ints: groups, pictures in them, groups across parts, with conflicts.

    Args:
        dataset: data.Dataset. groups: (N,) from `data.group_identical` or `join`.
    """
    sizes = np.unique(groups, return_counts=True)[1]
    return {
        "groups": int((sizes > 1).sum()),
        "pictures": int(sizes[sizes > 1].sum()),
        "across": len(differing(groups, parts(dataset.split))),
        "conflicting": len(differing(groups, dataset.labels)),
    }


def examples(groups, values, n=4, seed=0):
    """Some groups whose pictures differ in a value, as rows (k <= n, 2) of two pictures that do."""
    some = np.random.default_rng(seed).permutation(differing(groups, values))[:n]
    pairs = []
    for group in some:
        rows = np.flatnonzero((groups == group) & (pd.Series(values) != -1))
        other = next(row for row in rows if values[row] != values[rows[0]])
        pairs.append((rows[0], other))
    return np.array(pairs, np.int64).reshape(-1, 2)


# -- leaks -------------------------------------------------------------------------------------------------------------


def twins(dataset, split, groups=None):
    """For each picture of a split, a copy of it among those that it must not share with: does its score mean anything?

    Args:
        dataset: data.Dataset.
        split: a test split (looks for copies in train and val), val (in train), or train (in the test splits).
        groups: (N,) group numbers, such as those of `join`; None: copies are exactly equal.

    Returns:
        (n,) int64 in the order of `dataset.part(split)`: the first such row of dataset.images; -1 where there is none.
    """
    groups = data.group_identical(dataset.images) if groups is None else groups
    elsewhere = {"train": ("public", "private", "test"), "val": ("train",)}.get(split, ("train", "val"))
    others = np.flatnonzero(np.isin(dataset.split, elsewhere))
    found, first = np.unique(groups[others], return_index=True)
    twin = dict(zip(found.tolist(), others[first].tolist(), strict=True))
    return np.array([twin.get(group, -1) for group in groups[dataset.where(split)].tolist()], np.int64)


def change_without(right, left_out, draws=2000, seed=0):
    """By how much accuracy changes when some pictures are left out, with a bootstrap's 95 % percentile interval.

    To draw n pictures with replacement is to draw n times from four cells (right or wrong, left out or not).

    Args:
        right: (n,) bool, which pictures are recognised. left_out: (n,) bool, not all of them.

    Returns:
        metrics.Estimate; 0.01 is one point.
    """
    n, cells = len(right), np.bincount(2 * np.asarray(right, int) + left_out, minlength=4)
    drawn = np.random.default_rng(seed).multinomial(n, cells / n, size=draws)
    wrong_kept, _, right_kept, right_left_out = np.vstack([cells, drawn]).T
    change = right_kept / np.maximum(right_kept + wrong_kept, 1) - (right_kept + right_left_out) / n
    return metrics.Estimate(float(change[0]), *map(float, np.percentile(change[1:], [2.5, 97.5])), n)


# -- what people voted -------------------------------------------------------------------------------------------------


def votes(dataset, path=None):
    """Ten people's votes on each picture, from FERPlus, joined by row position.

    Args:
        dataset: data.Dataset with the rows of fer2013.csv, or its first ones, in their order.
        path: FERPlus' csv (fer2013new.csv, packed or not). None: $FER_PLUS, else the one beside the dataset's source
            (fer2013new.csv or a name with "ferplus"); there are none for drawn faces.

    Returns:
        (N, 10) int64, columns in the order of VOTES; None where no votes are at hand.

    Raises:
        DataError: the file is not FERPlus' csv, or its rows are not those of the dataset.

    References:
        Barsoum, Zhang, Canton Ferrer & Zhang (2016), Training deep networks for facial expression recognition with
        crowd-sourced label distribution, ICMI.
    """
    if path is None:
        path = None if dataset.drawn else data.votes_file(Path(dataset.source))
    if path is None:
        return None
    table = read_votes(path)
    counts = table[VOTE_COLUMNS].to_numpy(np.int64)[: len(dataset.labels)]
    check_rows(path, dataset, table["Usage"].map(USAGES).to_numpy(str), counts)
    return counts


def label_chances(dataset, folds=5):
    """The chance of each label, given what people voted: training targets that know how doubtful a picture is.

    A multinomial logistic regression on the shares of the votes. It learns from the train split alone and in parts: the
    chances of a picture come from a model that has not seen that picture's label.

    Args:
        dataset: data.Dataset with votes at hand (`votes`).
        folds: number of those parts.

    Returns:
        (n, 7) float32, rows sum to 1; a row for each picture of the train split, in its order.

    Raises:
        DataError: where there are no votes; the message says where to put them.

    References:
        Peterson, Battleday, Griffiths & Russakovsky (2019), Human Uncertainty Makes Classification More Robust,
        arXiv:1908.07086.
    """
    counts = votes(dataset)
    if counts is None:
        raise DataError(
            f"{dataset.name} has no votes: put FERPlus' fer2013new.csv beside fer2013.csv, or set FER_PLUS to its path."
        )
    where = dataset.where("train")
    shares, labels = counts[where] / counts[where].sum(axis=1, keepdims=True).clip(1), dataset.labels[where]
    evidence = np.hstack([shares, np.sqrt(shares)])  # the root tells one vote in ten from none
    chances = np.zeros((len(where), len(CLASSES)), np.float32)
    for known, asked in KFold(folds, shuffle=True, random_state=0).split(evidence):
        model = LogisticRegression(max_iter=500).fit(evidence[known], labels[known])
        chances[np.ix_(asked, model.classes_)] = model.predict_proba(evidence[asked])
    return chances


def read_votes(path):
    """FERPlus' csv as a DataFrame with the columns Usage and VOTE_COLUMNS."""
    try:
        return pd.read_csv(path, usecols=["Usage", *VOTE_COLUMNS], dtype=dict.fromkeys(VOTE_COLUMNS, np.int64))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: is not FERPlus' fer2013new.csv ({error}).") from None


def check_rows(path, dataset, usage, counts):
    """Raises DataError unless the votes' rows are those of the dataset: as many, the same parts, and the same faces."""
    part = parts(dataset.split)
    if len(usage) < len(part):
        raise DataError(f"{path}: has {len(usage):,} rows where {dataset.name} has {len(part):,} pictures.")
    different = np.flatnonzero(usage[: len(part)] != part)
    if len(different):
        row = different[0]
        raise DataError(
            f"{path}, picture {row:,} (from 0): Usage is {usage[row]}, but {dataset.name} has it in {part[row]}. "
            "Votes join by row position: use them with fer2013.csv, or take this file away."
        )
    known = dataset.labels >= 0
    agreement = metrics.correct(dataset.labels[known], counts[known, : len(CLASSES)]).mean()
    if agreement < LEAST_AGREEMENT:
        raise DataError(
            f"{path}: its votes agree with only {agreement:.0%} of the labels of {dataset.name}; "
            "the pictures seem to be in another order than in fer2013.csv. Use that, or take this file away."
        )


def choice(votes):
    """The answer most people gave, (N,) a place in VOTES; -1 where two answers have equally many votes.

    Args:
        votes: (N, 10) from `votes`.
    """
    most = votes == votes.max(axis=1, keepdims=True)
    return np.where(most.sum(axis=1) == 1, most.argmax(axis=1), -1)


def choice_hits(labels, votes):
    """Chance (N,) that the answer most people gave, out of the seven classes, is the label; ties are drawn by lot.

    Args:
        labels: (N,) ints 0…6. votes: (N, 10) from `votes`.
    """
    seven = votes[:, : len(CLASSES)]
    most = seven == seven.max(axis=1, keepdims=True)
    return most[np.arange(len(labels)), labels] / most.sum(axis=1)


def agreement(labels, votes, draws=500):
    """How people agree with the labels and with each other, class by class.

    Args:
        labels: (N,) ints 0…6. votes: (N, 10) from `votes`. draws: of the bootstrap behind the means' intervals.

    Returns:
        pandas DataFrame, a row a class that has pictures and one for all, with metrics.Estimates: same (share of
        pictures whose label alone has most votes), one (mean share of votes for the label: one person's accuracy),
        top (mean share of votes for the answer that has most).
    """
    shares = votes / votes.sum(axis=1, keepdims=True).clip(1)
    same, one, top = choice(votes) == labels, shares[np.arange(len(labels)), labels], shares.max(axis=1)
    kinds = {name: labels == c for c, name in enumerate(CLASSES) if c in labels} | {"all": labels >= 0}
    rows = {
        name: {
            "same": metrics.share(int(same[of].sum()), int(of.sum())),
            "one": metrics.mean(one[of], draws),
            "top": metrics.mean(top[of], draws),
        }
        for name, of in kinds.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")
