"""Open a folder, zip or tar as a dict from name to a function that opens that member; nothing is unpacked to disk."""

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path, PureWindowsPath
from typing import BinaryIO

from fer_utils.readers.rows import DataError

MAX_FILES = 200_000  # a folder with more is a home folder, not a dataset
CACHE_TAG = "CACHEDIR.TAG"  # marks a cache (https://bford.info/cachedir/), which is never read as data
BLOCK = 1 << 20  # bytes that are read at once
UNPACKERS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
DAMAGE = (
    *(OSError, EOFError, RuntimeError, OverflowError, MemoryError, NotImplementedError),
    *(UnicodeError, struct.error, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError),
)

Files = dict[str, Callable[[], BinaryIO]]  # name, as messages show it -> function that opens the file


@contextmanager
def open_files(path: Path) -> Iterator[Files]:
    """Open a folder, zip or tar as its files."""
    if path.is_dir():
        yield {entry.path: partial(open, entry.path, "rb") for entry in files_below(path)}
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


def beside(path: Path) -> list[Path]:
    """Find what may belong to a file: the course's test.csv, packed or not, beside train.csv; arrays beside arrays."""
    if path.suffix.lower() == ".npy":
        return [file for file in sorted(path.parent.glob("*.npy")) if file != path]
    candidates = (path.with_name(f"test.csv{suffix}") for suffix in ("", ".gz", ".bz2", ".xz"))
    return [file for file in candidates if file.is_file() and file != path][:1]


@contextmanager
def reading(name) -> Iterator[None]:
    """Turn every error that a damaged file may raise into a DataError that names it."""
    try:
        yield
    except DAMAGE as error:
        reason = str(error) or type(error).__name__
        raise DataError(f"{name}: damaged, cut short or not readable ({reason}). Copy or download it again.") from error


@contextmanager
def unpacked(name, opener: Callable) -> Iterator[BinaryIO]:
    """Open a file; gzip, bz2 and xz are unpacked while it is read."""
    with reading(name), opener() as stream:
        start = stream.read(6)
        stream.seek(0)
        unpacker = next((unpacker for magic, unpacker in UNPACKERS.items() if start.startswith(magic)), None)
        yield unpacker(stream) if unpacker else stream


class Ahead(io.RawIOBase):
    """A stream whose next block is read, unpacked and hashed in a thread while the last one is parsed."""

    def __init__(self, stream: BinaryIO, md5=None):
        self.stream, self.md5, self.block = stream, md5, memoryview(b"")
        self.pool = ThreadPoolExecutor(1)
        self.next = self.pool.submit(self._read)

    def _read(self) -> bytes:
        block = self.stream.read(BLOCK)
        if self.md5:
            self.md5.update(block)
        return block

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        if not self.block:
            self.block = memoryview(self.next.result())
            self.next = self.pool.submit(self._read)
        size = min(len(buffer), len(self.block))
        buffer[:size], self.block = self.block[:size], self.block[size:]
        return size

    def close(self) -> None:
        self.pool.shutdown()  # before anybody closes the stream
        super().close()
