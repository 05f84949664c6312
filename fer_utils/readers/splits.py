"""Which images are for training and which for tests: what a source says, and the split where it says nothing."""

import hashlib
import re
from collections import Counter, defaultdict

import numpy as np

from fer_utils.readers.rows import shown
from fer_utils.words import words

USAGES = {"training": "train", "publictest": "public", "privatetest": "private"}  # FER2013's own words
OTHERS = {
    "train": "train", "test": "test", "val": "val", "valid": "val", "validation": "val",
    "public": "public", "private": "private",
}  # fmt: skip
SPLIT_WORDS = USAGES | OTHERS
FOLDERS = SPLIT_WORDS | {"testing": "test"}
COMPATIBLE = {"train": {"train", "val"}, "public": {"public", "test", "val"}, "private": {"private", "test", "val"}}
TEST_SHARE = 0.2  # of each class, as FER2013 has it


def usage(text: str) -> str:
    """Return the split that a cell of the column Usage means."""
    word = re.sub(r"[\s_-]", "", text.lower())
    if word not in SPLIT_WORDS:
        raise ValueError(f"Usage {shown(text.strip())} is not Training, PublicTest or PrivateTest")
    return SPLIT_WORDS[word]


def split_in_name(name: str) -> str | None:
    """Return the split that a file name such as PublicTest_123 states; None if it states none."""
    match = re.match(r"(training|publictest|privatetest)[\s_.-]*[0-9]", name.lower())
    return USAGES[match[1]] if match else None


def own_split(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, str]:
    """Split images of a source that does not: a fifth of each class is the test set, copies stay together.

    Returns:
        (N,) str, and a note that says so.
    """
    split = np.where(choose_validation(labels, group_identical(images), TEST_SHARE, 0), "test", "train")
    return split, words(
        "The source does not say which images are for training and which for tests: {share:.0%} of each class, "
        "{n:,} images, were chosen at random (seed 0) as the test set.",
        share=TEST_SHARE,
        n=int((split == "test").sum()),
    )


def group_identical(images: np.ndarray) -> np.ndarray:
    """Return group numbers (N,) of images (N, 48, 48, 1): the first row that has exactly the same pixels."""
    first = {}
    digests = (hashlib.blake2b(image, digest_size=16).digest() for image in np.ascontiguousarray(images))
    return np.array([first.setdefault(digest, row) for row, digest in enumerate(digests)])


def choose_validation(labels: np.ndarray, groups: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Choose validation images: a random share of each class, and either all copies of an image or none.

    Args:
        labels: (N,) classes of the training images.
        groups: (N,) numbers; identical images share one.
        share: of each class, in [0, 1); a class of two or more images gives at least one.
        seed: of the choice.

    Returns:
        (N,) bool, True for validation.
    """
    members = defaultdict(list)
    for row, group in enumerate(groups.tolist()):
        members[group].append(row)
    sizes = Counter(labels.tolist())
    room = {label: min(n - 1, max(1, round(share * n))) if share else 0 for label, n in sizes.items()}
    chosen = np.zeros(len(labels), bool)
    for group in np.random.default_rng(seed).permutation(list(members)).tolist():
        needed = Counter(labels[members[group]].tolist())  # copies of an image may have different labels
        if all(n <= room[label] for label, n in needed.items()):
            chosen[members[group]] = True
            room = {label: n - needed[label] for label, n in room.items()}
    return chosen
