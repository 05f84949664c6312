"""Read every form in which FER2013 circulates into the same arrays.

A file, folder, zip or tar is opened as a dict from name to a function that opens that member, so every reader works on
all of them and nothing is unpacked to disk. The reader is chosen by content (first bytes, csv header, folder names),
not by file name.
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
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path, PurePath, PureWindowsPath
from typing import BinaryIO, NamedTuple

import numpy as np

from fer_utils.labels import CLASSES, IMAGE_SHAPE, SPLITS

SIZE = IMAGE_SHAPE[:2]
PIXELS = IMAGE_SHAPE[0] * IMAGE_SHAPE[1]  # of one image: 2,304
MAX_FILES = 200_000  # a folder with more is a home folder, not a dataset
CACHE_TAG = "CACHEDIR.TAG"  # marks a cache (https://bford.info/cachedir/), which is never read as data

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
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
UNPACKERS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
DAMAGE = (OSError, EOFError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError)

EXPECTED = """FER2013 is read from
  - fer2013.csv (emotion,pixels,Usage; also .gz .bz2 .xz) or icml_face_data.csv
  - train.csv of the course (label,feature), with its test.csv (id,feature) beside it if you have it
  - folders train/<class>/ and test/<class>/ of 48x48 PNG or JPG images
  - folders of numbered images with a csv (id,label)
  - a zip or tar of any of these, or an .npz with the arrays images, labels and split"""

Files = dict[str, Callable[[], BinaryIO]]  # name, as messages show it -> function that opens the file


class DataError(ValueError):
    """The data cannot be used; the message names file, row and value, and says what to do."""


class Rows(NamedTuple):
    """The content of a source, in its own order."""

    images: np.ndarray  # (N, 48, 48, 1) uint8
    labels: np.ndarray  # (N,) int64, -1 = unknown
    split: np.ndarray  # (N,) str, of labels.SPLITS
    notes: tuple[str, ...] = ()


class Kind(NamedTuple):
    """What a file contains and, for a csv, how to split its rows into cells."""

    name: str  # "complete", "train", "test", "answers" (csv), "npz", "archive", "votes"; "" = unknown
    problem: str = ""  # why the file cannot be used
    encoding: str = ""
    delimiter: str = ""
    roles: tuple[str, ...] = ()  # values of ROLES, one per column; "" = ignored
    header_row: int = 0  # counted from 1


def read(path: Path) -> tuple[Rows, str]:
    """Read FER2013 from any source.

    Args:
        path: file, archive, or folder that contains one of them.

    Returns:
        The rows, and the name of the file or folder they come from.

    Raises:
        DataError: nothing there can be read, or its content is wrong.
    """
    with open_files(path) as files:
        images = [name for name in files if name.lower().endswith(IMAGE_SUFFIXES)]
        kinds = {name: identify(name, files[name]) for name in files.keys() - set(images)}
        reader, names = choose(path, kinds, images)
        rows = reader(files, names)
    unread = [PurePath(name).name for name in kinds.keys() - set(names) if kinds[name].name != "votes"]
    title = PurePath(names[0]) if path.is_dir() and reader in (read_tables, read_npz, read_inner_archive) else path
    return rows._replace(notes=rows.notes + note_unread(unread)), title.name


def note_unread(names: list[str], limit: int = 5) -> tuple[str, ...]:
    """Return a note that lists each file name once, or no note where there are no names."""
    counts = sorted(Counter(names).items())
    listed = [name if n == 1 else f"{name} ({n:,} files)" for name, n in counts[:limit]]
    return (f"Also there, but not read: {', '.join(listed)}{', …' * (len(counts) > limit)}.",) if names else ()


def choose(path: Path, kinds: dict[str, Kind], images: list[str]) -> tuple[Callable, list[str]]:
    """Return the reader for a source and the files it reads; sources that tell more splits apart are preferred."""

    def only(kind: str) -> list[str]:
        names = sorted(name for name in kinds if kinds[name].name == kind)
        if len(names) > 1:
            raise DataError(f"{path}: there is more than one source: {', '.join(names)}. Name the one to use.")
        return names

    if names := only("complete"):
        return read_tables, names
    if names := only("npz"):
        return read_npz, names
    if names := only("train") + only("test"):
        return read_tables, names
    in_classes = any(split_and_class(name)[1] not in (None, -1) for name in images)
    if images and not in_classes and (names := only("answers")):
        return read_numbered_images, names + images
    if images:
        return read_class_folders, images
    if path.is_dir() and (names := only("archive")):
        return read_inner_archive, names
    problems = [kind.problem or f"{name}: cannot be used alone." for name, kind in sorted(kinds.items())]
    raise DataError("\n".join([*(problems[:3] or [f"{path}: there is nothing in it."]), EXPECTED]))


# --- files and what they contain --------------------------------------------------------------------------------------


@contextmanager
def open_files(path: Path) -> Iterator[Files]:
    """Open a folder, zip or tar as its files; a single file as itself (with the test.csv beside a train.csv)."""
    if path.is_dir():
        yield {entry.path: partial(open, entry.path, "rb") for entry in files_below(path)}
        return
    kind = identify(str(path), partial(open, path, "rb")).name
    if kind != "archive":
        paths = [path, *(course_test_beside(path) if kind == "train" else ())]
        yield {str(file): partial(open, file, "rb") for file in paths}
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
    """Return the visible members of an archive; refuse links and names that lead out of it."""
    files = {}
    for name, opener in members.items():
        parts = PureWindowsPath(name).parts  # splits at / and \, and knows C:
        if ".." in parts or PureWindowsPath(name).anchor:
            raise DataError(f"{path}: refused because its member {name!r} leads out of the archive. Pack it again.")
        if name in links:
            raise DataError(f"{path}: refused because its member {name!r} is a link or device. Pack the file itself.")
        if not any(part.startswith((".", "__MACOSX")) for part in parts):
            files["/".join((str(path), *parts))] = opener
    return files


def files_below(folder: Path) -> list[os.DirEntry]:
    """List all files below a folder in the order of their names, without hidden ones and caches."""
    with reading(folder):
        found = list(islice(walk(folder), MAX_FILES + 1))
    if len(found) > MAX_FILES:
        raise DataError(f"{folder}: more than {MAX_FILES:,} files. Name the folder that holds FER2013 alone.")
    return found


def walk(folder: str | Path, depth: int = 8) -> Iterator[os.DirEntry]:
    """Yield the files below a folder; `depth` ends circles of links."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith((".", "__MACOSX")):
                continue
            if entry.is_file():
                yield entry
            elif entry.is_dir() and depth and not os.path.exists(os.path.join(entry.path, CACHE_TAG)):
                yield from walk(entry.path, depth - 1)


def course_test_beside(path: Path) -> list[Path]:
    """Find the course's test.csv, packed or not, beside its train.csv."""
    candidates = (path.with_name(f"test.csv{suffix}") for suffix in ("", ".gz", ".bz2", ".xz"))
    return [file for file in candidates if file.is_file() and file != path][:1]


def identify(name: str, opener: Callable) -> Kind:
    """Identify a file by its first bytes."""
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
    """Find encoding, delimiter and columns of a csv; its columns say which of FER2013's files it is."""
    encoding = encoding_of(head)
    lines = io.StringIO(head.decode(encoding, "backslashreplace"), newline=None)
    row, header = next(((row, line) for row, line in enumerate(lines, start=1) if line.strip()), (1, ""))
    delimiter = max(",;\t", key=header.count)
    with at(name, row):
        columns = [cell.strip().lower() for cell in next(csv.reader([header], delimiter=delimiter), [])]
    if {"contempt", "nf"} <= set(columns):  # FERPlus: see studies/ferplus.py
        return Kind("votes", f"{name}: contains people's votes, but no images. Put fer2013.csv beside it.")
    roles = tuple(ROLES.get(column, "") for column in columns)
    named = re.match("train|test|", PurePath(name).name.lower())[0]  # Kaggle's two files may have the same header
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
            return Kind("", f"{problem} Restore the header.")
    return Kind(kind, "", encoding, delimiter, roles, row)


def encoding_of(head: bytes) -> str:
    """Tell UTF-16 by its first bytes; every other encoding has its digits and commas where UTF-8 has them."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if 0 in head[:2]:
        return "utf-16-be" if head[0] == 0 else "utf-16-le"
    return "utf-8-sig"


# --- opening ----------------------------------------------------------------------------------------------------------


@contextmanager
def reading(name) -> Iterator[None]:
    """Turn every error that a damaged file may raise into a DataError that names it."""
    try:
        yield
    except DAMAGE as error:
        reason = str(error) or type(error).__name__
        raise DataError(f"{name}: damaged, cut short or not readable ({reason}). Copy or download it again.") from error


@contextmanager
def at(name, row: int) -> Iterator[None]:
    """Turn a parser's error into a DataError that names file and row."""
    try:
        yield
    except (ValueError, csv.Error) as error:
        raise DataError(f"{name}, row {row}: {error}. Correct the row, or download the file again.") from None


@contextmanager
def unpacked(name, opener: Callable) -> Iterator[BinaryIO]:
    """Open a file; gzip, bz2 and xz are unpacked while it is read."""
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
    """Show a progress bar on a terminal if reading takes longer than a second."""
    from tqdm import tqdm

    return tqdm(items, desc="reading FER2013", unit=f" {unit}", disable=None, delay=1, leave=False)


def shown(value: str) -> str:
    """Quote a value for a message and shorten it to a readable length."""
    return repr(value if len(value) <= 40 else f"{value[:40]}…")


# --- csv --------------------------------------------------------------------------------------------------------------


def read_tables(files: Files, names: list[str]) -> Rows:
    """Read fer2013.csv, icml_face_data.csv, or train.csv and test.csv."""
    tables = [read_table(name, files[name]) for name in names]
    if len(tables) == 1:
        return tables[0]
    images, labels, split, notes = zip(*tables, strict=True)
    return Rows(np.concatenate(images), np.concatenate(labels), np.concatenate(split), sum(notes, ()))


def read_table(name: str, opener: Callable) -> Rows:
    """Read a csv with one image per row."""
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
    """Yield line number (from 1) and cells of every row below the header, without blank lines."""
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
    """Split a line into its cells, one per column of the header."""
    quoted = '"' in line  # rare; str.split is much faster than csv.reader
    cells = next(csv.reader([line], delimiter=kind.delimiter)) if quoted else line.split(kind.delimiter)
    if len(cells) != len(kind.roles):
        raise ValueError(f"{len(cells)} cells where the header has {len(kind.roles)}: {shown(line.strip())}")
    return cells


def parse_pixels(text: str) -> bytes:
    """Parse the 2,304 grey levels of one cell into a byte each."""
    try:
        values = np.fromstring(text, np.int64, sep=" ")
    except ValueError:  # not a whole number somewhere
        values = np.empty(0, np.int64)
    if values.size != PIXELS or values.view(np.uint64).max() > 255:  # seen as unsigned, a negative number is large
        raise ValueError(pixel_error(text.split()))
    return values.astype(np.uint8).tobytes()


def pixel_error(values: list[str]) -> str:
    """Say which value of a wrong cell is the first wrong one."""
    if not values:
        return "the pixels are empty"
    for place, value in enumerate(values, start=1):
        if not re.fullmatch("[0-9]+", value):
            return f"pixel {place} is {shown(value)}, not a whole number from 0 to 255"
        if int(value) > 255:
            return f"pixel {place} is {shown(value)}, outside 0 to 255"
    return f"{len(values):,} pixels where an image of 48x48 has {PIXELS:,} (the last one is {shown(values[-1])})"


def parse_label(text: str) -> int:
    if text.strip() not in LABELS:
        raise ValueError(f"label {shown(text.strip())} is not a class number from 0 to {len(CLASSES) - 1}")
    return LABELS[text.strip()]


def parse_usage(text: str) -> str:
    if text.strip().lower() not in USAGES:
        raise ValueError(f"Usage {shown(text.strip())} is not Training, PublicTest or PrivateTest")
    return USAGES[text.strip().lower()]


# --- images -----------------------------------------------------------------------------------------------------------


def read_class_folders(files: Files, images: list[str]) -> Rows:
    """Read train/<class>/… and test/<class>/… at any depth; images directly in test/ have no label."""
    places = {name: split_and_class(name) for name in sorted(images)}
    names = [name for name, (split, _) in places.items() if split]
    if not names:
        raise DataError(f"{images[0]}: is not in a folder train/<class>/ or test/<class>/. {EXPECTED}")
    for name in names:
        if places[name][1] is None:
            raise DataError(f"{name}: its folder is not one of the classes {', '.join(CLASSES)}. Rename or remove it.")
    split, labels = zip(*(places[name] for name in names), strict=True)
    if "test" not in split:  # a validation folder without a test folder serves as test set
        split = ["test" if part == "val" else part for part in split]
    pixels, notes = read_images(files, names)
    outside = len(images) - len(names)
    notes += (f"{outside:,} images outside train/ and test/ were not read.",) if outside else ()
    return Rows(pixels, np.array(labels), np.array(split), notes)


def split_and_class(name: str) -> tuple[str | None, int | None]:
    """Return split and class of an image by its two innermost folders; None where a folder is neither."""
    split_folder, class_folder = ["", "", *PureWindowsPath(name.lower()).parts][-3:-1]
    if split_folder in SPLIT_FOLDERS:
        return SPLIT_FOLDERS[split_folder], CLASS_FOLDERS.get(class_folder)
    return ("test", -1) if class_folder == "test" else (None, None)


def read_numbered_images(files: Files, names: list[str]) -> Rows:
    """Read the course's form of 2019: folders of numbered training and test images, and a csv id,label."""

    def is_test(name: str) -> bool:
        return "test" in PurePath(name).parent.name.lower()

    answers, *images = names
    labels = read_answers(answers, files[answers])
    images.sort(key=lambda name: (is_test(name), image_number(name)))
    train = {name: image_number(name) for name in images if not is_test(name)}
    for name, number in train.items():
        if number not in labels:
            raise DataError(f"{name}: has no row in {answers}. Add its label, or remove the image.")
    for number in labels.keys() - set(train.values()):
        raise DataError(f"{answers}: id {number} has no image. Unpack the images again, or remove the row.")
    pixels, notes = read_images(files, images)
    n_test = len(images) - len(train)
    known = [labels[number] for number in train.values()]
    return Rows(pixels, np.array(known + [-1] * n_test), np.repeat(["train", "test"], [len(train), n_test]), notes)


def read_answers(name: str, opener: Callable) -> dict[int, int]:
    """Read a csv id,label as a dict from image number to label."""
    kind = identify(name, opener)
    id_at, label_at = kind.roles.index("id"), kind.roles.index("label")
    labels = {}
    for row, cells in rows_of(name, opener, kind):
        with at(name, row):
            number = re.sub(r"\.(png|jpe?g)$", "", cells[id_at].strip())
            if not number.isdecimal() or int(number) in labels:
                raise ValueError(
                    f"id {shown(cells[id_at])} is {'there twice' if number.isdecimal() else 'not a number'}"
                )
            labels[int(number)] = parse_label(cells[label_at])
    return labels


def image_number(name: str) -> int:
    """Return the number in an image's file name."""
    stem = PurePath(name).stem
    if not stem.isdecimal():
        raise DataError(f"{name}: its name is not a number, so it has no row in the csv. Rename or remove it.")
    return int(stem)


def read_images(files: Files, names: list[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read images (N, 48, 48, 1) in the order of `names`, and notes on them."""
    row = {name: i for i, name in enumerate(names)}
    images = np.empty((len(names), *IMAGE_SHAPE), np.uint8)
    in_colour = 0
    for name in progress([name for name in files if name in row], "images"):  # a packed tar is slow in another order
        image = read_image(name, files[name])
        in_colour += image.ndim == 3
        images[row[name], ..., 0] = image if image.ndim == 2 else image[..., 0]
    return images, (f"{in_colour:,} grey images are stored as RGB.",) if in_colour else ()


def read_image(name: str, opener: Callable) -> np.ndarray:
    """Read an image uint8: (48, 48) if stored as grey, (48, 48, 3) with equal channels if stored as colour."""
    from PIL import Image

    try:
        with opener() as stream, Image.open(stream, formats=("PNG", "JPEG")) as image:
            size, mode = image.size, image.mode
            pixels = np.asarray(image if mode == "L" else image.convert("RGB")) if size == SIZE else None
    except Exception as error:  # Pillow raises many types for a damaged image
        raise DataError(f"{name}: unreadable image ({error}). Copy or download it again.") from error
    if size != SIZE:
        raise DataError(f"{name}: {size[0]}x{size[1]} pixels where 48x48 are needed. Resize or remove the image.")
    if mode not in ("L", "1", "P", "RGB") or (pixels.ndim == 3 and np.ptp(pixels, axis=-1).any()):
        raise DataError(f"{name}: not a grey image (mode {mode}). Convert it to 8-bit grey, or remove it.")
    return pixels


# --- archives in a folder, and npz ------------------------------------------------------------------------------------


def read_inner_archive(files: Files, names: list[str]) -> Rows:
    """Read the one archive in a folder."""
    return read(Path(names[0]))[0]


def read_npz(files: Files, names: list[str]) -> Rows:
    """Read np.savez(images=, labels=, split=): (N, 48, 48, 1) uint8, (N,) ints -1…6, (N,) of labels.SPLITS."""
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
        raise DataError(
            f"{name}: images are {images.dtype} {images.shape}, not uint8 (N, 48, 48, 1). Convert and save them again."
        )
    if not labels.shape == split.shape == images.shape[:1]:
        raise DataError(
            f"{name}: {len(images)} images, labels {labels.shape}, split {split.shape}. Save as many of each."
        )
    good = np.isin(split, SPLITS) & (np.isin(labels, range(len(CLASSES))) | (labels == -1) & (split == "test"))
    if not good.all():
        bad = int(np.flatnonzero(~good)[0])
        raise DataError(
            f"{name}: row {bad} (from 0) has label {labels[bad]} and split {str(split[bad])!r}; labels are 0 to 6 "
            f"(-1 = unknown, in test only), splits are {', '.join(SPLITS)}. Correct it and save again."
        )
    return Rows(np.ascontiguousarray(images).reshape(-1, *IMAGE_SHAPE), labels.astype(np.int64), split)
