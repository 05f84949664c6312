"""How long would a training take on this machine? Measured with a few of its batches."""

import json
import time
from collections import defaultdict

import keras
import numpy as np

from fer_utils import augment, own, training
from fer_utils.finished import LongTraining, note
from fer_utils.labels import CLASSES
from fer_utils.words import duration

LONG = 600  # seconds of training that a report does not begin unless it is made with TRAIN=1
DECISIVE = ("preset", "model", "model_settings", "optimizer", "learning_rate", "batch", "precision")  # for the speed
PLAIN = {
    **{"label_smoothing": 0.0, "weight_decay": 0.0, "ema": 0.0, "schedule": "constant", "sizes": []},
    **{"augmentation": {"shift": 0.1}, "seed": 0, "epochs": 1, "rounds": 1},
}


def refuse(missing, dataset):
    """Raise LongTraining where these trainings would take long together; what is missing is noted in `$FER_CITED`.

    Args:
        missing: list of runs.Stored. dataset: data.Dataset of all of them.
    """
    works = defaultdict(int)  # of runs that are equally fast
    for run in missing:
        settings = run.settings()
        works[json.dumps({name: settings[name] for name in DECISIVE}, sort_keys=True)] += run.work(dataset)
    seconds = sum(work / images_per_second(json.loads(like), dataset) for like, work in works.items())
    if seconds <= LONG:
        return
    note(missing=[run.name for run in missing], seconds=round(seconds))
    few = ", ".join(run.name for run in missing[:3]) + (", …" if len(missing) > 3 else "")
    raise LongTraining(
        f"{len(missing)} training(s) would take about {duration(seconds)} on this machine and are not recorded "
        f"({few}). Add TRAIN=1 to train them"
    )


def images_per_second(settings, dataset, seconds=3.0):
    """Return how many images a second a training gets through here, measured on a few batches.

    Args:
        settings: dict of at least those in DECISIVE. dataset: data.Dataset. seconds: of the measurement.
    """
    images, labels = (part[: 4 * settings["batch"]] for part in dataset.part("train"))
    targets = np.eye(len(CLASSES), dtype=np.float32)[labels]
    settings = PLAIN | {"normalisation": own.usual_normalisation(settings["model"], "scale")} | settings
    with training.precision(settings), training.devices().scope():
        model = training.prepare(settings, images)
        known = {"batch": settings["batch"], "seed": 0, "augmentation": settings["augmentation"]}
        stream = augment.batches(images, targets, **known, first_epoch=0, epochs=10**6)
        rate = Rate(seconds)
        model.fit(stream, steps_per_epoch=10**6, shuffle=False, verbose=0, callbacks=[rate])
    return rate.steps * settings["batch"] / rate.passed


class Rate(keras.callbacks.Callback):
    """Count the steps of a few seconds, then stop; the first two are left out, for they are slower."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds, self.steps = seconds, -2

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.steps == 0:
            self.began = time.perf_counter()
        elif self.steps > 0:
            self.passed = time.perf_counter() - self.began
            self.model.stop_training = self.passed > self.seconds
