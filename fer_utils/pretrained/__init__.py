"""Weights that come with the kit: `<name>.npz`, half-precision arrays, and `<name>.json`, their card.

A card tells what the weights are: the settings and the data's fingerprint of their training, its history, passes and
seconds, processor and versions, scores with intervals, and under which terms they may be used. Everywhere a preset is
asked for, `pretrained:<name>` is one that needs no training: its run is the weights, scored on the pictures at hand.

    python -m fer_utils.pretrained                          what is there
    python -m fer_utils.pretrained tiny preset=tiny         keeps the finished run of these settings under that name

The pictures themselves are not part of the weights and may not be redistributed (Kaggle's terms for FER2013).
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
PREFIX = "pretrained:"
TOLD = (
    "settings",
    "data",
    "passes",
    "best_pass",
    "seconds",
    "parameters",
    "precision",
    "processor",
    "versions",
    "scores",
)
TERMS = (
    "Trained on FER2013, whose pictures were gathered for research (Goodfellow et al., 2013, arXiv:1307.0414) and may "
    "not be redistributed; these weights hold no picture. For course work and research; do not judge people by them."
)


def names():
    """What comes with the kit."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def name_in(preset):
    """The name in a preset such as `pretrained:tiny`; None for any other preset."""
    return preset.removeprefix(PREFIX) if preset.startswith(PREFIX) else None


def card(name):
    """What is known of some weights, as a dict.

    Raises:
        ValueError: for a name that is not there; the message lists those that are.
    """
    if name not in names():
        raise ValueError(f"pretrained:{name} is not there; there are: {', '.join(names()) or 'none'}")
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


def settings(name):
    """The settings of the training that made some weights, with the weights' hash as `code`."""
    own = ("preset", "profile", "seed", "data")  # those of the run that uses them
    return {word: value for word, value in card(name)["settings"].items() if word not in own}


def arrays(name):
    """The weights in the order of `Model.get_weights`, as float16 arrays."""
    with np.load(FOLDER / f"{name}.npz") as stored:
        return [stored[key] for key in stored.files]


def export(run, name):
    """Keeps a finished run's weights and card.

    Args:
        run: runs.Finished. name: of the two files.
    """
    model = run.model()
    np.savez(FOLDER / f"{name}.npz", **{f"w{i:03}": np.float16(w) for i, w in enumerate(model.get_weights())})
    known = {word: run.info[word] for word in TOLD}
    known["normalisation"] = {"normalisation": known["settings"]["normalisation"]}
    if known["settings"]["normalisation"] == "zscore":  # by the mean and deviation of the pictures it was trained on
        layer = model.get_layer("normalise")
        known["normalisation"] |= {"mean": -layer.offset / layer.scale, "sd": 1 / layer.scale}
    known["settings"] |= {"code": hashlib.sha256((FOLDER / f"{name}.npz").read_bytes()).hexdigest()[:12]}
    known |= {"history": (run.folder / "history.csv").read_text(), "terms": TERMS}
    (FOLDER / f"{name}.json").write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", "utf-8")


def main(arguments):
    from fer_utils import predict

    if arguments:
        run = predict.run_of(["profile=full", *arguments[1:]]).fit()
        export(run, arguments[0])
    for name in names():
        known, size = card(name), (FOLDER / f"{name}.npz").stat().st_size
        scores = ", ".join(f"{split} {score['value']:.3f}" for split, score in known["scores"].items())
        print(f"{PREFIX}{name}: {known['parameters']:,} parameters, {size / 1e6:.2f} MB, accuracy {scores}")


if __name__ == "__main__":
    main(sys.argv[1:])
