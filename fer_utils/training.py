"""One training, from settings to a folder of results; stopped at any moment, it goes on where it was.

`runs.Run` decides whether to train and where the results live; this room only trains. In `folder` it keeps

    state.weights.h5   weights and optimiser after the last whole pass                  (gone when finished)
    best.weights.h5    weights of the best pass by validation accuracy                  (gone when finished)
    history.csv        one row a pass: loss, accuracy, val_loss, val_accuracy, seconds
    tensorboard/       the same for TensorBoard
    model.keras        \\
    predictions.npz     > written at the end: the network, its logits on val and the test splits, and
    run.json           /  settings, data, versions, processor, counts, scores
"""

import datetime
import json
import math
import os
import platform
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from fer_utils import augment, evaluation, models

OPTIMIZERS = {"adam": keras.optimizers.Adam, "adadelta": keras.optimizers.Adadelta, "sgd": keras.optimizers.SGD}


def train(settings, dataset, folder):
    """Trains one network and writes its results into `folder`.

    Args:
        settings: the fields of `runs.Run`, as a dict.
        dataset: `data.Dataset`; only its `train` and `val` pictures are looked at before the training has ended.
        folder: Path; may hold the state of an interrupted training of the same settings, which is then continued.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = training_part(dataset, settings["limit"])
    with precision(settings) as policy:
        model = prepare(settings, images)
        first_pass = resume(model, folder, steps=math.ceil(len(images) / settings["batch"]))
        if not patience_over(read_history(folder), settings["patience"]):
            fit(model, settings, images, labels, dataset.part("val"), folder, first_pass)
        if settings["keep"] == "best":
            model.load_weights(folder / "best.weights.h5")
        finish(model, settings, dataset, folder, policy, used=len(images))


def training_part(dataset, limit):
    """The pictures that train: all of the split, or `limit` of them, the same ones in every run."""
    where = dataset.where("train")
    if limit is not None and limit < len(where):
        where = np.sort(np.random.default_rng(0).permutation(where)[:limit])
    return np.asarray(dataset.images[where]), np.asarray(dataset.labels[where])


def prepare(settings, images):
    """The compiled model with its first weights, all of them drawn from the run's seed."""
    keras.utils.set_random_seed(settings["seed"])
    extra = {"normalisation": settings["normalisation"]}
    if settings["normalisation"] == "zscore":
        extra |= {"mean": float(images.mean()), "sd": float(images.std())}
    model = models.build(settings["model"], **settings["model_settings"], **extra)
    optimizer = OPTIMIZERS[settings["optimizer"]](settings["learning_rate"])
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def resume(model, folder, steps):
    """Loads the state of an interrupted training; returns the pass (from 0) to go on with."""
    state = folder / "state.weights.h5"
    if state.exists():
        model.optimizer.build(model.trainable_variables)
        model.load_weights(state)
    first_pass = int(model.optimizer.iterations) // steps
    history = folder / "history.csv"
    if history.exists():  # a kill between the two files leaves a row of a pass that will be repeated
        read_history(folder).iloc[:first_pass].to_csv(history, index=False)
    return first_pass


def fit(model, settings, images, labels, validation, folder, first_pass):
    """Trains the remaining passes; everything that must survive a kill is on disk after each of them."""
    batch, passes = settings["batch"], settings["passes"]
    stream = augment.batches(images, labels, batch, settings["seed"], first_pass, passes, settings["augmentation"])
    steps = math.ceil(len(images) / batch)
    model.fit(
        stream,
        initial_epoch=first_pass,
        epochs=passes,
        steps_per_epoch=steps,
        shuffle=False,  # the stream is shuffled already
        validation_data=_evaluation_batches(*validation),
        verbose=0,
        callbacks=[
            Clock(),
            ReseedDropout(),
            keras.callbacks.CSVLogger(folder / "history.csv", append=first_pass > 0),
            keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False),
            Progress(steps * passes, steps * first_pass, label=settings["preset"]),
            KeepBest(folder),
            StopEarly(folder, settings["patience"]),
            KeepState(folder),  # last: what is on disk after a pass belongs to that pass
        ],
    )


def _evaluation_batches(images, labels):
    """Pictures in their order as float32 grey levels; large batches, since nothing is kept for a backward pass."""
    stream = tf.data.Dataset.from_tensor_slices((np.asarray(images), np.asarray(labels))).batch(256)
    return stream.map(lambda pictures, labels: (tf.cast(pictures, tf.float32), labels)).prefetch(2)


# -- callbacks, each with one duty -------------------------------------------------------------------------------------


class Clock(keras.callbacks.Callback):
    """Adds each pass's wall-clock seconds to the log."""

    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds"] = round(time.perf_counter() - self.began, 3)


class ReseedDropout(keras.callbacks.Callback):
    """Gives the dropout layers' counters a place of their own in every pass.

    Keras does not store these counters with the weights: without this a resumed training would drop other units.
    """

    def on_epoch_begin(self, epoch, logs=None):
        for layer in self.model.layers:
            for variable in layer.non_trainable_variables:
                if "seed_generator_state" in variable.path:
                    first = keras.ops.convert_to_numpy(variable)[0]
                    variable.assign(np.array([first, 1_000_000 * epoch], dtype=variable.dtype))


class Progress(keras.callbacks.Callback):
    """One bar for the whole training, with the time that is left and the last validation accuracy."""

    def __init__(self, total, done, label):
        super().__init__()
        self.bar = tqdm(total=total, initial=done, desc=f"train {label}", unit="step", mininterval=1.0)

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        self.bar.set_postfix({"pass": epoch + 1, "val": f"{logs['val_accuracy']:.3f}"})

    def on_train_end(self, logs=None):
        self.bar.close()


class KeepBest(keras.callbacks.Callback):
    """Keeps the weights of the pass with the highest validation accuracy (the first of equals)."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def on_epoch_end(self, epoch, logs=None):
        if best_pass(read_history(self.folder)) == epoch:
            save_weights(self.model, self.folder / "best.weights.h5")


class StopEarly(keras.callbacks.Callback):
    """Ends the training when `patience` passes in a row brought no better validation accuracy."""

    def __init__(self, folder, patience):
        super().__init__()
        self.folder, self.patience = folder, patience

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = patience_over(read_history(self.folder), self.patience)


class KeepState(keras.callbacks.Callback):
    """Keeps all that the next pass depends on in one file, so that a kill can never leave two that disagree."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def on_epoch_end(self, epoch, logs=None):
        save_weights(self.model, self.folder / "state.weights.h5")


def save_weights(model, path):
    """Weights and optimiser to a file that is there whole or not at all."""
    half = path.with_name("half-" + path.name)
    model.save_weights(half)
    os.replace(half, path)


# -- the history on disk is the only state of early stopping -----------------------------------------------------------


def read_history(folder):
    """The finished passes as a DataFrame (empty before the first)."""
    import pandas as pd

    path = Path(folder) / "history.csv"
    return pd.read_csv(path) if path.exists() else pd.DataFrame({"val_accuracy": []})


def best_pass(history):
    """Index of the pass with the highest validation accuracy, the first of equals; None before the first."""
    return int(history["val_accuracy"].to_numpy().argmax()) if len(history) else None


def patience_over(history, patience):
    """Have `patience` passes gone by since the best one?  (Never, where patience is None.)"""
    return patience is not None and len(history) > 0 and len(history) - 1 - best_pass(history) >= patience


# -- precision ---------------------------------------------------------------------------------------------------------


class precision:
    """Within it Keras builds and trains in the run's precision; afterwards in the one from before.

    `auto` is mixed bfloat16 for networks with convolutions on processors that multiply it in hardware, where it was
    measured to be faster (`bench/`), and float32 elsewhere.
    """

    def __init__(self, settings):
        fast = settings["model"].startswith("cnn") and has_bfloat16()
        choice = "mixed_bfloat16" if fast else "float32"
        self.policy = choice if settings["precision"] == "auto" else settings["precision"]

    def __enter__(self):
        self.before = keras.mixed_precision.global_policy()
        keras.mixed_precision.set_global_policy(self.policy)
        return self.policy

    def __exit__(self, *error):
        keras.mixed_precision.set_global_policy(self.before)


def has_bfloat16():
    """Does this processor multiply bfloat16 in hardware (Intel AMX or AVX-512 BF16, Arm BF16)?"""
    try:
        words = Path("/proc/cpuinfo").read_text().split()
    except OSError:  # not Linux: play it safe
        return False
    return bool({"amx_bf16", "avx512_bf16", "bf16"} & set(words))


# -- the end of a training ---------------------------------------------------------------------------------------------


def finish(model, settings, dataset, folder, policy, used):
    """Predicts, scores and writes everything a reader of the run needs; run.json last, since it says "finished"."""
    logits = {"val": predict(model, dataset.part("val")[0])}
    scores = {"val": _score(dataset.part("val")[1], logits["val"])}
    final_logits, final_scores = score_once(model, dataset)
    np.savez(folder / "predictions.npz", **logits, **final_logits)
    model.save(folder / "model.keras")
    history = read_history(folder)
    record = {
        "settings": settings,
        "data": {"name": dataset.name, "fingerprint": dataset.fingerprint, "training_pictures": used},
        "passes": len(history),
        "best_pass": best_pass(history) + 1,
        "seconds": round(float(history["seconds"].sum()), 1),
        "parameters": model.count_params(),
        "trainable_parameters": models.trainable_parameters(model),
        "flops": models.flops(model),
        "layers": models.describe(model),
        "precision": policy,
        "processor": processor(),
        "versions": {
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
        },
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "scores": scores | final_scores,
    }
    (folder / "run.json").write_text(json.dumps(record, indent=1))
    for leftover in ("state.weights.h5", "best.weights.h5"):
        (folder / leftover).unlink(missing_ok=True)


def score_once(model, dataset):
    """The only place where a model meets the test splits: once, after all choices are made.

    Returns:
        (logits, scores): a dict of split -> (n, 7) float32, and a dict of split -> what run.json keeps of it. Splits
        without labels have logits but no score.
    """
    logits, scores = {}, {}
    for split in set(dataset.splits) & {"public", "private", "test"}:
        images, labels = dataset.part(split)
        logits[split] = predict(model, images)
        if (labels >= 0).all():
            scores[split] = _score(labels, logits[split])
    return logits, scores


def predict(model, images):
    """Logits (n, 7) float32 of pictures (n, 48, 48, 1)."""
    by_logits = keras.Model(model.inputs, model.get_layer("logits").output)
    return by_logits.predict(np.asarray(images), batch_size=256, verbose=0)


def _score(labels, logits):
    estimate = evaluation.accuracy(labels, logits)  # the largest logit is the largest probability
    return estimate._asdict() | {"macro_f1": evaluation.macro_f1(labels, logits)}


def processor():
    """The processor's name and how many cores this process may use."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores"
