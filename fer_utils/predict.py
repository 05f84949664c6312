"""Predictions: a finished run and pictures -> a csv `id,label`, written whole or not at all.

python -m fer_utils.predict test.csv prediction.csv --run preset=A profile=full  # trained first, where it is not yet
python -m fer_utils.predict faces/ --detail                                      # a folder of face crops -> build/
python -m fer_utils.predict --keep weights --run preset=A                        # what predicting needs, in a folder
python -m fer_utils.predict test.csv prediction.csv --weights weights            # … and from there
"""

import argparse
import ast
import csv
import logging
import os
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import numpy as np
import pydantic
from tqdm import tqdm

from fer_utils import readers, runs
from fer_utils.labels import CLASSES
from fer_utils.readers import DataError

KEPT = ("model.keras", "run.json")  # what predicting needs of a run
CHUNK = 1024  # pictures between two steps of the progress bar
WANTED = "Wanted is a csv with the columns id and feature, or a folder of PNG or JPG pictures of faces."


class PredictionError(ValueError):
    """Nothing can be predicted so; the message says why and what to do."""


class Pictures(NamedTuple):
    """Pictures without labels, in the order of their source."""

    ids: list[str]  # as a csv gives them, or the names of the files
    images: np.ndarray  # (n, 48, 48, 1) uint8


# -- reading -----------------------------------------------------------------------------------------------------------


def read(path):
    """Pictures from a csv `id,feature` (also packed: .gz, .bz2, .xz) or from a folder of face crops.

    Raises:
        DataError: naming file, row and value of what is wrong.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder. {WANTED}")
    return read_folder(path) if path.is_dir() else read_csv(path)


def read_csv(path):
    """The course's test.csv: a column `id` and a column `feature` (or `pixels`) of 2,304 grey levels 0…255."""
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
                why = f"is there already, in row {row_of[number]}" if number else "is empty"
                raise ValueError(f"id {readers.shown(number)} {why}")
            row_of[number] = row
    if not row_of:
        raise DataError(f"{name}: has a header and no rows. Copy or download it again.")
    return Pictures(list(row_of), np.frombuffer(pixels, np.uint8).reshape(-1, *readers.IMAGE_SHAPE))


def read_folder(folder):
    """All PNG and JPG pictures in a folder and its folders; their ids are their names, as seen from that folder."""
    files = [entry.path for entry in readers.files_below(folder)]
    files = [file for file in files if file.lower().endswith(readers.PICTURE_SUFFIXES)]
    if not files:
        raise DataError(f"{folder}: there is no PNG or JPG picture in it. {WANTED}")
    crops = [read_crop(file) for file in tqdm(files, desc="read", unit="picture", disable=None, leave=False)]
    return Pictures([os.path.relpath(file, folder) for file in files], np.stack(crops)[..., None])


def read_crop(path):
    """A picture of a face as FER2013 would have it, (48, 48) uint8: grey, its middle square, as many pixels."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            if image.mode.startswith(("I", "F")):
                raise ValueError("more than 8 bits a pixel")
            grey = ImageOps.exif_transpose(image).convert("L")
        return np.asarray(ImageOps.fit(grey, readers.SIZE, Image.Resampling.BICUBIC))
    except Exception as error:  # Pillow raises many kinds for a broken picture
        raise DataError(f"{path}: unreadable picture ({error}). Save it again as 8-bit PNG, or remove it.") from error


# -- predicting --------------------------------------------------------------------------------------------------------


def predict(run, images):
    """Probabilities (n, 7) float32 of pictures (n, 48, 48, 1), with the run's own test-time augmentation.

    Args:
        run: `runs.Finished`.
        images: uint8 grey levels.

    Raises:
        RunError: where the run's network cannot be loaded.
    """
    from scipy.special import softmax

    from fer_utils import training  # imports TensorFlow: only when the pictures are known to be readable

    model, tta = load_model(run), run.info["settings"]["tta"]
    found = []
    with tqdm(total=len(images), desc="predict", unit="picture", disable=None) as bar:
        for start in range(0, len(images), CHUNK):
            part = images[start : start + CHUNK]
            found.append(training.predict(model, part) if tta == "none" else training.predict_views(model, part, tta))
            bar.update(len(part))
    return softmax(np.concatenate(found), axis=1)


def load_model(run):
    """The run's network."""
    path = run.folder / "model.keras"
    try:
        return run.model()
    except Exception as error:  # Keras raises many kinds for a file that is damaged or missing
        reason = str(error).strip().splitlines()[0][:200]
        raise runs.RunError(f"{path} cannot be loaded ({reason}): copy it again, or train again") from error


def weights_in(folder):
    """The run whose weights `keep` has put into a folder."""
    if missing := [name for name in KEPT if not (folder / name).is_file()]:
        raise PredictionError(f"{folder} has no {missing[0]}: train first, or name a folder with {' and '.join(KEPT)}")
    return runs.Finished(folder)


def run_of(words):
    """The Run of settings as a command line gives them, such as `["preset=B", "passes=3"]`.

    Raises:
        PredictionError: for a setting that does not exist or has the wrong value, and for data that cannot be read.
    """
    given = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise PredictionError(f"settings are written name=value; this is not: {word!r}")
        try:
            given[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            given[name] = text
    try:
        return runs.Run(**given)
    except pydantic.ValidationError as error:
        problems = [(*problem["loc"], problem["msg"].removeprefix("Value error, ")) for problem in error.errors()]
        raise PredictionError("\n".join(": ".join(map(str, problem)) for problem in problems)) from None


# -- writing -----------------------------------------------------------------------------------------------------------


def checked_target(path, pictures):
    """Where a prediction shall go, refused before anything is computed.

    Raises:
        PredictionError: where no file can be written, or the pictures would be lost.
    """
    path = Path(path).resolve()  # a link stays a link, and what it leads to is replaced
    if path == Path(pictures).resolve():
        raise PredictionError(f"{path} holds the pictures: give the prediction another name")
    if path.exists() and not path.is_file():
        raise PredictionError(f"{path} is no file: the prediction cannot be written there")
    if not path.parent.is_dir():
        raise PredictionError(f"{path.parent}: there is no such folder for the prediction")
    return path


def write(path, ids, probs, detail=False):
    """Writes a prediction: `id,label`, a row for each picture in their order.

    Args:
        path: Path; its folder exists.
        ids: n strings. probs: (n, 7).
        detail: also the class's name and its probability.
    """
    labels = probs.argmax(axis=1)
    rows = [[number, label] for number, label in zip(ids, labels, strict=True)]
    if detail:
        rows = [[*row, CLASSES[row[1]], f"{p:.3f}"] for row, p in zip(rows, probs.max(axis=1), strict=True)]
    half = path.with_name(f".unfinished-{uuid4().hex}")
    try:
        with open(half, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            header = ["id", "label", "class", "probability"]
            csv.writer(file, lineterminator="\n").writerows([header if detail else header[:2], *rows])
        os.replace(half, path)
    finally:
        half.unlink(missing_ok=True)


def keep(run, folder):
    """Copies what predicting needs of a run into a folder; what was in it stays until the copy is whole.

    Raises:
        PredictionError: where the folder holds anything else, which would be lost.
    """
    folder = Path(folder).resolve()
    other = sorted(set(os.listdir(folder)) - set(KEPT)) if folder.exists() else []
    if other:
        raise PredictionError(f"{folder} holds other things, such as {other[0]}: name another folder")
    new, old = (folder.with_name(f".{word}-{uuid4().hex}") for word in ("unfinished", "replaced"))
    try:
        new.mkdir(parents=True)
        for name in KEPT:
            shutil.copyfile(run.folder / name, new / name)
        if folder.exists():
            os.rename(folder, old)
        os.rename(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


# -- the command -------------------------------------------------------------------------------------------------------


def parser():
    it = argparse.ArgumentParser(prog="python -m fer_utils.predict", description="Predicts the classes of pictures.")
    it.add_argument("pictures", nargs="?", help="a csv with the columns id and feature, or a folder of face crops")
    it.add_argument("prediction", nargs="?", help="the csv to be written (default: one in build/, named by the run)")
    which = it.add_mutually_exclusive_group()
    which.add_argument("--run", nargs="+", default=[], metavar="NAME=VALUE", help="settings of runs.Run; or")
    which.add_argument("--weights", type=Path, metavar="FOLDER", help="a folder with model.keras and run.json")
    it.add_argument("--keep", metavar="FOLDER", help="also put model.keras and run.json there")
    it.add_argument("--detail", action="store_true", help="also write the class's name and its probability")
    return it


def main(arguments=None):
    """Returns the exit code: 0; 1 where the user can put something right, which is said; 130 after Ctrl-C."""
    options = parser().parse_args(arguments)
    if not (options.pictures or options.keep):
        parser().error("nothing to do: name pictures, or a folder to --keep the weights in")
    logging.getLogger("exca").setLevel(logging.ERROR)  # it would show a traceback of what is told below in a line
    try:
        carry_out(options)
    except (PredictionError, DataError, runs.RunError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; nothing was written, and a training goes on next time", file=sys.stderr)
        return 130
    return 0


def carry_out(options):
    """Reads the pictures before anything that takes time, so that a mistake in them is told at once."""
    if options.prediction:
        options.prediction = checked_target(options.prediction, options.pictures)
    pictures = read(options.pictures) if options.pictures else None
    run = weights_in(options.weights) if options.weights else run_of(options.run).fit()
    if options.keep:
        keep(run, options.keep)
        print(run)
    if pictures:
        path = options.prediction or usual_target(options.pictures, run)
        write(path, pictures.ids, predict(run, pictures.images), options.detail)
        print(f"{path}: {len(pictures.ids):,} pictures, by {run.folder.name}")


def usual_target(pictures, run):
    """In the kit's build/: submission-<run>.csv for a csv, prediction-<folder>-<run>.csv for a folder."""
    pictures, build = Path(pictures).resolve(), runs.KIT / "build"
    build.mkdir(exist_ok=True)
    what = f"prediction-{pictures.name}" if pictures.is_dir() else "submission"
    return build / f"{what}-{run.folder.name}.csv"


if __name__ == "__main__":
    sys.exit(main())
