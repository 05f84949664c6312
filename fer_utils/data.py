"""The data: any FER2013 source -> Dataset (images, labels, split) and a fingerprint; parsed once, then memory-mapped.

python -m fer_utils.data              # what would be used, and how many pictures of each class it has
python -m fer_utils.data fer2013.csv  # the same for this source
python -m fer_utils.data --download   # fetch FER2013 from Kaggle into data/
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np

from fer_utils import readers
from fer_utils.labels import CLASSES, SPLITS
from fer_utils.readers import EXPECTED, DataError

ROOT = Path(__file__).resolve().parents[1]  # of the kit
DATA = ROOT / "data"  # where `load()` looks first, and where the cache lies
ARRAYS = ("images", "labels", "split", "regions")  # each is one .npy in the cache; only drawn faces have the last
VOTE_FILES = ("fer2013new*.csv*", "*ferplus*.csv*")  # packed ones as well

COMPETITION = "challenges-in-representation-learning-facial-expression-recognition-challenge"
KAGGLE = [  # tried in this order: what it is, the function of kagglehub, its arguments
    # tells PublicTest from PrivateTest, but asks for a token and accepted rules
    ("The competition's icml_face_data.csv", "competition_download", COMPETITION, "icml_face_data.csv"),
    # open to everybody, but saved as JPG, and with the two test parts merged
    ("The folders of msambare/fer2013", "dataset_download", "msambare/fer2013"),
]


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Pictures with their labels and splits, memory-mapped and read-only, in the order of their source."""

    images: np.ndarray  # (N, 48, 48, 1) uint8
    labels: np.ndarray  # (N,) int64, -1 = unknown
    split: np.ndarray  # (N,) str, of labels.SPLITS
    name: str  # goes on the cover: "FER2013 (fer2013.csv)", "drawn faces"
    source: str  # path, or "drawn"
    fingerprint: str  # 16 hex digits: hash of pixels, labels and split
    notes: tuple[str, ...]  # what a reader of the numbers should know
    drawn: bool
    regions: np.ndarray | None = None  # (N, 48, 48) uint8, drawn faces only: 0 elsewhere, 1 brows, 2 eyes, 3 mouth

    @property
    def classes(self) -> tuple[str, ...]:
        return CLASSES

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that this source has, in the order of labels.SPLITS."""
        present = set(np.unique(self.split).tolist())
        return tuple(split for split in SPLITS if split in present)

    @property
    def test_split(self) -> str:
        """The split that final scores come from: the first labelled one of public, test, private; else val."""
        labelled = set(np.unique(self.split[self.labels >= 0]).tolist())
        return next((split for split in ("public", "test", "private") if split in labelled), "val")

    def where(self, split: str) -> np.ndarray:
        """Row numbers of a split.

        Raises:
            DataError: this source has no such split.
        """
        rows = np.flatnonzero(self.split == split)
        if not len(rows):
            raise DataError(f"{self.name} has no split {split!r}; it has {', '.join(self.splits)}.")
        return rows

    def part(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Images (n, 48, 48, 1) uint8 and labels (n,) of a split, in memory."""
        rows = self.where(split)
        return self.images[rows], self.labels[rows]

    def __repr__(self) -> str:
        counts = Counter(self.split.tolist())
        return f"{self.name}: " + " · ".join(f"{split} {counts[split]:,}" for split in self.splits)


def load(source: str | Path = "auto", val_share: float = 0.1, val_seed: int = 0) -> Dataset:
    """Load FER2013, or the drawn faces where there is none.

    Args:
        source: path of any form of FER2013 (see readers.EXPECTED), "drawn", or "auto": $FER_DATA if it is set, else
            what lies in the kit's data/, else the drawn faces.
        val_share: share of the training pictures that becomes the validation split, in [0, 1).
        val_seed: which ones.

    Returns:
        Dataset. The first load of a source parses it; later ones map the cache.

    Raises:
        DataError: the source is missing or wrong; the message says where and what to do.
    """
    if not 0 <= val_share < 1:
        raise ValueError(f"val_share is a share in [0, 1), not {val_share}")
    path = find(source)
    folder = cached(path, val_share, val_seed)
    if not folder.exists():
        write_cache(folder, build(path, val_share, val_seed))
    try:
        return open_cache(folder)
    except (OSError, ValueError, KeyError):  # somebody damaged it: it was whole when it got its name
        shutil.rmtree(folder, ignore_errors=True)
        write_cache(folder, build(path, val_share, val_seed))
        return open_cache(folder)


def fingerprint(source: str | Path = "auto", val_share: float = 0.1, val_seed: int = 0) -> str:
    """Dataset.fingerprint, without touching the pixels if the source was loaded before."""
    meta = cached(find(source), val_share, val_seed) / "meta.json"
    try:
        return json.loads(meta.read_text("utf-8"))["fingerprint"]
    except (OSError, ValueError, KeyError):
        return load(source, val_share, val_seed).fingerprint


def find(source: str | Path) -> Path | None:
    """Absolute path of a source; None stands for the drawn faces."""
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
    """FERPlus' csv for a source: $FER_PLUS, else beside it, or directly in data/ where the source lies in there."""
    if given := os.environ.get("FER_PLUS"):
        return Path(given)
    folders = [path if path.is_dir() else path.parent, *([DATA] if path.is_relative_to(DATA) else [])]
    return next((file for folder in folders for name in VOTE_FILES for file in sorted(folder.glob(name))), None)


def holds_files(folder: Path) -> bool:
    return folder.is_dir() and any(True for _ in readers.walk(folder))


def build(path: Path | None, val_share: float, val_seed: int) -> Dataset:
    """Parse or draw, and cut the validation split from the training pictures."""
    if path is None:
        from fer_utils.faces import draw

        drawn = draw()
        rows, regions, name = readers.Rows(drawn.images, drawn.labels, drawn.split), drawn.regions, "drawn faces"
        notes = ["These faces are drawn by the kit: they show how the methods work, not how they do on people."]
    else:
        rows, title = readers.read(path)
        regions, name, notes = None, f"FER2013 ({title})", list(rows.notes)
    groups = group_identical(rows.images)
    split = rows.split.astype("U7")  # holds "private", the longest
    if "val" not in split:
        train = np.flatnonzero(split == "train")
        split[train[choose_validation(rows.labels[train], groups[train], val_share, val_seed)]] = "val"
    notes += describe(rows.labels, split, groups)
    digest = hash_of(rows.images, rows.labels, "\n".join(split).encode())
    where = str(path or "drawn")
    return Dataset(rows.images, rows.labels, split, name, where, digest, tuple(notes), path is None, regions)


def group_identical(images: np.ndarray) -> np.ndarray:
    """Group numbers (N,) of images (N, 48, 48, 1): pictures with exactly the same pixels share one."""
    first = {}
    digests = (hashlib.blake2b(image, digest_size=16).digest() for image in np.ascontiguousarray(images))
    return np.array([first.setdefault(digest, row) for row, digest in enumerate(digests)])


def choose_validation(labels: np.ndarray, groups: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Which training pictures become validation: a seeded part of each class, and all copies of a picture or none.

    Args:
        labels: (N,) classes of the training pictures.
        groups: (N,) numbers; identical pictures share one.
        share: of each class, in [0, 1); a class of two or more pictures gives at least one.
        seed: decides which pictures.

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
        needed = Counter(labels[members[group]].tolist())  # copies of one picture may carry different labels
        if all(n <= room[label] for label, n in needed.items()):
            chosen[members[group]] = True
            room = {label: n - needed[label] for label, n in room.items()}
    return chosen


def describe(labels: np.ndarray, split: np.ndarray, groups: np.ndarray) -> list[str]:
    """What a reader of the numbers should know about these data, a sentence each."""
    present = [part for part in SPLITS if part in split]
    lacking = [usage for part, usage in (("public", "PublicTest"), ("private", "PrivateTest")) if part not in present]
    no_train = [name for label, name in enumerate(CLASSES) if label not in labels[split == "train"]]
    unlabelled = int((labels < 0).sum())
    sides = set(zip(groups.tolist(), np.where(split == "val", "train", split).tolist(), strict=True))
    copies = {group: n for group, n in Counter(groups.tolist()).items() if n > 1}
    across = sum(n > 1 for n in Counter(group for group, _ in sides).values())
    notes = [
        (lacking, f"There is no {' and no '.join(lacking)}; the splits are {', '.join(present)}."),
        (no_train, f"No training picture shows {', '.join(no_train)}."),
        ("val" not in present, "There is no validation split."),
        (unlabelled, f"{unlabelled:,} test pictures have no label."),
        (copies, f"{sum(copies.values()):,} pictures are exact copies of one another, in {len(copies):,} groups."),
        (across, f"{across:,} of these groups lie in more than one of training and test parts."),
    ]
    return [note for holds, note in notes if holds]


def hash_of(*parts) -> str:
    """16 hex digits over arrays and bytes."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:16]


# --- the cache --------------------------------------------------------------------------------------------------------


def cached(path: Path | None, val_share: float, val_seed: int) -> Path:
    """The cache's folder for a source as it is now: another size, time, cut or reader gives another folder."""
    rooms = ["data", "readers", "labels", *([] if path else ["faces"])]
    code = [Path(__file__).with_name(f"{room}.py").read_bytes() for room in rooms]
    files = []
    if path:
        files = readers.files_below(path) if path.is_dir() else [path, *readers.course_test_beside(path)]
    state = [f"{os.fspath(file)} {(at := file.stat()).st_size} {at.st_mtime_ns}" for file in files]
    key = hash_of(*code, "\n".join([*state, f"{path} {val_share} {val_seed}"]).encode("utf-8", "surrogateescape"))
    title = re.sub(r"[^\w.-]", "_", path.name) if path else "drawn"
    return Path(os.environ.get("FER_CACHE") or DATA / "cache").absolute() / f"{title}-{key}"


def open_cache(folder: Path) -> Dataset:
    """Map the arrays of a cached source: nothing is read until it is used."""
    meta = json.loads((folder / "meta.json").read_text("utf-8"))
    wanted = ARRAYS if meta["drawn"] else ARRAYS[:-1]
    arrays = {array: np.load(folder / f"{array}.npy", mmap_mode="r") for array in wanted}
    return Dataset(**arrays, **meta | {"notes": tuple(meta["notes"])})


def write_cache(folder: Path, dataset: Dataset) -> None:
    """Write whole or not at all: under another name first, then renamed. Whoever finds the place taken discards his."""
    unfinished = folder.with_name(f".unfinished-{uuid4().hex}")
    try:
        unfinished.mkdir(parents=True)
        (folder.parent / readers.CACHE_TAG).write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
        for array in ARRAYS:
            if getattr(dataset, array) is not None:
                np.save(unfinished / f"{array}.npy", getattr(dataset, array))
        meta = {key: getattr(dataset, key) for key in ("name", "source", "fingerprint", "notes", "drawn")}
        (unfinished / "meta.json").write_text(json.dumps(meta, indent=1), "utf-8")
        os.rename(unfinished, folder)
    except OSError as error:
        if not folder.exists():
            raise DataError(f"{folder.parent}: cannot be written ({error}). Make room, or set FER_CACHE.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        remove_unfinished(folder.parent)


def remove_unfinished(cache: Path, older_than: float = 3600) -> None:
    """Clear away what killed processes left behind, `older_than` seconds ago or more: a writer needs one second."""
    for folder in cache.glob(".unfinished-*"):
        with suppress(FileNotFoundError):  # its owner has just finished
            if time.time() - folder.stat().st_mtime > older_than:
                shutil.rmtree(folder, ignore_errors=True)


# --- make data --------------------------------------------------------------------------------------------------------

BY_HAND = f"""FER2013 could not be downloaded. By hand:
  1. In a browser, log in to Kaggle, accept the rules at https://www.kaggle.com/c/{COMPETITION}/data
     and download icml_face_data.csv or fer2013.tar.gz (the train.csv and test.csv of your course will do as well).
  2. Put it, packed or not, into {DATA}
  3. Run `make data` again: it checks what is there and shows what is in it.
For the download, this machine must reach kaggle.com and know your token: create one at https://www.kaggle.com/settings
and set KAGGLE_API_TOKEN, or save it as ~/.kaggle/kaggle.json. Until then the kit works with its drawn faces."""


def download() -> Path:
    """Fetch FER2013 from Kaggle into data/, unless something is there already, and check it by loading it.

    Returns:
        Where the data lie.

    Raises:
        DataError: no network, no token, or what came is wrong.
    """
    if holds_files(DATA):
        print(f"{DATA} is not empty: nothing was downloaded.")
        return DATA
    fetched = fetch()
    target = DATA / ("fer2013" if fetched.is_dir() else fetched.name)
    place(fetched, target)
    try:
        load(target)
    except DataError:
        shutil.rmtree(target) if target.is_dir() else target.unlink()
        raise
    return target


def fetch() -> Path:
    """Download with kagglehub, into its own cache, the best form of FER2013 that this machine may have."""
    problems = []
    for what, function, *arguments in KAGGLE:
        try:
            import kagglehub  # here, because it takes half a second and may be missing

            return Path(getattr(kagglehub, function)(*arguments))
        except Exception as error:  # network, token, rules, disk: kagglehub raises many kinds
            reason = (str(error).splitlines() or [""])[0]
            problems.append(f"{what}: {type(error).__name__}: {reason[:100]}")
    raise DataError("\n".join([*problems, BY_HAND]))


def place(fetched: Path, target: Path) -> None:
    """Link (from another disk: copy) what was downloaded into data/; it gets its name only once it is whole."""
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.unlink(missing_ok=True)
    target.parent.mkdir(exist_ok=True)
    if fetched.is_dir():
        shutil.copytree(fetched, partial, copy_function=link_or_copy)
    else:
        link_or_copy(fetched, partial)
    os.rename(partial, target)


def link_or_copy(source, target) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


# --- python -m fer_utils.data -----------------------------------------------------------------------------------------


def summary(dataset: Dataset) -> str:
    """Table of counts by split and class, with notes and fingerprint."""
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
    parser = argparse.ArgumentParser(prog="python -m fer_utils.data", description="Show, or download, the data.")
    parser.add_argument("source", nargs="?", default="auto", help="file, archive or folder (default: see load)")
    parser.add_argument("--download", action="store_true", help="fetch FER2013 from Kaggle into data/ first")
    options = parser.parse_args(arguments)
    try:
        print(summary(load(download() if options.download else options.source)))
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
