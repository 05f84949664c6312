"""Read every form in which FER2013 circulates into the same arrays.

A file, folder, zip or tar is opened as a dict from name to a function that opens that member, so every reader works on
all of them. The reader is chosen by content (first bytes, header, folder names), not by file name. The rooms:

rows        what readers return, and their errors
files       opens files, folders and archives, safely
kinds       what a file contains
pixels      grey levels from text and arrays
classes     which class a label means
splits      which images are for training and which for tests
official    checksums and counts of the official files: wrong orders of the classes, cut downloads
tables      csv, and what pandas reads
pictures    folders of images
arrays      .npz and .npy
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePath

from fer_utils.readers import official
from fer_utils.readers.arrays import read_npy, read_npz
from fer_utils.readers.files import CACHE_TAG, Files, beside, files_below, open_files, unpacked, walk
from fer_utils.readers.kinds import Kind, identify, nothing_readable, only
from fer_utils.readers.pictures import (
    IMAGE_SUFFIXES,
    read_class_folders,
    read_image,
    read_listed_images,
    shows_classes,
)
from fer_utils.readers.pixels import parse_pixels
from fer_utils.readers.rows import EXPECTED, DataError, Rows, at, shown
from fer_utils.readers.splits import choose_validation, group_identical, own_split
from fer_utils.readers.tables import PANDAS, read_frame, read_tables, rows_of
from fer_utils.words import words

__all__ = [  # what other modules use
    "CACHE_TAG", "EXPECTED", "IMAGE_SUFFIXES", "DataError", "Rows", "at", "beside", "choose_validation", "files_below",
    "group_identical", "identify", "parse_pixels", "read", "read_image", "rows_of", "shown", "unpacked", "walk",
]  # fmt: skip


def read(path: Path) -> tuple[Rows, str]:
    """Read FER2013 from any source.

    Args:
        path: file, archive, or folder that contains one of them.

    Returns:
        The rows, and the name of the file or folder they come from, with what is there of a file that was cut.

    Raises:
        DataError: nothing there can be read, or its content is wrong.
    """
    with opened(path) as files:
        images = [name for name in files if name.lower().endswith(IMAGE_SUFFIXES)]
        kinds = {name: identify(name, files[name]) for name in files.keys() - set(images)}
        reader, names = choose(path, kinds, images)
        title = PurePath(names[0]) if path.is_dir() and reader in (read_tables, read_frame, read_npz, read) else path
        if reader == read:  # the one archive in a folder
            rows, name = read(Path(names[0]))
        else:
            rows, missing = settled(path, reader(files, names))
            name = f"{title.name}, {missing}" if missing else title.name
    unread = [PurePath(name).name for name in kinds.keys() - set(names) if kinds[name].name != "votes"]
    return rows._replace(notes=rows.notes + note_unread(unread)), name


@contextmanager
def opened(path: Path) -> Iterator[Files]:
    """Open a folder or an archive as its files; a single file as itself, with what belongs to it beside it."""
    kind = "" if path.is_dir() else identify(str(path), partial(open, path, "rb")).name
    if path.is_dir() or kind == "archive":
        with open_files(path) as files:
            yield files
    else:
        paths = [path, *(beside(path) if kind in ("train", "npy") else ())]
        yield {str(file): partial(open, file, "rb") for file in paths}


def choose(path: Path, kinds: dict[str, Kind], images: list[str]) -> tuple[Callable, list[str]]:
    """Return the reader for a source and the files it reads; sources that tell more splits apart are preferred."""
    if names := only(kinds, path, "complete"):
        return read_tables, names
    if names := only(kinds, path, "npz"):
        return read_npz, names
    if names := [name for name in sorted(kinds) if kinds[name].name == "npy"]:
        return read_npy, names
    if (names := only(kinds, path, "train", "val", "test")) and names != only(kinds, path, "val"):
        return read_tables, names
    if images and not shows_classes(images) and (names := only(kinds, path, "answers")):
        return read_listed_images, names + images
    if images and shows_classes(images):
        return read_class_folders, images
    if names := only(kinds, path, "unsplit"):
        return read_tables, names
    if names := [name for kind in PANDAS for name in only(kinds, path, kind)][:1]:
        return read_frame, names
    if images and not any(kind.name == "ballots" for kind in kinds.values()):
        return read_class_folders, images
    if path.is_dir() and (names := only(kinds, path, "archive")):
        return read, names
    raise nothing_readable(path, kinds)


def settled(path: Path, rows: Rows) -> tuple[Rows, str]:
    """Complete what a reader has found: a split where the source has none, the order of the classes, what is missing.

    Returns:
        The rows, and what is there of a source that was cut, such as "13,000/35,887"; "" of others.
    """
    n, notes = official.first_rows(rows), list(rows.notes)
    if rows.split is None and n:
        rows = rows._replace(split=official.official_split(n))
        notes.append(words("The images are those of fer2013.csv in its order, which says how they are split."))
    elif rows.split is None:
        split, note = own_split(rows.images, rows.labels)
        rows, notes = rows._replace(split=split), [*notes, note]
    if rows.numbered and not n:
        notes += official.check_order(path, rows)
    missing, note = official.cut(rows.split, n)
    return rows._replace(notes=(*notes, *([note] if note else []))), missing


def note_unread(names: list[str], limit: int = 5) -> tuple[str, ...]:
    """Return a note that lists each file name once, or no note where there are no names."""
    counts = sorted(Counter(names).items())
    listed = [name if n == 1 else f"{name} ({n:,} files)" for name, n in counts[:limit]]
    shown = ", ".join(listed) + ", …" * (len(counts) > limit)
    return (words("Also there, but not read: {shown}.", shown=shown),) if names else ()
