"""What is known of the official files: checksums, the counts of the classes, how their rows begin."""

import os
import zlib
from collections.abc import Iterable
from pathlib import PurePath

import numpy as np

from fer_utils.labels import CLASSES
from fer_utils.readers.classes import OFFICIAL, ORDERS, name_of
from fer_utils.readers.rows import DataError, Rows
from fer_utils.words import words

OFFICIAL_MD5 = {
    "f8428a1edbd21e88f42c73edd2a14f95": "fer2013.csv",
    "b114b9e04e6949e5fe8b6a98b3892b1d": "icml_face_data.csv",
    "3f0dfb3d3fd99c811a1299cb947e3131": "train.csv",
    "b02c2298636a634e8c2faabbf3ea9a23": "test.csv",
}
COUNTS = {  # images of each class in the official order
    "train": (3995, 436, 4097, 7215, 4830, 3171, 4965),
    "public": (467, 56, 496, 895, 653, 415, 607),
    "private": (491, 55, 528, 879, 594, 416, 626),
}
SIZES = {part: sum(counts) for part, counts in COUNTS.items()}
WHOLE = [sum(counts) for counts in zip(*COUNTS.values(), strict=True)]
# number of first rows of fer2013.csv -> crc32 of their pixels, of their labels
BEGINNINGS = {
    100: (0x7596E3ED, 0x952B461E),
    300: (0x2892C451, 0x8B2ED1B8),
    1000: (0xBAD9A1C8, 0x4394D9FA),
    3000: (0xAA811E6C, 0x38EA3730),
    10000: (0xA90CFF42, 0x495ECBAD),
    20000: (0x63E3A24D, 0xEFF3510E),
    28709: (0x7DA16CB7, 0x5BF981D7),
    32298: (0x8E2CB486, 0x81DD110A),
}
ENOUGH = 1000  # images, for their shares to tell an order
SHARE_OFF = 0.01  # of the images may be in other classes where a source was cleaned or cut


def note_md5(name: str, md5) -> str:
    """Return a note with the md5 of a file, and which official file has it."""
    official = OFFICIAL_MD5.get(md5.hexdigest())
    file, digest = PurePath(name).name, md5.hexdigest()
    if official:
        return words(
            "{file}: md5 {digest}, this is the official {official}.", file=file, digest=digest, official=official
        )
    return words("{file}: md5 {digest}, none of the official files has it.", file=file, digest=digest)


# --- how the official file begins -------------------------------------------------------------------------------------


def first_rows(rows: Rows) -> int:
    """Return n if a source begins with the first n rows of fer2013.csv, as far as its checksums tell; else 0.

    n is the number of all rows, or, where a test set stands for both, that of the training images.
    """
    n = int(np.sum(rows.split == "train")) if rows.split is not None and "test" in rows.split else len(rows.labels)
    lengths = [length for length in sorted(BEGINNINGS) if length <= n <= sum(SIZES.values())]
    for length in lengths[:1] + lengths[-1:]:  # the first is quick, and wrong for most other sources
        images, labels = rows.images[:length], rows.labels[:length].astype(np.uint8)
        if (zlib.crc32(images), zlib.crc32(labels)) != BEGINNINGS[length]:
            return 0
    return n if lengths else 0


def official_split(n: int) -> np.ndarray:
    """Return the split (n,) of the first n rows of fer2013.csv."""
    return np.repeat(list(SIZES), list(SIZES.values()))[:n]


def cut(split: np.ndarray, n: int) -> tuple[str, str]:
    """Say how much is missing where a source is the beginning of the official file and ends within one of its parts.

    Args:
        split: (N,) of the whole source. n: number of first rows that are those of fer2013.csv.

    Returns:
        What is there, "13,000/35,887", and a note; both "" where nothing was cut.
    """
    total, ends = sum(SIZES.values()), np.cumsum(list(SIZES.values())).tolist()
    if n in (0, *ends) or not np.array_equal(split[:n], official_split(n)):
        return "", ""
    parts = ", ".join(f"{np.sum(split[:n] == part):,} of {size:,} {part}" for part, size in SIZES.items())
    return f"{n:,}/{total:,}", words(
        "The source begins as fer2013.csv does, but has only the first {n:,} of its {total:,} rows ({parts}). "
        "Unless somebody cut it on purpose, its download was cut: download it again.",
        n=n, total=total, parts=parts,
    )  # fmt: skip


# --- the order of the classes -----------------------------------------------------------------------------------------


def check_order(path, rows: Rows) -> tuple[str, ...]:
    """Check by their counts that the classes are in the official order, and return notes.

    Args:
        path: of the source. rows: with a split; their classes are numbers in the source.

    Raises:
        DataError: the counts are those of another order.
    """
    given = os.environ.get("FER_ORDER", "").strip()
    known = np.isin(rows.split, ("train", "val")) & (rows.labels >= 0), rows.labels >= 0
    counts, total = (np.bincount(rows.labels[part], minlength=len(CLASSES)) for part in known)
    order = exact_order(counts) or exact_order(total) or (None if given else likely_order(counts))
    if order not in (None, OFFICIAL):
        raise DataError(f"{path}: {wrong_order(counts, order, given)}")
    if given:
        return (words("The numbers of the classes were read in the order of ORDER={given}.", given=given),)
    if order:
        return ()
    assumed = words(
        "The classes are numbers, and how many images each has does not tell their order: it was assumed to be the "
        "official one, {order} (else set ORDER, such as ORDER=alphabetical).", order=listed(OFFICIAL),
    )  # fmt: skip
    return (assumed,)


def exact_order(counts: np.ndarray) -> tuple[str, ...] | None:
    """Return the order in which a source numbers its classes if its counts are exactly FER2013's, else None."""
    parts = [COUNTS["train"], WHOLE, np.add(COUNTS["train"], COUNTS["public"]).tolist()]
    official = next((list(part) for part in parts if sorted(part) == sorted(counts.tolist())), None)
    return official and tuple(OFFICIAL[official.index(count)] for count in counts.tolist())


def likely_order(counts: np.ndarray) -> tuple[str, ...] | None:
    """Return the one order that the shares of the classes fit; None where none does, or more than one may."""
    by_size = np.argsort(COUNTS["train"])
    sorted_too = tuple(np.array(OFFICIAL)[by_size[np.argsort(np.argsort(counts))]].tolist())
    fitting = [order for order in dict.fromkeys([*ORDERS.values(), sorted_too]) if fits(counts, order)]
    if not fitting or counts.sum() < ENOUGH or {ORDERS["official"], ORDERS["alphabetical"]} <= set(fitting):
        return None
    return fitting[0]


def fits(counts: np.ndarray, order: Iterable[str]) -> bool:
    """Return whether counts may be a random sample of FER2013 whose classes are in this order."""
    shares = np.array([COUNTS["train"][OFFICIAL.index(name)] for name in order]) / SIZES["train"]
    expected = shares * max(counts.sum(), 1)
    off = np.abs(counts - expected)
    return off.sum() / 2 < SHARE_OFF * counts.sum() or (counts.sum() > 0 and (off**2 / expected).sum() < 30)


def wrong_order(counts: np.ndarray, order: tuple[str, ...], given: str) -> str:
    """Return the message for a source whose classes are in another order."""
    there = ", ".join(f"{count:,} {name}" for count, name in zip(counts.tolist(), OFFICIAL, strict=True))
    if given:
        return f"ORDER={given} (FER_ORDER) is wrong: the training images would be {there}. Remove or correct it."
    return (
        f"the classes are numbers, but not in FER2013's order: in that, the training images would be {there}. "
        f"Their counts fit {listed(order)}. Say so: ORDER={name_of(order)} with make, or FER_ORDER in the environment; "
        "or ORDER=official if the numbers are FER2013's all the same."
    )


def listed(order: Iterable[str]) -> str:
    """Write an order as a list of classes with their numbers."""
    return ", ".join(f"{number} {name}" for number, name in enumerate(order))
