"""One training, from settings to a folder of results; stopped at any moment, it goes on where it was.

`runs.Run` decides whether to train and where the results live; this room only trains. In `folder` it keeps

    state.weights.h5   weights and optimiser after the last whole pass                  (gone when finished)
    best.weights.h5    weights of the best pass by validation accuracy                  (gone when finished)
    history.csv        one row a pass: loss, accuracy, val_loss, val_accuracy, seconds, cpu_seconds, round
    tensorboard/       the same for TensorBoard
    model.keras        \\
    predictions.npz     > written at the end: the network, its logits on val and the test splits, and
    run.json           /  settings, data, versions, processor, counts, scores
"""

import contextlib
import datetime
import functools
import json
import math
import os
import platform
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from scipy.special import softmax
from tqdm import tqdm

from fer_utils import augment, metrics, models, pretrained
from fer_utils.labels import CLASSES

OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "adadelta": keras.optimizers.Adadelta,
    "sgd": keras.optimizers.SGD,
}


def train(settings, dataset, folder, teachers=(), chances=None, start=None):
    """Trains one network and writes its results into `folder`.

    Args:
        settings: the fields of `runs.Run`, as a dict.
        dataset: `data.Dataset`; only its `train` and `val` pictures are looked at before the training has ended.
        folder: Path; may hold the state of an interrupted training of the same settings, which is then continued.
        teachers: models whose mean answer to a picture becomes part of its target.
        chances: (n, 7) for the pictures of the train split, what the labels are mixed with by the setting `votes`.
        start: model whose weights this training begins with; None: weights drawn from the seed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images, labels, truth = training_part(dataset, settings["limit"], settings["votes"], chances)
    if teachers:
        truth = settings["teaching"] * lessons(teachers, images) + (1 - settings["teaching"]) * truth
    with precision(settings) as policy, devices().scope():
        model = prepare(settings, images, start)
        resume(model, folder, steps=math.ceil(len(images) / settings["batch"]))
        while ahead := next_passes(read_history(folder), settings):
            fit(model, settings, images, labels, truth, dataset.part("val"), folder, *ahead)
        if settings["keep"] == "best":
            model.load_weights(folder / "best.weights.h5")
        if settings["sizes"]:
            model = of_one_size(model, settings, images)
        finish(model, settings, dataset, folder, policy, used=len(images))


def adopt(name, settings, dataset, folder):
    """Makes a finished run of weights that come with the kit: nothing is trained, and these pictures are scored."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "history.csv").write_text(pretrained.card(name)["history"])
    with precision(settings) as policy:
        finish(models.load_pretrained(name), settings, dataset, folder, policy, used=0)


def devices():
    """All GPUs together where there are several (each takes a part of every batch), else the usual device."""
    several = len(tf.config.list_logical_devices("GPU")) > 1
    return tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy()


def training_part(dataset, limit, share=0.0, chances=None):
    """The pictures that train: all of the split, or `limit` of them, the same ones in every run.

    Args:
        share: of a target that is the picture's row of `chances`, (n, 7) for the split; the rest is its label.

    Returns:
        (images, labels, truth): (N, 48, 48, 1) uint8, (N,) ints and (N, 7) float32 distributions.
    """
    where = dataset.where("train")
    chosen = np.arange(len(where))
    if limit is not None and limit < len(where):
        chosen = np.sort(np.random.default_rng(0).permutation(len(where))[:limit])
    images, labels = np.asarray(dataset.images[where[chosen]]), np.asarray(dataset.labels[where[chosen]])
    truth = np.eye(len(CLASSES), dtype=np.float32)[labels]
    return images, labels, truth if chances is None else share * chances[chosen] + (1 - share) * truth


def lessons(teachers, images, portion=2048):
    """What the teachers say of training pictures: their mean answer to each one and to its mirror image.

    They are asked once, before the training. To ask them in every pass about the very pictures that the student sees
    (Beyer et al. 2022, arXiv:2106.05237) would take several times as long as a small student's own pass.

    Returns:
        (N, 7) float32, rows sum to 1.
    """
    found = np.zeros((len(images), len(CLASSES)), np.float32)
    with tqdm(total=len(teachers) * len(images), desc="ask teachers", unit="picture", mininterval=2.0) as bar:
        for teacher in teachers:
            for first in range(0, len(images), portion):
                asked = images[first : first + portion]
                found[first : first + portion] += np.exp(predict_views(teacher, asked, "flip")) / len(teachers)
                bar.update(len(asked))
    return found


def prepare(settings, images, start=None):
    """The compiled model with its first weights: drawn from the run's seed, or those of the model `start`."""
    keras.utils.set_random_seed(settings["seed"])
    model = build(settings, images, **({"side": None} if settings["sizes"] else {}))
    if start is not None:
        model.set_weights(start.get_weights())
    model.compile(
        optimizer=optimizer(settings, steps=math.ceil(len(images) / settings["batch"])),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=settings["label_smoothing"]),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],  # the word would be made an object in a step
    )
    model.optimizer.build(model.trainable_variables)  # TensorFlow traces a step that creates variables a second time
    return model


def build(settings, images, **extra):
    """The run's network; where it standardises grey levels, by these pictures' mean and deviation."""
    extra |= {"normalisation": settings["normalisation"]}
    if settings["normalisation"] == "zscore":
        extra |= {"mean": float(images.mean()), "sd": float(images.std())}
    return models.build(settings["model"], **settings["model_settings"], **extra)


def of_one_size(model, settings, images):
    """A model that took pictures of any size, as one of the size that is kept: explanations need to know it."""
    fixed = build(settings, images)
    fixed.set_weights(model.get_weights())
    return fixed


def optimizer(settings, steps):
    """The run's optimiser with its learning rate over all passes of `steps` steps each."""
    rate = settings["learning_rate"]
    if settings["schedule"] == "triangle":
        rate = Triangle(rate, steps * settings["passes"] * settings["rounds"])
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


def resume(model, folder, steps):
    """Loads the state of an interrupted training, if there is one, and the history up to it."""
    state = folder / "state.weights.h5"
    if state.exists():
        model.load_weights(state)
    first_pass = int(_array(model.optimizer.iterations)) // steps
    history = folder / "history.csv"
    if history.exists():  # a kill between the two files leaves a row of a pass that will be repeated
        read_history(folder).iloc[:first_pass].to_csv(history, index=False)


def next_passes(history, settings):
    """What is still to be trained in one go: (round, first pass, last pass + 1, side), or None at the end.

    A round has `passes` passes, or fewer where patience ran out; the next one goes on from where it stopped. Within a
    round each of the `sizes` has an equal part of the passes; without them `side` is None.
    """
    number = 1 if history.empty else int(history["round"].iloc[-1])
    of_round = history[history["round"] == number]
    if len(of_round) >= settings["passes"] or patience_over(of_round, settings["patience"]):
        number, of_round = number + 1, history[:0]
    if number > settings["rounds"]:
        return None
    sizes, done, first = settings["sizes"] or [None], len(of_round), len(history)
    ends = [round(settings["passes"] * (place + 1) / len(sizes)) for place in range(len(sizes))]
    side, end = next((side, end) for side, end in zip(sizes, ends, strict=True) if end > done)
    return number, first, first + end - done, side


def fit(model, settings, images, labels, truth, validation, folder, number, first_pass, end, side):
    """Trains passes in one go; everything that must survive a kill is on disk after each of them."""
    stream = augment.batches(
        images,
        truth,
        batch=settings["batch"],
        seed=settings["seed"],
        first_pass=first_pass,
        passes=end,
        augmentation=settings["augmentation"],
        balanced=labels if settings["imbalance"] == "resample" else None,
    )
    steps = math.ceil(len(images) / settings["batch"])
    model.fit(
        stream.map(shown_at(side)),
        initial_epoch=first_pass,
        epochs=end,
        steps_per_epoch=steps,
        class_weight=class_weights(labels) if settings["imbalance"] == "weight" else None,
        shuffle=False,  # the stream is shuffled already
        validation_data=_evaluation_batches(*validation, side),
        verbose=0,
        callbacks=[
            *([keras.callbacks.SwapEMAWeights()] if settings["ema"] else []),  # validation sees the averaged weights
            Clock(number),
            ReseedDropout(),
            keras.callbacks.CSVLogger(folder / "history.csv", append=first_pass > 0),
            keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False),
            Progress(steps * end, steps * first_pass, label=settings["preset"]),
            KeepBest(folder),
            StopEarly(folder, settings["patience"], number),
            KeepState(folder),  # last: what is on disk after a pass belongs to that pass
        ],
    )


def _evaluation_batches(images, labels, side=None):
    """Pictures in their order as float32 grey levels; large batches, since nothing is kept for a backward pass.

    Networks without batch norm judge pictures of another size than they learn from badly: `side` shrinks them alike.
    """
    several = tf.distribute.get_strategy().num_replicas_in_sync  # Keras fails unless each of them gets as many pictures
    count, size = len(images) // several * several, max(256 // several * several, several)
    truth = np.eye(len(CLASSES), dtype=np.float32)[np.asarray(labels[:count])]
    stream = tf.data.Dataset.from_tensor_slices((np.asarray(images[:count]), truth)).batch(size)
    shown = shown_at(side)
    return stream.map(lambda pictures, truth: shown(tf.cast(pictures, tf.float32), truth)).prefetch(2)


def _array(variable):
    """A Keras variable as a NumPy array, also where several devices hold copies of it."""
    return tf.convert_to_tensor(variable.value).numpy()


def shown_at(side):
    """The last step of a stream of pictures and targets: the pictures shrunk to `side` pixels; None: as they are."""

    def step(pictures, truth):
        return tf.image.resize(pictures, (side, side), method="area") if side else pictures, truth

    return step


def class_weights(labels):
    """Weights that give every class the same say in the loss; over the pictures their mean is 1."""
    counts = np.bincount(labels, minlength=len(CLASSES))
    present = np.count_nonzero(counts)
    return {c: len(labels) / (present * n) if n else 0.0 for c, n in enumerate(counts)}


# -- callbacks, each with one duty -------------------------------------------------------------------------------------


class Clock(keras.callbacks.Callback):
    """Adds each pass's seconds, by the clock and of all cores together, and the number of its round, to the log."""

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
    """Gives the dropout layers' counters a place of their own in every pass.

    Keras does not store these counters with the weights: without this a resumed training would drop other units.
    """

    def on_epoch_begin(self, epoch, logs=None):
        for layer in self.model.layers:
            for variable in layer.non_trainable_variables:
                if "seed_generator_state" in variable.path:
                    first = _array(variable)[0]
                    variable.assign(np.array([first, 1_000_000 * epoch], dtype=variable.dtype))


class Progress(keras.callbacks.Callback):
    """One bar for the whole training, with the time that is left and the last validation accuracy."""

    def __init__(self, total, done, label):
        super().__init__()
        self.bar = tqdm(total=total, initial=done, desc=f"train {label}", unit="step", mininterval=2.0)

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
            with averaged(self.model):
                save_weights(self.model, self.folder / "best.weights.h5")


class StopEarly(keras.callbacks.Callback):
    """Ends the round when `patience` passes in a row brought no better validation accuracy."""

    def __init__(self, folder, patience, number):
        super().__init__()
        self.folder, self.patience, self.number = folder, patience, number

    def on_epoch_end(self, epoch, logs=None):
        history = read_history(self.folder)
        self.model.stop_training = patience_over(history[history["round"] == self.number], self.patience)


class KeepState(keras.callbacks.Callback):
    """Keeps all that the next pass depends on in one file, so that a kill can never leave two that disagree."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def on_epoch_end(self, epoch, logs=None):
        save_weights(self.model, self.folder / "state.weights.h5")


@contextlib.contextmanager
def averaged(model):
    """Within it the model has its exponential moving average's weights, where its optimiser keeps one."""
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
    """Weights and optimiser to a file that is there whole or not at all."""
    half = path.with_name("half-" + path.name)
    model.save_weights(half)
    os.replace(half, path)


# -- the history on disk is the only state of early stopping -----------------------------------------------------------


def read_history(folder):
    """The finished passes as a DataFrame (empty before the first)."""
    import pandas as pd

    path = Path(folder) / "history.csv"
    return pd.read_csv(path) if path.exists() else pd.DataFrame({"val_accuracy": [], "round": []})


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
    logits, scores = score(model, dataset, ["val"], settings["tta"])
    final_logits, final_scores = score_once(model, dataset, settings["tta"])
    np.savez(folder / "predictions.npz", **logits, **final_logits)
    keras.Model(model.inputs, model.outputs, name=model.name).save(folder / "model.keras")  # without Adam's state
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


def score_once(model, dataset, tta="none"):
    """The only place where a model meets the test splits: once, after all choices are made.

    Returns:
        as `score`.
    """
    return score(model, dataset, [s for s in dataset.splits if s in ("public", "private", "test")], tta)


def score(model, dataset, splits, tta="none"):
    """Predicts splits, plainly and, where asked for, with test-time augmentation (named `<split>+tta`).

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


def predict(model, images):
    """Logits (n, 7) float32 of pictures (n, 48, 48, 1)."""
    return _up_to_logits(model).predict(np.asarray(images), batch_size=256, verbose=0)


@functools.lru_cache(maxsize=2)
def _up_to_logits(model):
    """Made once a model: each new keras.Model is traced anew, which takes seconds."""
    return keras.Model(model.inputs, model.get_layer("logits").output)


def predict_views(model, images, tta, reach=3):
    """Test-time augmentation: the mean probability of a picture's views, as its logarithm.

    Args:
        images: (n, 48, 48, 1). tta: `flip` (2 views) or `flip+shift` (10: also moved by `reach` pixels each way).

    Returns:
        (n, 7) float32 log-probabilities.
    """
    images = np.asarray(images)
    moves = [(0, 0)] if tta == "flip" else [(0, 0), (-reach, 0), (reach, 0), (0, -reach), (0, reach)]
    framed = np.pad(images, [(0, 0), (reach, reach), (reach, reach), (0, 0)], mode="edge")
    side = images.shape[1]
    upright = [framed[:, reach + y :, reach + x :][:, :side, :side] for y, x in moves]
    views = upright + [view[:, :, ::-1] for view in upright]
    logits = predict(model, np.concatenate(views)).reshape(len(views), len(images), len(CLASSES))
    return np.log(softmax(logits, axis=2).mean(axis=0))


def _score(labels, logits):
    estimate = metrics.accuracy(labels, logits)  # the largest logit is the largest probability
    return estimate._asdict() | {"macro_f1": metrics.macro_f1(labels, logits)}


def processor():
    """The processor's name and how many cores this process may use."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores"
