"""What every reader returns, and how it says what is wrong: which file, which row, which value, and what to do."""

import csv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from fer_utils.labels import IMAGE_SHAPE

SIZE = IMAGE_SHAPE[:2]
PIXELS = IMAGE_SHAPE[0] * IMAGE_SHAPE[1]  # of one image: 2,304

EXPECTED = """FER2013 is read from
  - fer2013.csv (emotion,pixels,Usage; also .gz .bz2 .xz) or icml_face_data.csv
  - train.csv of the course (label,feature), with its test.csv (id,feature) beside it if you have it
  - another table with a label and 2,304 grey levels in each row, in one column or in 2,304
  - folders train/<class>/ and test/<class>/ of PNG or JPG images, or folders <class>/ alone
  - images with a csv (id,label of numbered images, or filename,label)
  - .npz or .npy with arrays such as x_train, y_train, x_test, y_test, or images, labels, split
  - a zip or tar of any of these"""


class DataError(ValueError):
    """The data cannot be used; the message names file, row and value, and says what to do."""


class Rows(NamedTuple):
    """The content of a source, in its own order."""

    images: np.ndarray  # (N, 48, 48, 1) uint8
    labels: np.ndarray  # (N,) int64, -1 = unknown
    split: np.ndarray | None  # (N,) str, of labels.SPLITS; None where the source does not tell
    notes: tuple[str, ...] = ()
    numbered: bool = False  # classes are numbers in the source, not words


def joined(tables: list[Rows]) -> Rows:
    """Put the parts of a source one after the other."""
    images, labels, split, notes, numbered = zip(*tables, strict=True)
    arrays = (np.concatenate(parts) if len(parts) > 1 else parts[0] for parts in (images, labels, split))
    return Rows(*arrays, sum(notes, ()), any(numbered))


@contextmanager
def at(name, row: int, advice: str = "Correct the row, or download the file again.") -> Iterator[None]:
    """Turn a parser's error into a DataError that names file and row."""
    try:
        yield
    except (ValueError, csv.Error) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{name}, row {row}: {error}. {advice}") from None


def progress(items: Iterable, unit: str) -> Iterable:
    """Show a progress bar on a terminal if reading takes longer than a second."""
    from tqdm import tqdm

    return tqdm(items, desc="reading FER2013", unit=f" {unit}", disable=None, delay=1, leave=False)


def shown(value: str) -> str:
    """Quote a value for a message and shorten it to a readable length."""
    return repr(value if len(value) <= 40 else f"{value[:40]}…")
