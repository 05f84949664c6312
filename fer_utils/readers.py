"""Readers: every form in which FER2013 circulates -> the same arrays.

A file, a folder, a zip or a tar is first opened as {name: function that opens that member}, so every reader below works
on any of them, and nothing is unpacked to disk. The content decides which reader it is (first bytes, the csv's header,
the names of the folders), not the name of the file.
"""

import bz2
import codecs
import csv
import gzip
import hashlib
import io
import lzma
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path, PurePath, PureWindowsPath
from typing import BinaryIO, NamedTuple

import numpy as np

from fer_utils.labels import CLASSES, IMAGE_SHAPE, SPLITS

SIZE = IMAGE_SHAPE[:2]
PIXELS = IMAGE_SHAPE[0] * IMAGE_SHAPE[1]  # of one picture: 2,304
MAX_FILES = 200_000  # more than that is somebody's home folder, not a data set
CACHE_TAG = "CACHEDIR.TAG"  # marks a folder as a cache (https://bford.info/cachedir/): ours must not be read as data

OFFICIAL_MD5 = {
    "f8428a1edbd21e88f42c73edd2a14f95": "fer2013.csv",
    "b114b9e04e6949e5fe8b6a98b3892b1d": "icml_face_data.csv",
    "3f0dfb3d3fd99c811a1299cb947e3131": "train.csv",
    "b02c2298636a634e8c2faabbf3ea9a23": "test.csv",
}
ROLES = {"emotion": "label", "label": "label", "pixels": "pixels", "feature": "pixels", "usage": "usage", "id": "id"}
LABELS = {str(label): label for label in range(len(CLASSES))}
USAGES = {"training": "train", "publictest": "public", "privatetest": "private"}
SPLIT_FOLDERS = USAGES | {"train": "train", "test": "test", "val": "val", "validation": "val"}
CLASS_FOLDERS = LABELS | {
    "angry": 0, "anger": 0, "disgust": 1, "disgusted": 1, "fear": 2, "fearful": 2, "happy": 3, "happiness": 3,
    "sad": 4, "sadness": 4, "surprise": 5, "surprised": 5, "neutral": 6,
}  # fmt: skip
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
UNPACKERS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
DAMAGE = (OSError, EOFError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError)

EXPECTED = """FER2013 is read from
  - fer2013.csv (emotion,pixels,Usage; also .gz .bz2 .xz) or icml_face_data.csv
  - train.csv of the course (label,feature), with its test.csv (id,feature) beside it if you have it
  - folders train/<class>/ and test/<class>/ of 48x48 PNG or JPG pictures
  - folders of numbered pictures with a csv (id,label)
  - a zip or tar of any of these, or an .npz with the arrays images, labels and split"""

Files = dict[str, Callable[[], BinaryIO]]  # name as messages show it -> opens it for reading


class DataError(ValueError):
    """The data cannot be used. The message names file, row and value, and says what to do."""


class Rows(NamedTuple):
    """What a source holds, in the source's own order."""

    images: np.ndarray  # (N, 48, 48, 1) uint8
    labels: np.ndarray  # (N,) int64, -1 = unknown
    split: np.ndarray  # (N,) str, of labels.SPLITS
    notes: tuple[str, ...] = ()


class Kind(NamedTuple):
    """What one file is, and for a csv what it takes to cut its rows into cells."""

    name: str  # "complete", "train", "test", "answers" (csv), "npz", "archive", "votes", or "" = not one of ours
    problem: str = ""  # why it is not one of ours
    encoding: str = ""
    delimiter: str = ""
    roles: tuple[str, ...] = ()  # of the columns, in their order
    header_row: int = 0  # counted from 1, as editors do


def read(path: Path) -> tuple[Rows, str]:
    """Read any source of FER2013.

    Args:
        path: a file, an archive, or a folder that holds one of them.

    Returns:
        The rows, and the name of the file or folder that they come from.

    Raises:
        DataError: nothing is there that can be read, or something in it is wrong.
    """
    with open_files(path) as files:
        pictures = [name for name in files if name.lower().endswith(PICTURE_SUFFIXES)]
        kinds = {name: identify(name, files[name]) for name in files.keys() - set(pictures)}
        reader, names = choose(path, kinds, pictures)
        rows = reader(files, names)
    unread = sorted(PurePath(name).name for name in kinds.keys() - set(names) if kinds[name].name != "votes")
    note = (f"Also there, and not read: {', '.join(unread[:5])}{', …' * (len(unread) > 5)}.",) if unread else ()
    title = PurePath(names[0]) if path.is_dir() and reader in (read_tables, read_npz, read_inner_archive) else path
    return rows._replace(notes=rows.notes + note), title.name


def choose(path: Path, kinds: dict[str, Kind], pictures: list[str]) -> tuple[Callable, list[str]]:
    """The reader for what lies there and the files it gets; the source that tells its splits apart best goes first."""

    def the(kind: str) -> list[str]:
        names = sorted(name for name in kinds if kinds[name].name == kind)
        if len(names) > 1:
            raise DataError(f"{path}: there is more than one source: {', '.join(names)}. Name the one you mean.")
        return names

    if names := the("complete"):
        return read_tables, names
    if names := the("npz"):
        return read_npz, names
    if names := the("train") + the("test"):
        return read_tables, names
    in_classes = any(place_of(name)[1] not in (None, -1) for name in pictures)
    if pictures and not in_classes and (names := the("answers")):
        return read_numbered_pictures, names + pictures
    if pictures:
        return read_class_folders, pictures
    if path.is_dir() and (names := the("archive")):
        return read_inner_archive, names
    problems = [kind.problem or f"{name}: cannot be used alone." for name, kind in sorted(kinds.items())]
    raise DataError("\n".join([*(problems[:3] or [f"{path}: there is nothing in it."]), EXPECTED]))


# --- what lies there --------------------------------------------------------------------------------------------------


@contextmanager
def open_files(path: Path) -> Iterator[Files]:
    """The files of a folder, a zip, a tar, or the one file itself (and the test.csv beside a train.csv)."""
    if path.is_dir():
        yield {entry.path: partial(open, entry.path, "rb") for entry in files_below(path)}
        return
    kind = identify(str(path), partial(open, path, "rb")).name
    if kind != "archive":
        together = [path, *(course_test_beside(path) if kind == "train" else ())]
        yield {str(file): partial(open, file, "rb") for file in together}
    elif zipfile.is_zipfile(path):
        with reading(path), zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            links = {m.filename for m in members if stat.S_ISLNK(m.external_attr >> 16)}
            yield safe_members(path, {m.filename: partial(archive.open, m) for m in members}, links)
    else:
        with reading(path), tarfile.open(path) as archive:
            members = [member for member in archive.getmembers() if not member.isdir()]
            links = {m.name for m in members if not m.isreg()}
            yield safe_members(path, {m.name: partial(archive.extractfile, m) for m in members}, links)


def safe_members(path: Path, members: Files, links: set[str]) -> Files:
    """An archive's members; links, and names that lead out of the archive, are refused."""
    files = {}
    for name, opener in members.items():
        parts = PureWindowsPath(name).parts  # cuts at / and at \, and knows C:
        if ".." in parts or PureWindowsPath(name).anchor:
            raise DataError(f"{path}: refused, for its member {name!r} leads out of the archive. Pack it again.")
        if name in links:
            raise DataError(f"{path}: refused, for its member {name!r} is a link or device. Pack the file itself.")
        if not any(part.startswith((".", "__MACOSX")) for part in parts):
            files["/".join((str(path), *parts))] = opener
    return files


def files_below(folder: Path) -> list[os.DirEntry]:
    """All files in a folder and its folders, except hidden ones and caches, in order of their names."""
    with reading(folder):
        found = list(islice(walk(folder), MAX_FILES + 1))
    if len(found) > MAX_FILES:
        raise DataError(f"{folder}: more than {MAX_FILES:,} files. Name the folder that holds FER2013 alone.")
    return found


def walk(folder: str | Path, depth: int = 8) -> Iterator[os.DirEntry]:
    """The files one by one; `depth` ends walks in circles of links."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith((".", "__MACOSX")):
                continue
            if entry.is_file():
                yield entry
            elif entry.is_dir() and depth and not os.path.exists(os.path.join(entry.path, CACHE_TAG)):
                yield from walk(entry.path, depth - 1)


def course_test_beside(path: Path) -> list[Path]:
    """The course's test.csv in the folder of its train.csv, packed or not."""
    candidates = (path.with_name(f"test.csv{suffix}") for suffix in ("", ".gz", ".bz2", ".xz"))
    return [file for file in candidates if file.is_file() and file != path][:1]


def identify(name: str, opener: Callable) -> Kind:
    """What a file is, from its first bytes."""
    try:
        with unpacked(name, opener) as stream:
            head = stream.read(1 << 16)
            if head.startswith((b"PK\3\4", b"PK\5\6")):
                stream.seek(0)
                members = zipfile.ZipFile(stream).namelist()
                return Kind("npz" if any(member.endswith(".npy") for member in members) else "archive")
        if head[257:262] == b"ustar":
            return Kind("archive")
        return identify_csv(name, head) if head else Kind("", f"{name}: is empty. Copy or download it again.")
    except DataError as error:
        return Kind("", str(error))


def identify_csv(name: str, head: bytes) -> Kind:
    """Encoding, delimiter and columns of a csv, and which of FER2013's files it is by its columns."""
    encoding = encoding_of(head)
    lines = io.StringIO(head.decode(encoding, "backslashreplace"), newline=None)
    row, header = next(((row, line) for row, line in enumerate(lines, start=1) if line.strip()), (1, ""))
    delimiter = max(",;\t", key=header.count)
    with at(name, row):
        columns = [cell.strip().lower() for cell in next(csv.reader([header], delimiter=delimiter), [])]
    if {"contempt", "nf"} <= set(columns):  # FERPlus; audit.py reads it
        return Kind("votes", f"{name}: has people's votes, but no pictures. Put fer2013.csv beside it.")
    roles = tuple(ROLES.get(column, "") for column in columns)
    named = re.match("train|test|", PurePath(name).name.lower())[0]  # the header alone cannot tell Kaggle's two files
    match [role in roles for role in ("label", "pixels", "usage", "id")]:
        case [True, True, True, _]:
            kind = "complete"
        case [True, True, False, _] if named or "feature" in columns:
            kind = named or "train"
        case [False, True, False, has_id] if has_id or named == "test":
            kind = "test"
        case [True, False, False, True] if "submission" not in name.lower():
            kind = "answers"
        case _:
            missing = [column for column in ("emotion", "pixels", "Usage") if ROLES[column.lower()] not in roles]
            problem = f"{name}, row {row}: no column {', '.join(missing)} in the header {shown(header.strip())}."
            return Kind("", f"{problem} Put the header back.")
    return Kind(kind, "", encoding, delimiter, roles, row)


def encoding_of(head: bytes) -> str:
    """UTF-16 and UTF-8 are told by their first bytes; anything else has its digits and commas where ASCII has them."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if 0 in head[:2]:
        return "utf-16-be" if head[0] == 0 else "utf-16-le"
    return "utf-8-sig"


# --- opening ----------------------------------------------------------------------------------------------------------


@contextmanager
def reading(name) -> Iterator[None]:
    """Turn the many errors that damaged files raise into one that names the file."""
    try:
        yield
    except DAMAGE as error:
        reason = str(error) or type(error).__name__
        raise DataError(f"{name}: damaged, cut short or not readable ({reason}). Copy or download it again.") from error


@contextmanager
def at(name, row: int) -> Iterator[None]:
    """Add file and row to what a parser found wrong."""
    try:
        yield
    except (ValueError, csv.Error) as error:
        raise DataError(f"{name}, row {row}: {error}. Correct the row, or download the file again.") from None


@contextmanager
def unpacked(name, opener: Callable) -> Iterator[BinaryIO]:
    """Open a file; .gz, .bz2 and .xz are unpacked as it is read."""
    with reading(name), opener() as stream:
        start = stream.read(6)
        stream.seek(0)
        unpacker = next((unpacker for magic, unpacker in UNPACKERS.items() if start.startswith(magic)), None)
        yield unpacker(stream) if unpacker else stream


class Hashed(io.RawIOBase):
    """A stream that hashes what is read through it."""

    def __init__(self, stream: BinaryIO, md5):
        self.stream, self.md5 = stream, md5

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        size = self.stream.readinto(buffer)
        self.md5.update(buffer[:size])
        return size


def progress(items: Iterable, unit: str) -> Iterable:
    """A progress bar on a terminal, where reading takes longer than a second."""
    from tqdm import tqdm

    return tqdm(items, desc="reading FER2013", unit=f" {unit}", disable=None, delay=1, leave=False)


def shown(value: str) -> str:
    """A value as messages show it: quoted, and cut to a readable length."""
    return repr(value if len(value) <= 40 else f"{value[:40]}…")


# --- csv --------------------------------------------------------------------------------------------------------------


def read_tables(files: Files, names: list[str]) -> Rows:
    """fer2013.csv, icml_face_data.csv, or train.csv and test.csv."""
    tables = [read_table(name, files[name]) for name in names]
    if len(tables) == 1:
        return tables[0]
    images, labels, split, notes = zip(*tables, strict=True)
    return Rows(np.concatenate(images), np.concatenate(labels), np.concatenate(split), sum(notes, ()))


def read_table(name: str, opener: Callable) -> Rows:
    """One csv with a picture in each row."""
    kind = identify(name, opener)
    column = {role: i for i, role in enumerate(kind.roles)}
    pixels, labels, split = bytearray(), [], []
    md5 = hashlib.md5(usedforsecurity=False)
    for row, cells in rows_of(name, opener, kind, md5):
        with at(name, row):
            pixels += parse_pixels(cells[column["pixels"]])
            labels.append(parse_label(cells[column["label"]]) if "label" in column else -1)
            split.append(parse_usage(cells[column["usage"]]) if "usage" in column else kind.name)
    if not labels:
        raise DataError(f"{name}: has a header and no rows. Copy or download it again.")
    official = OFFICIAL_MD5.get(md5.hexdigest())
    verdict = f"this is the official {official}" if official else "none of the official files has it"
    note = f"{PurePath(name).name}: md5 {md5.hexdigest()}, {verdict}."
    return Rows(np.frombuffer(pixels, np.uint8).reshape(-1, *IMAGE_SHAPE), np.array(labels), np.array(split), (note,))


def rows_of(name: str, opener: Callable, kind: Kind, md5=None) -> Iterator[tuple[int, list[str]]]:
    """Line number (from 1, as editors count) and cells of each row below the header; blank lines are passed over."""
    with unpacked(name, opener) as stream:
        stream = io.BufferedReader(Hashed(stream, md5), 1 << 20) if md5 else stream
        lines = io.TextIOWrapper(stream, kind.encoding, errors="backslashreplace")
        for row, line in enumerate(progress(lines, "rows"), start=1):
            if row <= kind.header_row or not line.strip():
                continue
            with at(name, row):
                cells = cells_of(line, kind)
            yield row, cells


def cells_of(line: str, kind: Kind) -> list[str]:
    quoted = '"' in line  # rare; splitting at the delimiter is much faster
    cells = next(csv.reader([line], delimiter=kind.delimiter)) if quoted else line.split(kind.delimiter)
    if len(cells) != len(kind.roles):
        raise ValueError(f"{len(cells)} cells where the header has {len(kind.roles)}: {shown(line.strip())}")
    return cells


def parse_pixels(text: str) -> bytes:
    """The 2,304 grey values of one cell, a byte each."""
    try:
        values = np.fromstring(text, np.int64, sep=" ")
    except ValueError:  # not a whole number somewhere
        values = np.empty(0, np.int64)
    if values.size != PIXELS or values.view(np.uint64).max() > 255:  # seen as unsigned, a negative number is large
        raise ValueError(what_is_wrong(text.split()))
    return values.astype(np.uint8).tobytes()


def what_is_wrong(values: list[str]) -> str:
    """Why a cell is no picture, naming the first wrong value: slow, so called only where something is wrong."""
    if not values:
        return "the pixels are empty"
    for place, value in enumerate(values, start=1):
        if not re.fullmatch("[0-9]+", value):
            return f"pixel {place} is {shown(value)}, not a whole number from 0 to 255"
        if int(value) > 255:
            return f"pixel {place} is {shown(value)}, outside 0 to 255"
    return f"{len(values):,} pixels where a picture of 48x48 has {PIXELS:,} (the last one is {shown(values[-1])})"


def parse_label(text: str) -> int:
    if text.strip() not in LABELS:
        raise ValueError(f"label {shown(text.strip())} is not a class number from 0 to {len(CLASSES) - 1}")
    return LABELS[text.strip()]


def parse_usage(text: str) -> str:
    if text.strip().lower() not in USAGES:
        raise ValueError(f"Usage {shown(text.strip())} is not Training, PublicTest or PrivateTest")
    return USAGES[text.strip().lower()]


# --- pictures ---------------------------------------------------------------------------------------------------------


def read_class_folders(files: Files, pictures: list[str]) -> Rows:
    """train/<class>/… and test/<class>/…, at any depth; pictures directly in test/ have no label."""
    places = {name: place_of(name) for name in sorted(pictures)}
    names = [name for name, (split, _) in places.items() if split]
    if not names:
        raise DataError(f"{pictures[0]}: lies in no folder train/<class>/ or test/<class>/. {EXPECTED}")
    for name in names:
        if places[name][1] is None:
            raise DataError(f"{name}: its folder is not one of the classes {', '.join(CLASSES)}. Rename or remove it.")
    split, labels = zip(*(places[name] for name in names), strict=True)
    if "test" not in split:  # a validation folder that is all there is to score on is a test
        split = ["test" if part == "val" else part for part in split]
    images, notes = read_pictures(files, names)
    outside = len(pictures) - len(names)
    notes += (f"{outside:,} pictures lie outside train/ and test/ and were not read.",) if outside else ()
    return Rows(images, np.array(labels), np.array(split), notes)


def place_of(name: str) -> tuple[str | None, int | None]:
    """Split and class of a picture by the two folders it lies in; None for a folder that is neither."""
    split_folder, class_folder = ["", "", *PureWindowsPath(name.lower()).parts][-3:-1]
    if split_folder in SPLIT_FOLDERS:
        return SPLIT_FOLDERS[split_folder], CLASS_FOLDERS.get(class_folder)
    return ("test", -1) if class_folder == "test" else (None, None)


def read_numbered_pictures(files: Files, names: list[str]) -> Rows:
    """The course's 2019 form: a folder of numbered training pictures with a csv id,label, and a folder of test ones."""
    answers, *pictures = names
    labels = read_answers(answers, files[answers])
    is_test = {name: "test" in PurePath(name).parent.name.lower() for name in pictures}
    numbers = {name: number_of(name) for name in pictures}
    train = sorted((name for name in pictures if not is_test[name]), key=numbers.get)
    test = sorted((name for name in pictures if is_test[name]), key=numbers.get)
    for name in train:
        if numbers[name] not in labels:
            raise DataError(f"{name}: has no row in {answers}. Add its label, or take the picture away.")
    for number in labels.keys() - {numbers[name] for name in train}:
        raise DataError(f"{answers}: id {number} has no picture. Unpack the pictures again, or take the row away.")
    images, notes = read_pictures(files, train + test)
    return Rows(
        images,
        np.array([labels[numbers[name]] for name in train] + [-1] * len(test)),
        np.array(["train"] * len(train) + ["test"] * len(test)),
        notes,
    )


def read_answers(name: str, opener: Callable) -> dict[int, int]:
    """Picture number -> label, from a csv id,label."""
    kind = identify(name, opener)
    id_at, label_at = kind.roles.index("id"), kind.roles.index("label")
    labels = {}
    for row, cells in rows_of(name, opener, kind):
        with at(name, row):
            number = re.sub(r"\.(png|jpe?g)$", "", cells[id_at].strip())
            if not number.isdecimal() or int(number) in labels:
                raise ValueError(f"id {shown(cells[id_at])} is {'there twice' if number.isdecimal() else 'no number'}")
            labels[int(number)] = parse_label(cells[label_at])
    return labels


def number_of(name: str) -> int:
    stem = PurePath(name).stem
    if not stem.isdecimal():
        raise DataError(f"{name}: its name is no number, so it has no row in the csv. Rename or remove it.")
    return int(stem)


def read_pictures(files: Files, names: list[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Pictures (N, 48, 48, 1) as `names` orders them, read as the files come: in a packed tar jumping back is slow."""
    row = {name: i for i, name in enumerate(names)}
    images = np.empty((len(names), *IMAGE_SHAPE), np.uint8)
    as_colour = 0
    for name in progress([name for name in files if name in row], "pictures"):
        image = read_picture(name, files[name])  # (48, 48), or (48, 48, 3) where a grey picture is stored as colour
        as_colour += image.ndim == 3
        images[row[name], ..., 0] = image if image.ndim == 2 else image[..., 0]
    return images, (f"{as_colour:,} grey pictures are stored as RGB.",) if as_colour else ()


def read_picture(name: str, opener: Callable) -> np.ndarray:
    """One picture uint8: (48, 48) if stored as grey, (48, 48, 3) with equal channels if stored as colour."""
    from PIL import Image

    try:
        with opener() as stream, Image.open(stream, formats=("PNG", "JPEG")) as image:
            size, mode = image.size, image.mode
            pixels = np.asarray(image if mode == "L" else image.convert("RGB")) if size == SIZE else None
    except Exception as error:  # Pillow raises many kinds for a broken picture
        raise DataError(f"{name}: unreadable picture ({error}). Copy or download it again.") from error
    if size != SIZE:
        raise DataError(f"{name}: {size[0]}x{size[1]} pixels where 48x48 are needed. Resize or remove the picture.")
    if mode not in ("L", "1", "P", "RGB") or (pixels.ndim == 3 and np.ptp(pixels, axis=-1).any()):
        raise DataError(f"{name}: not a grey picture (mode {mode}). Convert it to 8-bit grey, or remove it.")
    return pixels


# --- the rest ---------------------------------------------------------------------------------------------------------


def read_inner_archive(files: Files, names: list[str]) -> Rows:
    """The one archive that lies in a folder."""
    return read(Path(names[0]))[0]


def read_npz(files: Files, names: list[str]) -> Rows:
    """Arrays saved by np.savez(images=, labels=, split=): (N, 48, 48, 1) uint8, (N,) -1..6, (N,) of labels.SPLITS."""
    name = names[0]
    with reading(name), files[name]() as stream, np.load(stream) as arrays:
        missing = {"images", "labels", "split"} - set(arrays.files)
        if missing:
            raise DataError(f"{name}: has no array {sorted(missing)[0]!r}. It needs images, labels and split.")
        try:
            images, labels, split = (arrays[key] for key in ("images", "labels", "split"))
        except ValueError as error:  # pickled objects
            raise DataError(f"{name}: {error}. Save plain arrays.") from None
    if images.dtype != np.uint8 or images.shape[1:] not in (SIZE, IMAGE_SHAPE) or not len(images):
        raise DataError(f"{name}: images are {images.dtype} {images.shape}, not uint8 (N, 48, 48, 1). Save them so.")
    if not labels.shape == split.shape == images.shape[:1]:
        raise DataError(f"{name}: {len(images)} images, labels {labels.shape}, split {split.shape}. Save one of each.")
    good = np.isin(split, SPLITS) & (np.isin(labels, range(len(CLASSES))) | (labels == -1) & (split == "test"))
    if not good.all():
        bad = int(np.flatnonzero(~good)[0])
        raise DataError(
            f"{name}: row {bad} (from 0) has label {labels[bad]} and split {str(split[bad])!r}; labels are 0 to 6 "
            f"(-1 = unknown, in test only), splits are {', '.join(SPLITS)}. Correct it and save again."
        )
    return Rows(np.ascontiguousarray(images).reshape(-1, *IMAGE_SHAPE), labels.astype(np.int64), split)
