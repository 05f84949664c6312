"""One training, from settings to a folder of results; resumable after any epoch.

`runs.Run` decides whether to train and where the results are stored; this module only trains. In `folder` it keeps

    state.weights.h5   weights and optimizer after the last complete epoch              (removed at the end)
    best.weights.h5    weights of the epoch with the best validation accuracy           (removed at the end)
    history.csv        a row an epoch: loss, accuracy, val_loss, val_accuracy, seconds, cpu_seconds, round
    tensorboard/       the same for TensorBoard
    model.keras        \\
    predictions.npz     > written at the end: the network, its logits on val and the test sets, and
    run.json           /  settings, data, versions, processor, counts, scores
"""

import contextlib
import datetime
import functools
import json
import math
import os
import platform
import sys
import time
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from scipy.special import softmax
from tqdm import tqdm

from fer_utils import adapt, augment, machine, metrics, models, own, recorded
from fer_utils.labels import CLASSES

OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "adadelta": keras.optimizers.Adadelta,
    "sgd": keras.optimizers.SGD,
    "rmsprop": keras.optimizers.RMSprop,
}


def train(settings, dataset, folder, teachers=(), label_probs=None, start=None):
    """Train one network and write its results into `folder`.

    Args:
        settings: the fields of `runs.Run`, as a dict.
        dataset: `data.Dataset`; only `train` and `val` are looked at before the training has ended.
        folder: Path; may hold the state of an interrupted training of the same settings, which is then resumed.
        teachers: models whose mean prediction becomes part of an image's target (distillation).
        label_probs: (n, 7) for the training set, mixed into the targets by the setting `votes`.
        start: finished run whose weights this training starts with; None: weights drawn from the seed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images, labels, targets = training_part(dataset, settings["limit"], settings["votes"], label_probs)
    if teachers:
        weight = settings["teacher_weight"]
        targets = weight * teacher_probs(teachers, images) + (1 - weight) * targets
    steps = math.ceil(len(images) / settings["batch"])
    with precision(settings) as policy, devices().scope():
        tell_device(settings, policy)
        model = prepare(settings, images, start)
        resume(model, folder, steps)
        total, name = steps * settings["epochs"] * settings["rounds"], f"train {settings['preset']}"
        with tqdm(total=total, desc=name, unit="step", mininterval=2.0) as bar:  # one bar for all rounds and sizes
            while stage := next_stage(read_history(folder), settings):
                fit(model, settings, images, labels, targets, dataset.part("val"), folder, stage, bar)
        if settings["keep"] == "best":
            model.load_weights(folder / "best.weights.h5")
        if settings["sizes"]:
            model = of_one_size(model, settings, images)
        finish(model, settings, dataset, folder, policy, used=len(images), before=start.pflop if start else 0.0)


def adopt(settings, dataset, folder, before):
    """Make a finished run of trained weights, the kit's (made by `before` PFLOP) or a file's: it only scores images."""
    folder.mkdir(parents=True, exist_ok=True)
    name = recorded.name_in(settings["preset"])
    with precision(settings) as policy:
        model = recorded.load(name) if name else adapt.load(settings["preset"])
        told = recorded.FOLDER / name / "history.csv" if name else None
        (folder / "history.csv").write_text(told.read_text() if told else adapt.history(model, *dataset.part("val")))
        finish(model, settings, dataset, folder, policy, used=0, before=before)


def tell_device(settings, policy):
    """Print on what this training runs, on stderr as its progress: a report's pages are not the place."""
    print(f"train {settings['preset']} on {machine.name()}, {policy.replace('_', ' ')}", file=sys.stderr, flush=True)


def devices():
    """Return a strategy that uses all GPUs where there are several (each takes a part of every batch)."""
    several = len(tf.config.list_logical_devices("GPU")) > 1
    return tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy()


# -- data and targets --------------------------------------------------------------------------------------------------


def training_part(dataset, limit, share=0.0, label_probs=None):
    """Return the images that are trained on: the whole training set, or `limit` of them, the same ones in every run.

    Args:
        share: of a target that is the image's row of `label_probs`, (n, 7) for the whole set; the rest is its label.

    Returns:
        (images, labels, targets): (N, 48, 48, 1) uint8, (N,) ints and (N, 7) float32 distributions.
    """
    rows = dataset.where("train")
    chosen = np.arange(len(rows))
    if limit is not None and limit < len(rows):
        chosen = np.sort(np.random.default_rng(0).permutation(len(rows))[:limit])
    images, labels = np.asarray(dataset.images[rows[chosen]]), np.asarray(dataset.labels[rows[chosen]])
    targets = np.eye(len(CLASSES), dtype=np.float32)[labels]
    return images, labels, targets if label_probs is None else share * label_probs[chosen] + (1 - share) * targets


def teacher_probs(teachers, images, portion=2048):
    """Return what the teachers predict for training images: the mean over them, each image and its mirror image.

    They are asked once, before the training. Asking them in every epoch about the augmented images that the student
    sees (Beyer et al. 2022, arXiv:2106.05237) would take several times as long as a small student's own epoch.

    Returns:
        (N, 7) float32, rows sum to 1.
    """
    probs = np.zeros((len(images), len(CLASSES)), np.float32)
    with tqdm(total=len(teachers) * len(images), desc="teachers", unit="image", mininterval=2.0) as bar:
        for teacher in teachers:
            for first in range(0, len(images), portion):
                part = images[first : first + portion]
                probs[first : first + portion] += np.exp(predict_views(teacher, part, "flip")) / len(teachers)
                bar.update(len(part))
    return probs


def class_weights(labels):
    """Return weights that give every class the same share of the loss; their mean over the images is 1."""
    counts = np.bincount(labels, minlength=len(CLASSES))
    present = np.count_nonzero(counts)
    return {c: len(labels) / (present * n) if n else 0.0 for c, n in enumerate(counts)}


# -- the model and its optimizer ---------------------------------------------------------------------------------------


def prepare(settings, images, start=None):
    """Return the compiled model with its initial weights: drawn from the run's seed, or those of the run `start`."""
    keras.utils.set_random_seed(settings["seed"])
    model = build(settings, images, **({"side": None} if settings["sizes"] else {}))
    if start is not None:
        model.set_weights(start.model().get_weights())
    model.compile(
        optimizer=optimizer(settings, steps=math.ceil(len(images) / settings["batch"])),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=settings["label_smoothing"]),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],  # given by name it would be built in a step
    )
    model.optimizer.build(model.trainable_variables)  # TensorFlow traces a step that creates variables a second time
    return model


def build(settings, images, **extra):
    """Build the run's network; `zscore` normalises by the mean and standard deviation of these images."""
    extra |= {"normalisation": settings["normalisation"]}
    if settings["normalisation"] == "zscore":
        extra |= {"mean": float(images.mean()), "sd": float(images.std())}
    return models.build(settings["model"], **settings["model_settings"], **extra)


def of_one_size(model, settings, images):
    """Return a model for images of any size as one for 48×48 alone: explanations need to know the size."""
    fixed = build(settings, images)
    fixed.set_weights(model.get_weights())
    return fixed


def optimizer(settings, steps):
    """Build the run's optimizer, its learning rate scheduled over all epochs of `steps` steps each."""
    rate = settings["learning_rate"]
    if settings["schedule"] == "triangle":
        rate = Triangle(rate, steps * settings["epochs"] * settings["rounds"])
    extra = {"use_ema": True, "ema_momentum": settings["ema"]} if settings["ema"] else {}
    if settings["weight_decay"]:
        extra["weight_decay"] = settings["weight_decay"]
    return OPTIMIZERS[settings["optimizer"]](rate, **extra)


class Triangle(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises from a tenth of its peak over the first fifth of the steps, then falls to 0.

    References:
        Smith (2017), Cyclical Learning Rates for Training Neural Networks, arXiv:1506.01186.
    """

    def __init__(self, peak, steps):
        self.peak, self.steps, self.top = peak, steps, max(1, steps // 5)

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        rising = 0.1 + 0.9 * step / self.top
        falling = (self.steps - step) / (self.steps - self.top)
        return self.peak * tf.maximum(tf.minimum(rising, falling), 0.0)

    def get_config(self):
        return {"peak": self.peak, "steps": self.steps}


# -- the epochs --------------------------------------------------------------------------------------------------------


class Stage(NamedTuple):
    """Epochs that are trained by one call of `Model.fit`."""

    round: int  # from 1
    first: int  # epoch, from 0
    end: int  # the epoch after the last one
    side: int | None  # of the images in pixels; None: as they are


def next_stage(history, settings):
    """Return the Stage that comes next, or None at the end.

    A round has `epochs` epochs, or fewer where patience ran out; the next one starts from its last weights. Within a
    round each of the `sizes` has an equal part of the epochs.
    """
    number = 1 if history.empty else int(history["round"].iloc[-1])
    of_round = history[history["round"] == number]
    if len(of_round) >= settings["epochs"] or patience_over(of_round, settings["patience"]):
        number, of_round = number + 1, history[:0]
    if number > settings["rounds"]:
        return None
    sizes, done, first = settings["sizes"] or [None], len(of_round), len(history)
    ends = [round(settings["epochs"] * (place + 1) / len(sizes)) for place in range(len(sizes))]
    side, end = next((side, end) for side, end in zip(sizes, ends, strict=True) if end > done)
    return Stage(number, first, first + end - done, side)


def resume(model, folder, steps):
    """Load the state of an interrupted training, if there is one, and cut the history to it."""
    state = folder / "state.weights.h5"
    if state.exists():
        model.load_weights(state)
    epochs = int(_array(model.optimizer.iterations)) // steps
    history = folder / "history.csv"
    if history.exists():  # a kill between the two files leaves a row of an epoch that will be repeated
        read_history(folder).iloc[:epochs].to_csv(history, index=False)


def fit(model, settings, images, labels, targets, validation, folder, stage, bar):
    """Train the epochs of a stage; everything that must survive a kill is on disk after each of them."""
    steps = math.ceil(len(images) / settings["batch"])
    of_round = int((read_history(folder)["round"] == stage.round).sum())  # epochs of this round that are done
    begin = steps * (settings["epochs"] * (stage.round - 1) + of_round)
    stream = augment.batches(
        images,
        targets,
        batch=settings["batch"],
        seed=settings["seed"],
        first_epoch=stage.first,
        epochs=stage.end,
        augmentation=settings["augmentation"],
        balanced=labels if settings["imbalance"] == "resample" else None,
    )
    model.fit(
        stream.map(resized(stage.side)),
        initial_epoch=stage.first,
        epochs=stage.end,
        steps_per_epoch=steps,
        class_weight=class_weights(labels) if settings["imbalance"] == "weight" else None,
        shuffle=False,  # the stream is shuffled already
        validation_data=validation_batches(*validation, stage.side),
        verbose=0,
        callbacks=[
            *([keras.callbacks.SwapEMAWeights()] if settings["ema"] else []),  # validate the averaged weights
            Clock(stage.round),
            ReseedDropout(),
            keras.callbacks.CSVLogger(folder / "history.csv", append=stage.first > 0),
            keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False),
            ShowProgress(bar, begin),
            KeepBest(folder),
            StopEarly(folder, settings["patience"], stage.round),
            KeepState(folder),  # last: all files on disk belong to the same epoch
        ],
    )


def validation_batches(images, labels, side=None):
    """Stream validation images in their order, as float32 grey levels in large batches.

    Networks without batch norm score images of another size than they train on badly: `side` shrinks these, too.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync  # Keras fails unless all get equally many images
    count, size = len(images) // replicas * replicas, max(256 // replicas * replicas, replicas)
    targets = np.eye(len(CLASSES), dtype=np.float32)[np.asarray(labels[:count])]
    stream = tf.data.Dataset.from_tensor_slices((np.asarray(images[:count]), targets)).batch(size)
    resize = resized(side)
    return stream.map(lambda images, targets: resize(tf.cast(images, tf.float32), targets)).prefetch(2)


def resized(side):
    """Return the last step of a stream of images and targets: images shrunk to `side` pixels; None: as they are."""

    def resize(images, targets):
        return tf.image.resize(images, (side, side), method="area") if side else images, targets

    return resize


def _array(variable):
    """Return a Keras variable as a NumPy array, also where several devices hold copies of it."""
    return tf.convert_to_tensor(variable.value).numpy()


# -- callbacks, each with one duty -------------------------------------------------------------------------------------


class Clock(keras.callbacks.Callback):
    """Log each epoch's seconds, by the clock and of all cores together, and the number of its round."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def on_epoch_begin(self, epoch, logs=None):
        self.began, self.cpu_began = time.perf_counter(), time.process_time()

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds"] = round(time.perf_counter() - self.began, 3)
        logs["cpu_seconds"] = round(time.process_time() - self.cpu_began, 3)
        logs["round"] = self.number


class ReseedDropout(keras.callbacks.Callback):
    """Set the dropout layers' random counters from the number of the epoch.

    Keras does not store these counters with the weights: without this a resumed training would drop other units.
    """

    def on_epoch_begin(self, epoch, logs=None):
        for layer in self.model.layers:
            for variable in layer.non_trainable_variables:
                if "seed_generator_state" in variable.path:
                    first = _array(variable)[0]
                    variable.assign(np.array([first, 1_000_000 * epoch], dtype=variable.dtype))


class ShowProgress(keras.callbacks.Callback):
    """Advance the bar of the whole training; `begin` is the step, of all rounds, that this stage starts from."""

    def __init__(self, bar, begin):
        super().__init__()
        self.bar, self.begin = bar, begin

    def on_train_begin(self, logs=None):
        skipped = self.begin - self.bar.n  # trained earlier, or left out by early stopping: not part of the speed
        self.bar.initial += skipped
        self.bar.update(skipped)

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        self.bar.set_postfix({"epoch": epoch + 1, "val": f"{logs['val_accuracy']:.3f}"})


class KeepBest(keras.callbacks.Callback):
    """Keep the weights of the epoch with the best validation accuracy (the first of equals)."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def on_epoch_end(self, epoch, logs=None):
        if best_epoch(read_history(self.folder)) == epoch:
            with averaged(self.model):
                save_weights(self.model, self.folder / "best.weights.h5")


class StopEarly(keras.callbacks.Callback):
    """End the round after `patience` epochs in a row without a better validation accuracy."""

    def __init__(self, folder, patience, number):
        super().__init__()
        self.folder, self.patience, self.number = folder, patience, number

    def on_epoch_end(self, epoch, logs=None):
        history = read_history(self.folder)
        self.model.stop_training = patience_over(history[history["round"] == self.number], self.patience)


class KeepState(keras.callbacks.Callback):
    """Keep all that the next epoch depends on in one file, so that a kill never leaves two that disagree."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def on_epoch_end(self, epoch, logs=None):
        save_weights(self.model, self.folder / "state.weights.h5")


@contextlib.contextmanager
def averaged(model):
    """Give the model the exponential moving average of its weights for a while, if its optimizer keeps one."""
    if not model.optimizer.use_ema:
        yield
        return
    kept = [_array(variable) for variable in model.trainable_variables]
    model.optimizer.finalize_variable_values(model.trainable_variables)
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_variables, kept, strict=True):
            variable.assign(value)


def save_weights(model, path):
    """Save weights and optimizer; the file is written whole or not at all."""
    half = path.with_name("half-" + path.name)
    model.save_weights(half)
    os.replace(half, path)


# -- early stopping reads the history on disk, so it survives a kill ---------------------------------------------------


def read_history(folder):
    """Return the finished epochs as a DataFrame (empty before the first)."""
    path = Path(folder) / "history.csv"
    return pd.read_csv(path) if path.exists() else pd.DataFrame({"val_accuracy": [], "round": []})


def best_epoch(history):
    """Return the index of the epoch with the best validation accuracy, the first of equals; None before the first."""
    return int(history["val_accuracy"].to_numpy().argmax()) if len(history) else None


def patience_over(history, patience):
    """Return whether `patience` epochs have passed since the best one (never, where patience is None)."""
    return patience is not None and len(history) > 0 and len(history) - 1 - best_epoch(history) >= patience


# -- precision ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def precision(settings):
    """Build and train in the run's precision; yields the name of the Keras policy."""
    chosen = settings["precision"]
    policy = best_precision(settings) if chosen == "auto" else chosen
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(policy)
    try:
        yield policy
    finally:
        keras.mixed_precision.set_global_policy(before)


def best_precision(settings):
    """Return mixed_bfloat16 for a network with convolutions where hardware multiplies bfloat16, else float32.

    Without such hardware bfloat16 is 15–40 times slower; a DNN gains nothing (`python -m bench.training`).
    """
    network = models.build(settings["model"], **settings["model_settings"])
    convolutions = any(isinstance(layer, keras.layers.Conv2D) for layer in network.layers)
    return "mixed_bfloat16" if convolutions and machine.has_bfloat16() else "float32"


# -- the end of a training ---------------------------------------------------------------------------------------------


def finish(model, settings, dataset, folder, policy, used, before):
    """Score the model and write the results of a run."""
    logits, scores = score(model, dataset, ["val"], settings["tta"])
    test_logits, test_scores = score_once(model, dataset, settings["tta"])
    history = read_history(folder)
    epochs = int(history["loss"].count())  # the one row of a file's unknown training has no loss
    facts = {
        "epochs": epochs,
        "best_epoch": min(best_epoch(history) + 1, epochs),
        "seconds": round(float(history["seconds"].sum()), 1),
        "trainable_parameters": models.trainable_parameters(model),
        "flops": models.flops(model),
        "layers": models.describe(model),
        **own.kept(settings["model"]),
        **({"pflop_before": before} if before else {}),
    }
    logits, scores = logits | test_logits, scores | test_scores
    write_results(folder, model, settings, dataset, policy, used, logits, scores, **facts)
    for leftover in ("state.weights.h5", "best.weights.h5"):
        (folder / leftover).unlink(missing_ok=True)


def write_results(folder, model, settings, dataset, policy, used, logits, scores, **facts):
    """Write predictions.npz, model.keras and run.json; the last comes last, since it means "finished".

    Args:
        policy: name of the Keras policy that trained. used: how many images were trained on.
        logits, scores: as `score` returns them. facts: what else run.json says.
    """
    np.savez(folder / "predictions.npz", **logits)
    keras.Model(model.inputs, model.outputs, name=model.name).save(folder / "model.keras")  # without Adam's state
    versions = {"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__}
    record = {
        "settings": settings,
        "data": {"name": dataset.name, "fingerprint": dataset.training, "splits": dataset.fingerprints},
        "parameters": model.count_params(),
        **facts,
        "precision": policy,
        "processor": machine.name(),
        "versions": {"python": platform.python_version(), **versions},
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "scores": scores,
    }
    record["data"]["training_images"] = used
    (folder / "run.json").write_text(json.dumps(record, indent=1))


def score_once(model, dataset, tta="none"):
    """Score the test sets: the only place where a model meets them, once, after all choices are made.

    Returns:
        as `score`.
    """
    return score(model, dataset, [s for s in dataset.splits if s in ("public", "private", "test")], tta)


def score(model, dataset, splits, tta="none"):
    """Predict splits, plainly and, where asked for, with test-time augmentation (named `<split>+tta`).

    Returns:
        (logits, scores): a dict of name -> (n, 7) float32, and a dict of name -> what run.json keeps of it. Splits
        without labels have logits but no score.
    """
    logits, scores = {}, {}
    for split in splits:
        images, labels = dataset.part(split)
        logits[split] = predict(model, images)
        if tta != "none":
            logits[f"{split}+tta"] = predict_views(model, images, tta)
        if (labels >= 0).all():
            scores |= {name: _score(labels, logits[name]) for name in (split, f"{split}+tta") if name in logits}
    return logits, scores


def _score(labels, logits):
    estimate = metrics.accuracy(labels, logits)  # the largest logit is the largest probability
    return estimate._asdict() | {"macro_f1": metrics.macro_f1(labels, logits)}


def predict(model, images):
    """Return logits (n, 7) float32 of images (n, 48, 48, 1)."""
    return _up_to_logits(model).predict(np.asarray(images), batch_size=256, verbose=0)


@functools.lru_cache(maxsize=2)
def _up_to_logits(model):
    """Made once a model: each new keras.Model is traced anew, which takes seconds."""
    return keras.Model(model.inputs, model.get_layer("logits").output)


def predict_views(model, images, tta, reach=3):
    """Test-time augmentation: return the log of the mean probabilities over an image's views.

    Args:
        images: (n, 48, 48, 1). tta: `flip` (2 views) or `flip+shift` (10: also shifted by `reach` pixels each way).

    Returns:
        (n, 7) float32 log-probabilities.
    """
    images = np.asarray(images)
    shifts = [(0, 0)] if tta == "flip" else [(0, 0), (-reach, 0), (reach, 0), (0, -reach), (0, reach)]
    padded = np.pad(images, [(0, 0), (reach, reach), (reach, reach), (0, 0)], mode="edge")
    side = images.shape[1]
    upright = [padded[:, reach + y :, reach + x :][:, :side, :side] for y, x in shifts]
    views = upright + [view[:, :, ::-1] for view in upright]
    logits = predict(model, np.concatenate(views)).reshape(len(views), len(images), len(CLASSES))
    return np.log(softmax(logits, axis=2).mean(axis=0))
