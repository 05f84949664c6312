"""Read arrays that somebody saved with NumPy: an .npz, or .npy files in a folder, under the usual names."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import PurePath

import numpy as np

from fer_utils.labels import CLASSES, SPLITS
from fer_utils.readers.classes import labels_of
from fer_utils.readers.files import DAMAGE, Files, reading, unpacked
from fer_utils.readers.pixels import images_of
from fer_utils.readers.rows import DataError, Rows, joined
from fer_utils.readers.splits import SPLIT_WORDS, usage

WHAT = {
    **dict.fromkeys(("x", "xs", "image", "images", "img", "imgs", "data", "pixels", "faces", "features"), "images"),
    **dict.fromkeys(("y", "ys", "label", "labels", "target", "targets", "emotion", "emotions", "classes"), "labels"),
    **dict.fromkeys(("split", "splits", "usage", "set"), "split"),
}
PARTS = SPLIT_WORDS | {"testing": "test", "tr": "train", "te": "test"}
USUAL = "x_train, y_train, x_test, y_test, or images, labels, split"


def read_npz(files: Files, names: list[str]) -> Rows:
    """Read an .npz with images and labels, in parts or with an array `split`."""
    name = names[0]
    with unpacked(name, files[name]) as stream:
        with loading(name):
            arrays = np.load(stream)
        return read_arrays(name, {key: partial(loaded, name, arrays, key) for key in arrays.files})


def loaded(name: str, arrays, key: str) -> np.ndarray:
    """Return an array of an .npz."""
    with loading(f"{name}, array {key}"):
        return arrays[key]


def read_npy(files: Files, names: list[str]) -> Rows:
    """Read .npy files of one folder, such as X_train.npy, y_train.npy, X_test.npy and y_test.npy."""

    def load(name: str) -> np.ndarray:
        with loading(name), unpacked(name, files[name]) as stream:
            return np.load(stream)

    return read_arrays(str(PurePath(names[0]).parent), {array_name(name): partial(load, name) for name in names})


def array_name(name: str) -> str:
    """Return the name of the array in a file: train/x.npy is train_x."""
    folder, stem = PurePath(name).parent.name, PurePath(name).stem
    return f"{folder}_{stem}" if folder.lower() in PARTS else stem


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Turn every error that a damaged array may raise into a DataError that names the file."""
    with reading(name):
        try:
            yield
        except Exception as error:  # NumPy raises many types for a damaged array
            if isinstance(error, DAMAGE):
                raise
            raise DataError(f"{name}: not readable ({error}). Copy it again, or save plain arrays.") from error


@contextmanager
def at_place(name: str, place: int) -> Iterator[None]:
    """Turn an error in a value into a DataError that names its place."""
    try:
        yield
    except ValueError as error:
        raise DataError(f"{name}: row {place} (from 0): {error}. Correct it and save again.") from None


def read_arrays(name: str, arrays: dict[str, Callable[[], np.ndarray]]) -> Rows:
    """Read arrays by their names.

    Args:
        name: of the source, as messages show it.
        arrays: name of each array -> function that loads it.
    """
    found, unused = {}, []
    for key in arrays:
        role = role_of(key)
        found.setdefault(role, key) if role else unused.append(key)
    if not found and len(arrays) == 2:  # np.savez(x, y) names them arr_0 and arr_1
        found = dict(zip([("", "images"), ("", "labels")], sorted(arrays), strict=True))
    parts = sorted({part for part, _ in found}, key=["", *SPLITS].index)
    if "" in parts and len(parts) > 1:
        parts.remove("")
    tables = [read_part(name, arrays, part, found) for part in parts]
    if not tables:
        raise DataError(f"{name}: its arrays are {', '.join(arrays) or 'none'}. Name them {USUAL}.")
    used = {found[key] for key in found if key[0] in parts}
    notes = tuple(f"The array {key} was not read." for key in arrays if key not in used)
    rows = joined(tables)
    return rows._replace(notes=rows.notes + notes[:5])


def role_of(name: str) -> tuple[str, str] | None:
    """Return the split ("" = all) and the content that an array's name means: x_train -> ("train", "images")."""
    plain = re.sub(r"[^a-z]", "", name.lower().removeprefix("fer2013").removeprefix("fer"))
    for part in ("", *sorted(PARTS, key=len, reverse=True)):
        for what in (plain.removeprefix(part), plain.removesuffix(part)):
            if what in WHAT and (not part or len(what) + len(part) == len(plain)):
                return PARTS.get(part, ""), WHAT[what]
    return None


def read_part(name: str, arrays: dict[str, Callable], part: str, found: dict[tuple[str, str], str]) -> Rows:
    """Read the images and labels of one split ("" = of all)."""
    of = {what: found.get((part, what)) for what in ("images", "labels", "split")}
    lacking = "images" if not of["images"] else "labels" if not of["labels"] and part != "test" else ""
    if lacking:
        where = f"{lacking} of {part}" if part else lacking
        raise DataError(f"{name}: no array of {where} among {', '.join(sorted(arrays))}. Name them {USUAL}.")
    try:
        images, notes = images_of(arrays[of["images"]]())
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{name}: {error}. Convert and save them again.") from None
    labels = label_tokens(name, arrays[of["labels"]](), len(images)) if of["labels"] else [-1] * len(images)
    classes, numbered = labels_of(labels, partial(at_place, name), unknown=-1)
    split = split_tokens(name, arrays[of["split"]](), len(images)) if of["split"] else [part or None] * len(images)
    for place in np.flatnonzero((classes < 0) & ~np.isin(split, ("test", "public", "private")))[:1].tolist():
        with at_place(name, place):
            raise ValueError(f"label -1 in {split[place]}; -1 stands for an unknown label, in a test set only")
    return Rows(images, classes, np.array(split) if split[0] else None, notes, numbered)


def label_tokens(name: str, array: np.ndarray, n: int) -> list:
    """Return n labels, numbers or words, of an array (n,), (n, 1), or (n, 7) with a 1 at the class."""
    if array.shape == (n, len(CLASSES)) and array.dtype.kind in "iufb":
        if not ((array == 0) | (array == 1)).all() or not (array.sum(axis=1) == 1).all():
            place = int(np.flatnonzero((array.sum(axis=1) != 1) | ((array != 0) & (array != 1)).any(axis=1))[0])
            with at_place(name, place):
                raise ValueError(f"label {array[place].tolist()} is not a 1 at its class and 0 elsewhere")
        return array.argmax(axis=1).tolist()
    if array.shape not in ((n,), (n, 1)):
        raise DataError(f"{name}: {n} images, labels {array.shape}. Save as many of each, as class numbers (N,).")
    array = array.ravel()
    if array.dtype.kind == "f" and np.isfinite(array).all() and not (array % 1).any():
        array = array.astype(np.int64)
    if array.dtype.kind not in "iuUS":
        raise DataError(f"{name}: labels are {array.dtype}, not class numbers or words. Convert and save them again.")
    return np.char.decode(array, "latin-1").tolist() if array.dtype.kind == "S" else array.tolist()


def split_tokens(name: str, array: np.ndarray, n: int) -> list[str]:
    """Return the n splits that an array of words says."""
    if array.shape != (n,):
        raise DataError(f"{name}: {n} images, split {array.shape}. Save as many of each.")
    words = [word.decode("latin-1") if isinstance(word, bytes) else str(word) for word in array.tolist()]
    meaning = {}
    for word in dict.fromkeys(words):
        with at_place(name, words.index(word)):
            meaning[word] = usage(word)
    return [meaning[word] for word in words]
