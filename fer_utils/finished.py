"""A finished run: its settings, scores, history, predictions and network, from the user's store or from `recorded`."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils import data, metrics, recorded
from fer_utils.labels import IMAGE_SHAPE
from fer_utils.words import duration, words

KIT = Path(__file__).resolve().parents[1]


class RunError(RuntimeError):
    """A run that cannot be read or used; the message names its folder and says what to do."""


class LongTraining(RunError):
    """A training that takes long, is not recorded, and was not asked for; the message says how long."""


def store():
    """Return the folder of all runs: `$FER_RUNS`, else `runs/` of the kit."""
    return Path(os.environ.get("FER_RUNS") or KIT / "runs")


def epochs_so_far(partial):
    """Return how many epochs an interrupted or running training has finished, whose folder `partial` is."""
    history = partial / "history.csv"
    return max(0, len(history.read_text().splitlines()) - 1) if history.exists() else 0


def note(**facts):
    """Note facts for the report that runs this process, if one does: a line of JSON in the file `$FER_CITED`."""
    if path := os.environ.get("FER_CITED"):
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(facts) + "\n")


class Finished:
    """The results of a finished run, the user's own or one that ships with the kit.

    Attributes:
        folder: Path. info: the contents of run.json. trained_here: the name that it has, or would have, in the store.
    """

    def __init__(self, folder):
        self.folder, self.trained_here = Path(folder), ""
        try:
            self.info = json.loads((self.folder / "run.json").read_text())
        except (OSError, ValueError) as error:
            raise RunError(f"{self.folder} is damaged ({error}): delete this folder and run again") from error
        if "epochs" not in self.info:
            raise RunError(f"{self.folder} was made by an earlier version of the kit: delete this folder")

    @property
    def history(self):
        """A row an epoch: epoch (from 1), loss, accuracy, val_loss, val_accuracy, seconds, cpu_seconds, round."""
        table = pd.read_csv(self.folder / "history.csv")
        return table.assign(epoch=table["epoch"] + 1)

    @property
    def is_recorded(self):
        """Whether this run ships with the kit rather than having been trained here."""
        return recorded.FOLDER in self.folder.parents

    @property
    def name(self):
        """The name of its folder; that of a recorded run begins with `recorded/`."""
        return f"recorded/{self.folder.relative_to(recorded.FOLDER)}" if self.is_recorded else self.folder.name

    @property
    def origin(self):
        """Where it was trained, as captions say it."""
        if not self.is_recorded:
            return words("trained here")
        return words("recorded on {machine}, {date}", machine=self.info["processor"], date=self.info["finished"][:10])

    @property
    def pflop(self):
        """Operations of the training in PFLOP, with those of the weights that it began with, if any."""
        return float(self.pflop_by_epoch.sum()) + self.info.get("pflop_before", 0.0)

    @property
    def pflop_by_epoch(self):
        """An array: three times the operations of all forward passes; images that were shrunk count by their area."""
        settings = self.info["settings"]
        sizes = np.array(settings.get("sizes") or IMAGE_SHAPE[:1])
        ends = np.round(settings["epochs"] * np.arange(1, len(sizes) + 1) / len(sizes))
        stage = np.searchsorted(ends, np.arange(self.info["epochs"]) % settings["epochs"], side="right")
        of_an_epoch = 3e-15 * self.info["flops"] * self.info["data"]["training_images"]
        return of_an_epoch * (sizes[stage] / IMAGE_SHAPE[0]) ** 2

    def accuracy(self, split):
        """Return the accuracy of a split as a metrics.Share; that with test-time augmentation where there is any."""
        scores = self.info["scores"]
        kept = scores.get(f"{split}+tta", scores[split])
        return metrics.Share(*(kept[part] for part in metrics.Share._fields))

    def logits(self, dataset, split, tta=False):
        """Return logits (n, 7) float32 of the images of a split, in the order of `dataset.part(split)`.

        Test images that were not there when the run ended are predicted now, and their logits kept.

        Args:
            dataset: data.Dataset, the one that the run was trained on.
            split: `val`, `public`, `private` or `test`.
            tta: return the log of the mean probabilities over the run's test-time augmentation instead.

        Raises:
            RunError: these are other data than those of the run; or it has no predictions for that split; or its file
                is damaged.
        """
        self.check_data(dataset)
        path, name = self.folder / "predictions.npz", f"{split}+tta" if tta else split
        if self._is_of_other_images(dataset, split):
            path = store() / ".scored" / f"{self.name.replace('/', '-')}-{dataset.fingerprints[split]}.npz"
            if not path.is_file():
                self._predict(dataset, split, path)
        try:
            with np.load(path) as stored:
                return stored[name].astype(np.float32)
        except KeyError:
            raise RunError(f"{path} has no predictions for {name!r}") from None
        except (OSError, ValueError) as error:
            raise RunError(f"{path} is damaged ({error}): delete its folder and run again") from error

    def check_data(self, dataset):
        """Raise RunError unless the run was trained on the training images of these data."""
        own = self.info["data"]
        if dataset.training != own["fingerprint"]:
            raise RunError(
                f"{self.name} was trained on {own['name']} ({own['fingerprint']}); its predictions say nothing "
                f"of {dataset.name} ({dataset.training}). Load the same data, or train on these: fit(dataset)."
            )

    def _is_of_other_images(self, dataset, split):
        """Return whether the stored predictions of a test split are of other images, or missing."""
        told = self.info["data"]["splits"].get(split)
        return split not in data.TRAINING and split in dataset.splits and told != dataset.fingerprints[split]

    def _predict(self, dataset, split, path):
        """Predict the images of a test split and keep their logits in a file, which is written whole or not at all."""
        from fer_utils import training

        logits, _ = training.score(self.model(), dataset, [split], self.info["settings"].get("tta", "none"))
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(f".{os.getpid()}.npz")
        np.savez(half, **logits)
        os.replace(half, path)

    def probs(self, dataset, split, tta=False):
        """Return probabilities (n, 7) float32, the softmax of `logits`."""
        from scipy.special import softmax

        return softmax(self.logits(dataset, split, tta), axis=1)

    def model(self):
        """Return the trained network (imports TensorFlow).

        Raises:
            LongTraining: it is recorded without its weights, which only a training would give.
        """
        if self.is_recorded:
            return self._recorded_model()
        from fer_utils import adapt

        code = self.info.get("code")  # of a network of one's own, whose classes Keras does not know
        known = code or {"file": "", "source": ""}
        return adapt.stored(self.folder / "model.keras", known, self.info["settings"]["model"], safe_mode=not code)

    def _recorded_model(self):
        name = self.folder.relative_to(recorded.FOLDER).as_posix()
        if name in recorded.names(weights=True):
            return recorded.load(name)
        time, settings = duration(self.info["seconds"]), self.info["settings"]
        note(missing=[self.trained_here], seconds=round(self.info["seconds"]))
        raise LongTraining(
            f"{self.name} ships without its weights. Its training took {time} on {self.info['processor']}; "
            f"to have them: make train PRESET={settings['preset']} PROFILE={settings['profile']} FRESH=1"
        )

    def __repr__(self):
        scores = ", ".join(f"{split} {score['value']:.3f}" for split, score in self.info["scores"].items())
        return f"{self.name}: {self.info['epochs']} epochs, {self.info['seconds']} s, accuracy {scores}"
