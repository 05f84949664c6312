"""Weights that ship with the kit: `<name>.npz`, half-precision arrays, and `<name>.json`, their card.

A card says what the weights are: settings and data of their training, history, seconds, processor, versions, scores
with intervals, and terms of use. `pretrained:<name>` is a preset that needs no training: the weights, scored on the
images at hand.

The images themselves are not part of the weights and may not be redistributed (Kaggle's terms for FER2013).
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from fer_utils import own as networks

FOLDER = Path(__file__).parent
PREFIX = "pretrained:"
ON_CARD = (
    *("settings", "data", "epochs", "best_epoch", "seconds", "parameters", "precision", "processor", "versions"),
    "scores",
)
TERMS = (
    "Trained on FER2013, whose pictures were gathered for research (Goodfellow et al., 2013, arXiv:1307.0414) and may "
    "not be redistributed; these weights hold no picture. For course work and research; do not judge people by them."
)


def names():
    """List the weights that ship with the kit."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def name_in(preset):
    """Return the name in a preset such as `pretrained:tiny`; None for any other preset."""
    return preset.removeprefix(PREFIX) if preset.startswith(PREFIX) else None


def recipe(preset):
    """Return the preset by which trained weights are trained again: `fast` for `pretrained:fast`, `A` for `A`."""
    return settings(name_in(preset), own=())["preset"] if name_in(preset) else networks.recipe(preset)


def card(name):
    """Return the card of some weights, a dict.

    Raises:
        ValueError: for an unknown name; the message lists the known ones.
    """
    if name not in names():
        raise ValueError(f"pretrained:{name} is not there; there are: {', '.join(names()) or 'none'}")
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


def settings(name, own=("preset", "profile", "seed", "data")):
    """Return the settings of the training that made some weights, but those that the run using them has of its own."""
    return {setting: value for setting, value in card(name)["settings"].items() if setting not in own}


def arrays(name):
    """Return the weights in the order of `Model.get_weights`, as float16 arrays."""
    with np.load(FOLDER / f"{name}.npz") as stored:
        return [stored[key] for key in stored.files]


def load(name):
    """Return the network with these weights (imports TensorFlow)."""
    from fer_utils import models

    known = card(name)
    settings = known["settings"]
    model = models.build(settings["model"], **settings["model_settings"], **known["normalisation"])
    model.set_weights(arrays(name))
    return model


def export(run, name):
    """Keep a finished run's weights and card.

    Args:
        run: runs.Finished. name: of the two files.
    """
    model = run.model()
    np.savez(FOLDER / f"{name}.npz", **{f"w{i:03}": np.float16(w) for i, w in enumerate(model.get_weights())})
    known = {fact: run.info[fact] for fact in ON_CARD}
    known["normalisation"] = {"normalisation": known["settings"]["normalisation"]}
    if known["settings"]["normalisation"] == "zscore":  # mean and standard deviation of the training images
        layer = model.get_layer("normalise")
        known["normalisation"] |= {"mean": -layer.offset / layer.scale, "sd": 1 / layer.scale}
    known["settings"] |= {"depends": [hashlib.sha256((FOLDER / f"{name}.npz").read_bytes()).hexdigest()[:12]]}
    known |= {"history": (run.folder / "history.csv").read_text(), "terms": TERMS}
    (FOLDER / f"{name}.json").write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", "utf-8")
