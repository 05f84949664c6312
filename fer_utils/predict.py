"""Predict the classes of images with a finished run, and write them as a csv `id,label`.

python -m fer_utils.predict test.csv prediction.csv --run preset=A profile=full  # trains the run first if necessary
python -m fer_utils.predict faces/ --detail                                      # a folder of face crops -> build/
python -m fer_utils.predict --keep weights --run preset=A                        # model and settings, for a folder
python -m fer_utils.predict test.csv prediction.csv --weights weights            # predict with that folder
"""

import argparse
import csv
import os
import shutil
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from fer_utils import finished, readers, runs
from fer_utils.labels import CLASSES, IMAGE_SHAPE
from fer_utils.readers import DataError
from fer_utils.settings import SettingsError

KEPT = ("model.keras", "run.json")  # the files of a run that predicting needs
CHUNK = 1024  # images per step of the progress bar
WANTED = "The input must be a csv with the columns id and feature, or a folder of PNG or JPG images of faces."


class PredictionError(ValueError):
    """The input cannot be predicted; the message says why and what to do."""


class Inputs(NamedTuple):
    """Images without labels, in the order of their source."""

    ids: list[str]  # n ids of a csv, or file names
    images: np.ndarray  # (n, 48, 48, 1) uint8


# -- reading -----------------------------------------------------------------------------------------------------------


def read(path):
    """Read images from a csv `id,feature` (plain, .gz, .bz2 or .xz) or from a folder of face crops.

    Args:
        path: str or Path.

    Returns:
        Inputs.

    Raises:
        DataError: the message names file, row and value of what is wrong.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder. {WANTED}")
    return read_folder(path) if path.is_dir() else read_csv(path)


def read_csv(path):
    """Read the course's test.csv: columns `id` and `feature` (or `pixels`), the latter of 2,304 grey levels 0…255."""
    name, opener = str(path), partial(open, path, "rb")
    kind = readers.identify(name, opener)
    if not {"id", "pixels"} <= set(kind.roles):
        with readers.unpacked(name, opener) as stream:
            first = stream.readline(1000).decode("utf-8", "backslashreplace").strip()
        raise DataError(f"{name}, row 1: {readers.shown(first)} does not name the columns id and feature. {WANTED}")
    id_at, pixels_at = kind.roles.index("id"), kind.roles.index("pixels")
    row_of, pixels = {}, bytearray()
    for row, cells in readers.rows_of(name, opener, kind):
        with readers.at(name, row):
            pixels += readers.parse_pixels(cells[pixels_at])
            number = cells[id_at].strip()
            if not number or number in row_of:
                why = f"is already in row {row_of[number]}" if number else "is empty"
                raise ValueError(f"id {readers.shown(number)} {why}")
            row_of[number] = row
    if not row_of:
        raise DataError(f"{name}: has a header and no rows. Copy or download it again.")
    return Inputs(list(row_of), np.frombuffer(pixels, np.uint8).reshape(-1, *IMAGE_SHAPE))


def read_folder(folder):
    """Read all PNG and JPG images below a folder; their ids are their paths relative to it."""
    files = [entry.path for entry in readers.files_below(folder)]
    files = [file for file in files if file.lower().endswith(readers.IMAGE_SUFFIXES)]
    if not files:
        raise DataError(f"{folder}: contains no PNG or JPG image. {WANTED}")
    bar = tqdm(files, desc="read", unit="image", disable=None, leave=False)
    crops = [readers.read_image(file, partial(open, file, "rb"))[0] for file in bar]
    return Inputs([os.path.relpath(file, folder) for file in files], np.stack(crops)[..., None])


# -- predicting --------------------------------------------------------------------------------------------------------


def predict(run, images):
    """Compute class probabilities with the run's own test-time augmentation.

    Args:
        run: `runs.Finished`.
        images: (n, 48, 48, 1) uint8.

    Returns:
        (n, 7) float32; rows sum to 1.

    Raises:
        RunError: the model cannot be loaded.
    """
    from scipy.special import softmax

    from fer_utils import training  # imports TensorFlow: only once the images are known to be readable

    model, tta = load_model(run), run.info["settings"]["tta"]
    logits = []
    with tqdm(total=len(images), desc="predict", unit="image", disable=None) as bar:
        for start in range(0, len(images), CHUNK):
            part = images[start : start + CHUNK]
            logits.append(training.predict(model, part) if tta == "none" else training.predict_views(model, part, tta))
            bar.update(len(part))
    return softmax(np.concatenate(logits), axis=1)


def load_model(run):
    """Load the model of a run."""
    try:
        return run.model()
    except Exception as error:  # Keras raises many types for a damaged or missing file
        reason, path = str(error).strip().splitlines()[0][:200], run.folder / "model.keras"
        raise runs.RunError(f"{path} cannot be loaded ({reason}): copy it again, or train again") from error


def weights_in(folder):
    """Return the run that `keep` has copied into a folder."""
    if missing := [name for name in KEPT if not (folder / name).is_file()]:
        raise PredictionError(f"{folder} has no {missing[0]}: train first, or name a folder with {' and '.join(KEPT)}")
    return runs.Finished(folder)


# -- writing -----------------------------------------------------------------------------------------------------------


def checked_target(path, source):
    """Return the absolute path of the prediction to write.

    Raises:
        PredictionError: no file can be written there, or it would replace the images.
    """
    path = Path(path).resolve()  # a link is kept, and the file it points to is replaced
    if path == Path(source).resolve():
        raise PredictionError(f"{path} holds the images: give the prediction another name")
    if path.exists() and not path.is_file():
        raise PredictionError(f"{path} is not a file: the prediction cannot be written there")
    if not path.parent.is_dir():
        raise PredictionError(f"{path.parent}: there is no such folder for the prediction")
    return path


def write(path, ids, probs, detail=False):
    """Write a prediction `id,label`, a row per image, completely or not at all.

    Args:
        path: Path in an existing folder.
        ids: n strings. probs: (n, 7).
        detail: also write the name of the class and its probability.
    """
    labels = probs.argmax(axis=1)
    header, rows = ["id", "label"], [[number, label] for number, label in zip(ids, labels, strict=True)]
    if detail:
        header += ["class", "probability"]
        rows = [[*row, CLASSES[row[1]], f"{p:.3f}"] for row, p in zip(rows, probs.max(axis=1), strict=True)]
    with TemporaryDirectory(prefix=".unfinished-", dir=path.parent) as room:
        complete = Path(room, path.name)
        with open(complete, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *rows])
        os.replace(complete, path)


def keep(run, folder):
    """Write what predicting needs of a run into a folder, its network of Keras' own layers alone.

    The folder's previous content is replaced once the new one is complete.

    Raises:
        PredictionError: the folder contains anything else, which would be lost.
    """
    from fer_utils import plain  # imports TensorFlow

    folder = Path(folder).resolve()
    other = sorted(set(os.listdir(folder)) - set(KEPT)) if folder.exists() else []
    if other:
        raise PredictionError(f"{folder} contains other files, such as {other[0]}: name another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".unfinished-", dir=folder.parent) as room:
        new = Path(room, "new")
        new.mkdir()
        shutil.copyfile(run.folder / "run.json", new / "run.json")
        plain.save(load_model(run), new / "model.keras")
        if folder.exists():
            os.rename(folder, Path(room, "old"))
        os.rename(new, folder)


# -- command line ------------------------------------------------------------------------------------------------------


def main(arguments=None):
    """Run the command line; return its exit status: 0, 1 after an error of the user, 130 after Ctrl-C."""
    command = parser()
    options = command.parse_args(arguments)
    if not (options.images or options.keep):
        command.error("nothing to do: name images, or a folder to --keep the weights in")
    try:
        execute(options)
    except (PredictionError, SettingsError, DataError, runs.RunError, runs.NetworkError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; nothing was written, and an interrupted training resumes next time", file=sys.stderr)
        return 130
    return 0


def parser():
    it = argparse.ArgumentParser(prog="python -m fer_utils.predict", description="Predict the classes of images.")
    it.add_argument("images", nargs="?", help="a csv with the columns id and feature, or a folder of face crops")
    it.add_argument("prediction", nargs="?", help="the csv to write (default: a file in build/, named after the run)")
    which = it.add_mutually_exclusive_group()
    which.add_argument("--run", nargs="+", default=[], metavar="NAME=VALUE", help="settings of runs.Run; or")
    which.add_argument("--weights", type=Path, metavar="FOLDER", help="a folder with model.keras and run.json")
    it.add_argument("--keep", metavar="FOLDER", help="also write model.keras and run.json there")
    it.add_argument("--detail", action="store_true", help="also write the name of the class and its probability")
    return it


def execute(options):
    """Read the images before anything that takes time, so that an error in them is reported at once."""
    target = options.prediction and checked_target(options.prediction, options.images)
    inputs = read(options.images) if options.images else None
    run = weights_in(options.weights) if options.weights else runs.run_of(options.run).fit()
    if options.keep:
        keep(run, options.keep)
        print(run)
    if inputs:
        target = target or default_target(Path(options.images).resolve(), run)
        write(target, inputs.ids, predict(run, inputs.images), options.detail)
        print(f"{target}: {len(inputs.ids):,} images, by {run.name}")


def default_target(source, run):
    """Return build/submission-<run>.csv for a csv, build/prediction-<folder>-<run>.csv for a folder."""
    build = finished.KIT / "build"
    build.mkdir(exist_ok=True)
    what = f"prediction-{source.name}" if source.is_dir() else "submission"
    return build / f"{what}-{run.name.replace('/', '-')}.csv"


if __name__ == "__main__":
    sys.exit(main())
