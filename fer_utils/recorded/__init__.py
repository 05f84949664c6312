"""Full trainings on FER2013 that ship with the kit, each a folder as the run store has them, but small:

    run.json          settings, data, processor, seconds, scores with intervals; of weights also their terms of use
    history.csv       a row an epoch, or a round of self-training; of these also pseudo_labels.npz
    predictions.npz   logits on the validation and the test images, float16, in the data's order
    weights.npz       float16, of small networks alone; `pretrained:<name>` is a preset that uses them on any images

`runs` looks here when its own store does not have a training. No image is in these files, nor may images be
redistributed (Kaggle's terms for FER2013); `trained_on.npy` holds a checksum of each training image.
"""

import functools
import hashlib
import json
import shutil
import zlib
from pathlib import Path

import numpy as np

from fer_utils import own as networks
from fer_utils.readers import DataError

FOLDER = Path(__file__).parent
PREFIX = "pretrained:"
TERMS = (
    "Trained on FER2013, whose pictures were gathered for research (Goodfellow et al., 2013, arXiv:1307.0414) and may "
    "not be redistributed; these weights hold no picture. For course work and research; do not judge people by them."
)
MOST_SEEN = 0.2  # share of a split that may have been trained on: FER2013 has exact copies in several splits


def names(weights=False):
    """List the recorded trainings, or those whose weights ship; a name may have a folder in front: "C/member-1"."""
    found = FOLDER.glob("**/weights.npz" if weights else "**/run.json")
    return sorted(name for path in found if not (name := path.parent.relative_to(FOLDER).as_posix()).startswith("."))


def info(name):
    """Return the contents of a recorded run.json, a dict.

    Raises:
        ValueError: for an unknown name; the message lists the known ones.
    """
    path = FOLDER / name / "run.json"
    if not path.is_file():
        raise ValueError(f"{name!r} is not recorded; there are: {', '.join(names()) or 'none'}")
    return _read(path, path.stat().st_mtime_ns)


@functools.cache
def _read(path, _changed):
    return json.loads(path.read_text("utf-8"))


def find(settings, defaults):
    """Return the folder of the recorded training that has exactly these settings; None if there is none.

    Args:
        settings: dict, as `Run.settings` returns it; `data` is the fingerprint of the training and validation images.
        defaults: dict of values for settings that are newer than a record.
    """
    for name in names():
        told = info(name)["settings"]
        if told["preset"] == settings["preset"] and defaults | told == settings:
            return FOLDER / name
    return None


# -- weights -----------------------------------------------------------------------------------------------------------


def name_in(preset):
    """Return the name in a preset such as `pretrained:tiny`; None for any other preset."""
    return preset.removeprefix(PREFIX) if preset.startswith(PREFIX) else None


def recipe(preset):
    """Return the preset by which trained weights are trained again: `fast` for `pretrained:fast`, `A` for `A`."""
    return settings(name_in(preset), own=())["preset"] if name_in(preset) else networks.recipe(preset)


def settings(name, own=("preset", "profile", "seed", "data", "depends")):
    """Return the settings of the training that made some weights, but those that the run using them has of its own.

    Raises:
        ValueError: there are no weights of this name; the message lists those there are.
    """
    if name not in names(weights=True):
        known = ", ".join(names(weights=True)) or "none"
        raise ValueError(f"pretrained:{name} is not there; there are: {known}")
    return {setting: value for setting, value in info(name)["settings"].items() if setting not in own}


def digest(name):
    """Return 12 hex digits that stand for the weights."""
    return info(name)["weights"]


def arrays(name):
    """Return the weights in the order of `Model.get_weights`, as float16 arrays."""
    with np.load(FOLDER / name / "weights.npz") as stored:
        return [stored[key] for key in stored.files]


def load(name):
    """Return the network with these weights (imports TensorFlow)."""
    from fer_utils import models

    known = info(name)
    model = models.build(known["settings"]["model"], **known["settings"]["model_settings"], **known["normalisation"])
    model.set_weights(arrays(name))
    return model


# -- images that were trained on ---------------------------------------------------------------------------------------


def checksums(images):
    """Return a checksum of each image of (n, 48, 48, 1) uint8: (n,) uint32."""
    return np.array([zlib.crc32(np.ascontiguousarray(image)) for image in images], np.uint32)


def share_seen(name, images):
    """Return which share of these images the weights of this name were trained on; 0 where that is not recorded."""
    path = (FOLDER / name).parent / "trained_on.npy"
    return float(np.isin(checksums(images), np.load(path)).mean()) if path.is_file() and len(images) else 0.0


def refuse_seen(name, dataset):
    """Raise DataError where weights of the kit would be scored on images that they were trained on.

    Args:
        name: of the weights. dataset: data.Dataset; FER2013 in another order has another validation set.
    """
    if info(name)["data"]["fingerprint"] == dataset.training:
        return
    for split in dataset.splits:
        seen = share_seen(name, dataset.part(split)[0]) if split != "train" else 0
        if seen > MOST_SEEN:
            raise DataError(
                f"pretrained:{name} was trained on {seen:.0%} of the {split} images of {dataset.name}, so scores on "
                "them would mean nothing: the images' order is not that of fer2013.csv. Use fer2013.csv, or train."
            )


# -- recording ---------------------------------------------------------------------------------------------------------


def write(run, name, weights=False):
    """Record a finished run of the user's store.

    Args:
        run: runs.Finished. name: of the folder here. weights: whether they ship, too.

    Raises:
        ValueError: a weight or a logit is too large for float16.
    """
    folder, half = FOLDER / name, FOLDER / f".{name.replace('/', '-')}.half"
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    known = dict(run.info)
    with np.load(run.folder / "predictions.npz") as stored:
        np.savez_compressed(half / "predictions.npz", **{split: same_answers(stored[split]) for split in stored.files})
    if weights:
        known |= _write_weights(run.model(), known["settings"], half / "weights.npz") | {"terms": TERMS}
    for name in ("history.csv", "pseudo_labels.npz"):
        if (path := run.folder / name).is_file():
            shutil.copy(path, half)
    (half / "run.json").write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", "utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    half.rename(folder)


def _write_weights(model, settings, path):
    """Write the weights; return what run.json says of them."""
    np.savez(path, **{f"w{i:03}": in_half_precision(array) for i, array in enumerate(model.get_weights())})
    normalisation = {"normalisation": settings["normalisation"]}
    if settings["normalisation"] == "zscore":  # mean and standard deviation of the training images
        layer = model.get_layer("normalise")
        normalisation |= {"mean": -layer.offset / layer.scale, "sd": 1 / layer.scale}
    return {"normalisation": normalisation, "weights": hashlib.sha256(path.read_bytes()).hexdigest()[:12]}


def same_answers(logits):
    """Return logits (n, 7) as float16 whose largest one is, in every row, where it was: rounding can make ties."""
    half, first = in_half_precision(logits), np.argmax(logits, axis=1)
    tied = np.flatnonzero(half.argmax(axis=1) != first)
    half[tied, first[tied]] = np.nextafter(half[tied].max(axis=1), np.float16(np.inf))
    return half


def in_half_precision(array):
    """Return an array as float16; raises ValueError where a value becomes infinite."""
    with np.errstate(over="ignore"):
        half = np.float16(array)
    if not np.isfinite(half).all():
        raise ValueError("a value is too large for float16")
    return half
