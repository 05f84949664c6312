"""Load any source of FER2013 as a Dataset: parsed once, then memory-mapped from a cache.

python -m fer_utils.data              # show what `load()` returns: images by split and class
python -m fer_utils.data fer2013.csv  # the same for this source
"""

import argparse
import hashlib
import json
import mmap
import os
import re
import shutil
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from fer_utils import readers
from fer_utils.labels import CLASSES, SPLITS
from fer_utils.readers import EXPECTED, DataError, choose_validation, group_identical
from fer_utils.words import joined, message, restored, words

ROOT = Path(__file__).resolve().parents[1]  # of the kit
DATA = ROOT / "data"  # where `load()` looks for a source, and where the cache is
DRAWN = words("drawn faces")  # the name of data that the kit draws itself
TRAINING = ("train", "val")  # the splits that a training sees
ARRAYS = ("images", "labels", "split", "regions")  # one .npy each in the cache; only drawn faces have regions
VOTE_FILES = ("fer2013new*.csv*", "*ferplus*.csv*")  # plain or packed


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images with their labels and splits, memory-mapped and read-only, in the order of their source."""

    images: np.ndarray  # (N, 48, 48, 1) uint8
    labels: np.ndarray  # (N,) int64, -1 = unknown
    split: np.ndarray  # (N,) str, of labels.SPLITS
    name: str  # as reports show it: "FER2013 (fer2013.csv)", "drawn faces"
    source: str  # path, or "drawn"
    fingerprints: dict[str, str]  # of each split: 16 hex digits, a hash of its pixels and labels in their order
    notes: tuple[str, ...]  # what readers of the results should know, a sentence each, as Words
    drawn: bool
    regions: np.ndarray | None = None  # (N, 48, 48) uint8, places in labels.REGIONS; drawn faces only

    def __post_init__(self):
        """Arrays that were altered in memory (`dataclasses.replace`) have another fingerprint than their source."""
        if not _from_one_cache(self.images, self.labels, self.split):
            object.__setattr__(self, "fingerprints", fingerprints_of(self.images, self.labels, self.split))

    @property
    def fingerprint(self) -> str:
        """16 hex digits that stand for all images, labels and splits."""
        return combined(self.fingerprints)

    @property
    def training(self) -> str:
        """16 hex digits that stand for the training and validation images alone: what a training depends on."""
        return combined(self.fingerprints, TRAINING)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits of this source, in the order of labels.SPLITS."""
        present = set(np.unique(self.split).tolist())
        return tuple(split for split in SPLITS if split in present)

    @property
    def test_split(self) -> str:
        """The split for final scores: the first labelled one of public, test, private; else val."""
        labelled = set(np.unique(self.split[self.labels >= 0]).tolist())
        return next((split for split in ("public", "test", "private") if split in labelled), "val")

    def where(self, split: str) -> np.ndarray:
        """Return the row numbers (n,) of a split.

        Raises:
            DataError: this source has no such split.
        """
        rows = np.flatnonzero(self.split == split)
        if not len(rows):
            raise DataError(f"{self.name} has no split {split!r}; it has {', '.join(self.splits)}.")
        return rows

    def part(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Return images (n, 48, 48, 1) uint8 and labels (n,) of a split, in memory."""
        rows = self.where(split)
        return self.images[rows], self.labels[rows]

    def __repr__(self) -> str:
        counts = Counter(self.split.tolist())
        return f"{self.name}: " + " · ".join(f"{split} {counts[split]:,}" for split in self.splits)


def load(source: str | Path = "auto", val_share: float = 0.1, val_seed: int = 0) -> Dataset:
    """Load FER2013, or the drawn faces where there is none.

    Args:
        source: path of any form of FER2013 (see readers.EXPECTED), "drawn", or "auto": $FER_DATA if it is set, else
            the content of the kit's data/, else the drawn faces.
        val_share: share of the training images that becomes the validation set, in [0, 1).
        val_seed: seed of their choice.

    Returns:
        Dataset. The first load of a source parses it; later loads map the cache.

    Raises:
        DataError: the source is missing or wrong; the message says where and what to do.
    """
    if not 0 <= val_share < 1:
        raise ValueError(f"val_share must be in [0, 1), not {val_share}")
    path = find(source)
    folder = cache_folder(path, val_share, val_seed)
    if folder.exists():
        with suppress(OSError, ValueError, KeyError):
            return open_cache(folder)
        shutil.rmtree(folder, ignore_errors=True)  # damaged
    write_cache(folder, build(path, val_share, val_seed))
    return open_cache(folder)


def fingerprint(source: str | Path = "auto", val_share: float = 0.1, val_seed: int = 0, splits=SPLITS) -> str:
    """Return Dataset.fingerprint, or that of some `splits`, without reading the images of a cached source."""
    meta = cache_folder(find(source), val_share, val_seed) / "meta.json"
    with suppress(OSError, ValueError, KeyError):
        return combined(json.loads(meta.read_text("utf-8"))["fingerprints"], splits)
    return combined(load(source, val_share, val_seed).fingerprints, splits)


def find(source: str | Path) -> Path | None:
    """Return the absolute path of a source; None stands for the drawn faces."""
    if source == "auto":
        source = os.environ.get("FER_DATA") or "auto"
    if source == "auto":
        source = DATA if holds_files(DATA) else "drawn"
    if source == "drawn":
        return None
    path = Path(os.path.abspath(Path(source).expanduser()))
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder. Check the name (DATA= or FER_DATA). {EXPECTED}")
    return path


def votes_file(path: Path) -> Path | None:
    """Find FERPlus' csv: $FER_PLUS, else a file beside the source, or directly in data/ if the source is in there."""
    given = Path(os.environ["FER_PLUS"]) if os.environ.get("FER_PLUS") else None
    folders = [path if path.is_dir() else path.parent, *([DATA] if path.is_relative_to(DATA) else [])]
    folders = [given] if given else folders
    return next((file for folder in folders for name in VOTE_FILES for file in sorted(folder.glob(name))), given)


def votes_hash(source: str | Path) -> str:
    """12 hex digits of the content of the FERPlus csv of a source; "" without one."""
    path = find(source)
    votes = votes_file(path) if path else None
    return hashlib.sha256(votes.read_bytes()).hexdigest()[:12] if votes and votes.is_file() else ""


def holds_files(folder: Path) -> bool:
    """Return whether a folder contains any file that could be data."""
    return folder.is_dir() and any(readers.walk(folder))


def build(path: Path | None, val_share: float, val_seed: int) -> Dataset:
    """Parse or draw the images, and split the validation set from the training set."""
    if path is None:
        from fer_utils.faces import draw

        drawn = draw()
        rows, regions, name = readers.Rows(drawn.images, drawn.labels, drawn.split), drawn.regions, DRAWN
        notes = [words("These faces are drawn by the kit: they show how the methods work, not how well on people.")]
    else:
        rows, title = readers.read(path)
        regions, name, notes = None, f"FER2013 ({title})", list(rows.notes)
    groups = group_identical(rows.images)
    split = rows.split.astype("U7")  # holds "private", the longest
    if "val" not in split:
        train = np.flatnonzero(split == "train")
        split[train[choose_validation(rows.labels[train], groups[train], val_share, val_seed)]] = "val"
    notes += describe(rows.labels, split, groups)
    source = str(path or "drawn")
    return Dataset(rows.images, rows.labels, split, name, source, {}, tuple(notes), path is None, regions)


def parts(split: np.ndarray) -> np.ndarray:
    """Return what the source calls Training, PublicTest or PrivateTest: the split, but "train" for "val"."""
    return np.where(np.asarray(split) == "val", "train", split)


def describe(labels: np.ndarray, split: np.ndarray, groups: np.ndarray) -> list[str]:
    """Describe what readers of the results should know about these data, a sentence each."""
    present = [part for part in SPLITS if part in split]
    lacking = [usage for part, usage in (("public", "PublicTest"), ("private", "PrivateTest")) if part not in present]
    no_train = [name for label, name in enumerate(CLASSES) if label not in labels[split == "train"]]
    unlabelled = int((labels < 0).sum())
    sides = set(zip(groups.tolist(), np.where(split == "val", "train", split).tolist(), strict=True))
    copies = {group: n for group, n in Counter(groups.tolist()).items() if n > 1}
    across = sum(n > 1 for n in Counter(group for group, _ in sides).values())
    gap = words("{a} and no {b}", a=lacking[0], b=lacking[1]) if len(lacking) > 1 else "".join(lacking)
    equal, shown = sum(copies.values()), ", ".join(present)
    notes = [
        (lacking, words("There is no {lacking}; the splits are {present}.", lacking=gap, present=shown)),
        (no_train, words("No training image shows {classes}.", classes=joined(no_train))),
        ("val" not in present, words("There is no validation split.")),
        (unlabelled, words("{n:,} test images have no label.", n=unlabelled)),
        (copies, words("{n:,} images are exact copies of one another, in {k:,} groups.", n=equal, k=len(copies))),
        (across, words("{n:,} of these groups are in more than one of the training and test sets.", n=across)),
    ]
    return [note for holds, note in notes if holds]


def fingerprints_of(images: np.ndarray, labels: np.ndarray, split: np.ndarray) -> dict[str, str]:
    """Return the fingerprint of each split of a dataset with these arrays."""
    rows = {part: np.flatnonzero(split == part) for part in SPLITS if part in split}
    return {part: hash_of(np.asarray(images[of]), np.asarray(labels[of])) for part, of in rows.items()}


def combined(fingerprints: dict[str, str], splits=SPLITS) -> str:
    """Return one fingerprint of several splits, those of `splits` that there are."""
    return hash_of("\n".join(f"{split} {fingerprints[split]}" for split in splits if split in fingerprints).encode())


def _from_one_cache(*arrays) -> bool:
    """Return whether these are whole arrays of one cached source, mapped and read-only."""
    whole = [isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap) for array in arrays]
    return all(whole) and len({Path(array.filename).parent for array in arrays}) == 1


def hash_of(*parts) -> str:
    """Hash arrays and bytes into 16 hex digits."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:16]


# --- the cache --------------------------------------------------------------------------------------------------------


def cache_folder(path: Path | None, val_share: float, val_seed: int) -> Path:
    """Return the cache folder of a source; its name changes with all that it depends on: files, readers, …"""
    rooms = ["data.py", "labels.py", *(["readers/*.py"] if path else ["faces.py"])]
    code = [file.read_bytes() for room in rooms for file in sorted(Path(__file__).parent.glob(room))]
    files, how = [], f"{path} {val_share} {val_seed}"
    if path:
        files = readers.files_below(path) if path.is_dir() else [path, *readers.beside(path)]
        how += os.environ.get("FER_ORDER", "")
    state = [f"{os.fspath(file)} {(at := file.stat()).st_size} {at.st_mtime_ns}" for file in files]
    key = hash_of(*code, "\n".join([*state, how]).encode("utf-8", "surrogateescape"))
    title = re.sub(r"[^\w.-]", "_", path.name) if path else "drawn"
    return cache_root() / f"{title}-{key}"


def cache_root() -> Path:
    """Return the folder of all that is kept of data: $FER_CACHE, else cache/ in the kit's data/."""
    return Path(os.environ.get("FER_CACHE") or DATA / "cache").absolute()


def open_cache(folder: Path) -> Dataset:
    """Memory-map the arrays of a cached source."""
    meta = json.loads((folder / "meta.json").read_text("utf-8"))
    names = ARRAYS if meta["drawn"] else ARRAYS[:-1]
    meta |= {"notes": tuple(map(restored, meta["notes"])), "name": DRAWN if meta["drawn"] else meta["name"]}
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}
    return Dataset(**arrays, **meta)


def write_cache(folder: Path, dataset: Dataset) -> None:
    """Write a dataset into a temporary folder and rename it once it is complete."""
    meta = {name: value for name, value in vars(dataset).items() if name not in ARRAYS}
    meta["notes"] = list(map(message, dataset.notes))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        (folder.parent / readers.CACHE_TAG).write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
        with TemporaryDirectory(prefix=".unfinished-", dir=folder.parent) as room:
            unfinished = Path(room, folder.name)  # unlike `room`, readable by other users
            unfinished.mkdir()
            for name in ARRAYS[: None if dataset.drawn else -1]:
                np.save(unfinished / f"{name}.npy", getattr(dataset, name))
            (unfinished / "meta.json").write_text(json.dumps(meta, indent=1), "utf-8")
            os.rename(unfinished, folder)
    except OSError as error:
        if not folder.exists():  # if another process wrote the cache first, discard ours
            raise DataError(f"{folder.parent}: cannot be written ({error}). Make room, or set FER_CACHE.") from error


# --- python -m fer_utils.data -----------------------------------------------------------------------------------------


def summary(dataset: Dataset) -> str:
    """Format a table of image counts by split and class, with notes and fingerprint."""
    known = [*range(len(CLASSES)), *([-1] if (dataset.labels < 0).any() else [])]
    header = ["", *CLASSES, *(["no label"] if -1 in known else []), "all"]
    rows = [header]
    for split in dataset.splits:
        labels = dataset.labels[dataset.where(split)]
        rows.append([split, *(f"{(labels == label).sum():,}" for label in known), f"{len(labels):,}"])
    table = ["".join(f"{cell:<8}" if i == 0 else f"{cell:>10}" for i, cell in enumerate(row)) for row in rows]
    facts = [dataset.name, f"source       {dataset.source}", f"fingerprint  {dataset.fingerprint}", ""]
    return "\n".join([*facts, *table, "", *(f"- {note}" for note in dataset.notes)])


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m fer_utils.data", description="Show the data.")
    parser.add_argument("source", nargs="?", default="auto", help="file, archive or folder (default: see load)")
    try:
        print(summary(load(parser.parse_args(arguments).source)))
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
