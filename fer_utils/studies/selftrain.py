"""Self-training: a few images keep their labels, and the model labels the others itself (pseudo-labels).

`SelfTraining(arm="keep all", seed=0).fit()` trains one arm of the experiment once and keeps it in the run store. A
training is resumable after any round. Its folder holds

    state.npz           all that the next round depends on             (gone when finished)
    history.csv         one row a round                                             \\
    pseudo_labels.npz   (rounds, M), those in use in each round, −1 for none         > written at the end
    model.keras, predictions.npz, run.json    as in `training`                      /
"""

import functools
import json
import math
import os
import time
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd
import pydantic
import tensorflow as tf
from tqdm import tqdm

from fer_utils import augment, data, metrics, models, own, presets, runs, training
from fer_utils.labels import CLASSES, IMAGE_SHAPE
from fer_utils.words import marked

VAL_SHARE = 0.2  # of the training images, held out for validation as report A did

# What each arm does with images that have no labels: which predictions `select` turns into pseudo-labels.
ARMS = {
    "supervised": {},  # none: it learns from the labelled images alone
    "keep all": {"threshold": 0.0, "share": 1.0},  # report A: all of them, right or wrong
    "threshold": {"threshold": 0.8, "share": 1.0},  # the confident ones
    "top share": {"threshold": 0.0, "share": 0.4},  # the most confident of each predicted class: none is left out
    "FixMatch": {"threshold": 0.8, "share": 1.0},  # the confident ones, predicted anew in every update (`fixmatch`)
}
NAMES = marked("supervised", "keep all", "threshold", "top share", "FixMatch", "oracle")  # the last one has all labels

# How much there is to learn from, and for how long; the model and its optimizer are those of the preset.
PROFILES = {
    "smoke": {"limit": 300, "portion": 80, "first_steps": 4, "steps": 2, "batch": 16},
    "quick": {"limit": 1800, "portion": 240, "first_steps": 90, "steps": 18, "batch": 32},
    "full": {"limit": None, "portion": 1000, "first_steps": 1000, "steps": 150, "batch": 64},
}

# Augmentation of every training image, and of FixMatch's images without labels.
WEAK = {"shift": 0.05, "flip": True}
STRONG = {"shift": 0.12, "rotation": 20.0, "zoom": 0.15, "shear": 10.0, "flip": True, "noise": 0.08, "cutout": 16}


class SelfTraining(runs.Stored):
    """The settings of one arm. What is None or not given comes from the preset, PROFILES and ARMS.

    The training images are shuffled and cut into portions; only the first keeps its labels. After every round of
    updates a further portion arrives, and pseudo-labels are chosen among the images that have none.

    Args:
        preset, profile: names in `presets.PRESETS` and PROFILES.
        seed: draws which images keep their labels, the first weights, the batches and their augmentation.
        arm: a name in ARMS.
        labels: how many images keep their labels; None: one portion.
        portion: images that arrive together; there are as many rounds as portions.
        limit: use only so many training images, validation included; None: all.
        first_steps, steps: updates in the first round, and in every further one.
        batch: images in an update.
        threshold, share: how pseudo-labels are chosen, as in `select`.
        augmentation: of every training image, settings of `augment`.
        strong: the same, of FixMatch's images without labels.
        ratio: FixMatch's images without labels in an update, for each one of the batch.
        normalisation: as in `models.normalise`, whose fixed mean and standard deviation serve `zscore`.
        model, model_settings, optimizer, learning_rate, precision, source: as in `runs.Run`.

    Raises:
        ValueError: (pydantic's) for a setting that does not exist or has the wrong type.
    """

    preset: str = "small"
    arm: str = "keep all"
    labels: int = pydantic.Field(gt=0)
    portion: int = pydantic.Field(gt=0)
    limit: int | None
    first_steps: int = pydantic.Field(gt=0)
    steps: int = pydantic.Field(gt=0)
    batch: int = pydantic.Field(gt=0)
    threshold: float = pydantic.Field(0.0, ge=0, le=1)
    share: float = pydantic.Field(1.0, ge=0, le=1)
    augmentation: dict = WEAK
    strong: dict = STRONG
    ratio: int = pydantic.Field(1, gt=0)
    model: str
    model_settings: dict = {}
    normalisation: str = "image"
    optimizer: str
    learning_rate: float
    precision: str = pydantic.Field("auto", pattern="^(auto|float32|mixed_bfloat16)$")

    @classmethod
    def filled(cls, given):
        profile, arm = given.get("profile", "quick"), given.get("arm", "keep all")
        if arm not in ARMS:
            raise ValueError(f"{arm!r} is not one of: {', '.join(ARMS)}")
        preset = presets.settings(given.get("preset", "small"), profile)
        kept = ("model", "model_settings", "optimizer", "learning_rate")
        settings = {name: preset[name] for name in kept if name in preset}
        if own.kind(settings["model"]):
            settings |= {"normalisation": "own", "depends": runs.dependencies(settings)}
        settings = settings | PROFILES[profile] | ARMS[arm] | given
        settings.setdefault("labels", settings["portion"])
        if "data" not in settings:
            source = settings.get("source", "auto")
            settings["data"] = data.fingerprint(source, VAL_SHARE, splits=data.TRAINING)
        return settings

    def changed(self):
        """The arm, and those settings that are not what the preset, the profile and the arm say."""
        usual = {name: field.default for name, field in type(self).model_fields.items()}
        usual |= self.filled({"preset": self.preset, "profile": self.profile, "arm": self.arm, "data": ""})
        known = ("preset", "profile", "seed", "arm", "data", "depends")
        special = {name: value for name, value in self.settings().items() if name not in known and value != usual[name]}
        return {"arm": self.arm} | special

    def dataset(self):
        return data.load(self.source, VAL_SHARE)

    def work(self, dataset):
        """Return how many images the training goes through, all rounds together."""
        rounds = math.ceil(min(self.limit or math.inf, len(dataset.where("train"))) / self.portion)
        images = self.batch * (1 + self.ratio if self.arm == "FixMatch" else 1)
        return images * (self.first_steps + (rounds - 1) * self.steps)

    def make(self, dataset, folder):
        train(self.settings(), dataset, folder)

    def read(self, folder):
        return Trained(folder)


class Trained(runs.Finished):
    """What a finished arm left in its folder."""

    @property
    def history(self):
        """One row a round: round (from 1), images (that have a label), accuracy (on them), val_accuracy, seconds."""
        return pd.read_csv(self.folder / "history.csv")

    @property
    def pseudo_labels(self):
        """(rounds, M) ints: the class that each image without a label had in each round, −1 for none."""
        with np.load(self.folder / "pseudo_labels.npz") as stored:
            return stored["pseudo_labels"]


# -- a training --------------------------------------------------------------------------------------------------------


class Labelled(NamedTuple):
    images: np.ndarray  # (n, 48, 48, 1) uint8
    labels: np.ndarray  # (n,) ints


def train(settings, dataset, folder):
    """Train one arm and write its results into `folder`.

    Args:
        settings: the fields of `SelfTraining`, as a dict.
        dataset: `data.Dataset`.
        folder: Path; may hold the state of an interrupted training of the same settings, which is then continued.
    """
    folder.mkdir(parents=True, exist_ok=True)
    few, others, val = cut(dataset, settings["seed"], settings["labels"], settings["limit"])
    labelled, validation = (Labelled(dataset.images[rows], dataset.labels[rows]) for rows in (few, val))
    unlabelled = dataset.images[others]  # without their labels: no function below can read them
    with training.precision(settings) as policy:
        network = build(settings)
        history, pseudo_labels = learn(network, settings, labelled, unlabelled, validation, folder)
        np.savez_compressed(folder / "pseudo_labels.npz", pseudo_labels=pseudo_labels)
        finish(network, settings, dataset, validation, history, folder, policy)


def learn(network, settings, labelled, unlabelled, validation, folder):
    """Train round by round: images arrive, pseudo-labels are chosen, the network is updated.

    Args:
        network: Network; it ends as the last update leaves it, not as it was best on `validation`.
        labelled, validation: Labelled; the latter is evaluated for the history alone.
        unlabelled: (M, 48, 48, 1) uint8, images without labels, in the order of their arrival.

    Returns:
        history: a dict a round.
        pseudo_labels: (rounds, M) ints, −1 for none.
    """
    arrived = arrivals(len(labelled.labels), len(unlabelled), settings["portion"])
    history, pseudo_labels = load_state(network, folder, shape=(len(arrived), len(unlabelled)))
    with progress(network, settings, rounds=len(arrived)) as bar:
        for number in range(len(history), len(arrived)):
            began, here = time.perf_counter(), unlabelled[: arrived[number]]
            if number > 0:
                pseudo_labels[number] = label(network, settings, here, pseudo_labels[number - 1])
            if settings["arm"] == "FixMatch":
                pool, others = labelled, here
            else:
                pool, others = with_pseudo_labels(labelled, unlabelled, pseudo_labels[number]), here[:0]
            accuracy = fit_round(network, settings, pool, others, number, bar)
            val_accuracy = metrics.accuracy(validation.labels, predict(network, validation.images)).value
            row = {"round": number + 1, "images": len(pool.labels), "accuracy": accuracy, "val_accuracy": val_accuracy}
            history.append(row | {"seconds": round(time.perf_counter() - began, 3)})
            save_state(network, folder, history, pseudo_labels)
    return history, pseudo_labels


def progress(network, settings, rounds):
    """Return the bar of a training's updates, of which an interrupted one has some behind it."""
    total = settings["first_steps"] + settings["steps"] * (rounds - 1)
    return tqdm(total=total, initial=updates(network), desc=f"train {settings['arm']}", unit="step", mininterval=2.0)


def finish(network, settings, dataset, validation, history, folder, policy):
    """Score the model and write the results of the arm."""
    pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
    model, images = network.model, history[-1]["images"]
    if dataset.test_split == "val":  # a source without labelled test images
        logits, scores = training.score(model, dataset, ["val"])
    else:
        logits, scores = training.score_once(model, dataset)
    scores["val"] = metrics.accuracy(validation.labels, predict(network, validation.images))._asdict()
    facts = {
        "updates": updates(network),
        "epochs": round(updates(network) * settings["batch"] / images, 1),
        "seconds": round(sum(row["seconds"] for row in history), 1),
    }
    training.write_results(folder, model, settings, dataset, policy, images, logits, scores, **facts)
    (folder / "state.npz").unlink()


# -- images and pseudo-labels ------------------------------------------------------------------------------------------


def cut(dataset, seed, labels, limit=None):
    """Draw which images keep their labels, which lose them, and which validate.

    Args:
        dataset: `data.Dataset`; its `val` split validates.
        seed: int, draws the images and their order.
        labels: how many keep their labels.
        limit: use so many images in all; None: all.

    Returns:
        Row numbers (labels,), (M,) in the order of their arrival, and (V,).
    """
    rng = np.random.default_rng(seed)
    train, validation = rng.permutation(dataset.where("train")), rng.permutation(dataset.where("val"))
    part = min(1.0, limit / (len(train) + len(validation))) if limit else 1.0
    train, validation = train[: int(part * len(train))], validation[: int(part * len(validation))]
    return train[:labels], train[labels:], validation


def arrivals(labelled, unlabelled, portion):
    """Return how many images without labels have arrived in each round: none in the first, all in the last.

    >>> arrivals(400, 1000, portion=400)
    [0, 400, 800, 1000]
    """
    rounds = -(-(labelled + unlabelled) // portion)
    return [min(portion * number, unlabelled) for number in range(rounds - 1)] + [unlabelled]


def label(network, settings, here, before):
    """Return the pseudo-labels of a round: those from before, and new ones among the other images that have arrived.

    Args:
        here: (a, 48, 48, 1) uint8, the first `a` of the M images without labels.
        before: (M,) pseudo-labels of the round before, −1 for none; FixMatch keeps none of them.
    """
    labels = np.full_like(before, -1) if settings["arm"] == "FixMatch" else before.copy()
    waiting = np.flatnonzero(labels[: len(here)] < 0)
    if settings["arm"] != "supervised" and len(waiting):
        chosen, predicted = select(predict(network, here[waiting]), settings["threshold"], settings["share"])
        labels[waiting[chosen]] = predicted
    return labels


def select(probs, threshold=0.0, share=1.0):
    """Choose the predictions that become pseudo-labels: confident, and among the most confident of their class.

    Args:
        probs: (n, 7).
        threshold: least probability of the predicted class, 0…1.
        share: of each predicted class, rounded up, 0…1.

    Returns:
        (chosen, labels): indices (k,) in ascending order, and their predicted classes (k,).

    References:
        Lee (2013), Pseudo-Label, ICML workshop. Zou et al. (2018), Unsupervised Domain Adaptation for Semantic
        Segmentation via Class-Balanced Self-Training, ECCV (the share).
    """
    predicted, confidence = np.argmax(probs, axis=1), np.max(probs, axis=1)
    chosen = np.zeros(len(probs), bool)
    for c in range(len(CLASSES)):
        of_class = np.flatnonzero(predicted == c)
        surest = of_class[np.argsort(-confidence[of_class], kind="stable")]
        chosen[surest[: int(np.ceil(share * len(of_class)))]] = True
    chosen = np.flatnonzero(chosen & (confidence >= threshold))
    return chosen, predicted[chosen]


def with_pseudo_labels(labelled, unlabelled, pseudo_labels):
    """Return the labelled images together with those that have a pseudo-label."""
    given = pseudo_labels >= 0
    images = np.concatenate([labelled.images, unlabelled[given]])
    return Labelled(images, np.concatenate([labelled.labels, pseudo_labels[given]]))


# -- updates -----------------------------------------------------------------------------------------------------------


def fit_round(network, settings, pool, others, number, bar):
    """Make the updates of one round. All draws follow from the seed and the round, so a resumed training repeats them.

    Args:
        pool: Labelled, by true and pseudo-labels.
        others: (n, 48, 48, 1) uint8 images for FixMatch, or none.
        number: of the round, from 0.

    Returns:
        Accuracy on the pool's augmented images, by the labels that they have.
    """
    rng = np.random.default_rng([settings["seed"], number])
    reseed_dropout(network.model, number)
    steps, size = settings["steps"] if number else settings["first_steps"], settings["batch"]
    batches = draw_batches(rng, len(pool.labels), size, steps)
    other_batches = draw_batches(rng, len(others), settings["ratio"] * size, steps)
    hits = 0
    for rows, other_rows in zip(batches, other_batches, strict=True):
        seed = np.array([settings["seed"], 3 * updates(network)])  # the next two are FixMatch's
        batch = network.weak(pool.images[rows], seed), pool.labels[rows], np.full(size, 1 / size)
        if len(others):
            extra = fixmatch(network, others[other_rows], seed + [0, 1], settings["threshold"])
            batch = [np.concatenate(both) for both in zip(batch, extra, strict=True)]
        probs = network.train_step(*batch).numpy()
        hits += (probs[:size].argmax(axis=1) == pool.labels[rows]).sum()
        bar.update()
    return float(hits / (steps * size))


def fixmatch(network, images, seed, threshold):
    """Return a batch for FixMatch: strongly augmented images, with the class predicted after a weak augmentation.

    Args:
        images: (n, 48, 48, 1) uint8, without labels.
        seed: (2,) ints, of this update.
        threshold: least probability of the predicted class; other images get the weight 0.

    Returns:
        images (n, 48, 48, 1) float32, labels (n,), weights (n,): 1/n or 0.

    References:
        Sohn et al. (2020), FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence, NeurIPS.
    """
    probs = network.predict_step(network.weak(images, seed)).numpy()
    weights = (probs.max(axis=1) >= threshold) / len(images)
    return network.strong(images, seed + [0, 1]), probs.argmax(axis=1), weights


def draw_batches(rng, count, size, steps):
    """Return row numbers (steps, size) below `count`, each once before any comes again; (steps, 0) where it is 0."""
    if count == 0:
        return np.empty((steps, 0), int)
    epochs = -(-steps * size // count)
    return np.concatenate([rng.permutation(count) for _ in range(epochs)])[: steps * size].reshape(steps, size)


def reseed_dropout(model, number):
    """Give dropout's counters a place of their own in every round; see `training.ReseedDropout`."""
    reseed = training.ReseedDropout()
    reseed.set_model(model)
    reseed.on_epoch_begin(number)


# -- the network -------------------------------------------------------------------------------------------------------


class Network(NamedTuple):
    """A model and its traced functions, for batches of any size."""

    model: keras.Model
    train_step: Callable  # float32 images (n, 48, 48, 1), labels (n,), weights (n,) -> probs (n, 7) before the update
    predict_step: Callable  # float32 images -> probs
    weak: Callable  # uint8 images (n, 48, 48, 1), seed (2,) -> augmented images, float32
    strong: Callable


def build(settings):
    """Return the network with its first weights, drawn from the seed.

    Tracing takes as long as the updates of a short arm. All arms of a process therefore share one network, whose
    variables each of them resets.
    """
    names = ("model", "model_settings", "normalisation", "optimizer", "learning_rate", "augmentation", "strong")
    kept = {name: settings[name] for name in names} | {"precision": keras.config.dtype_policy().name}
    network = _traced(json.dumps(kept, sort_keys=True))
    keras.utils.set_random_seed(settings["seed"])
    for variable, first in zip(variables(network.model), variables(compiled(settings)), strict=True):
        variable.assign(first)
    return network


@functools.lru_cache(maxsize=1)
def _traced(kept):
    """Trace with an open batch size: a trace for each size would round differently, and make arms depend on others."""
    settings = json.loads(kept)
    model = compiled(settings)
    float_images, raw_images = tf.TensorSpec([None, *IMAGE_SHAPE]), tf.TensorSpec([None, *IMAGE_SHAPE], tf.uint8)
    labels, weights, seed = tf.TensorSpec([None], tf.int64), tf.TensorSpec([None]), tf.TensorSpec([2], tf.int64)

    @tf.function(input_signature=[float_images, labels, weights])
    def train_step(images, labels, weights):
        with tf.GradientTape() as tape:
            probs = model(images, training=True)
            losses = keras.losses.sparse_categorical_crossentropy(labels, probs)
            loss = tf.reduce_sum(weights * losses) + sum(model.losses)  # a sum: the weights hold the divisor
        gradients = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply(gradients, model.trainable_variables)
        return probs

    @tf.function(input_signature=[float_images])
    def predict_step(images):
        return model(images, training=False)

    @tf.function(input_signature=[raw_images, seed])
    def weak(images, seed):
        return augment.augment(tf.cast(images, tf.float32), seed, **settings["augmentation"])

    @tf.function(input_signature=[raw_images, seed])
    def strong(images, seed):
        return augment.augment(tf.cast(images, tf.float32), seed, **settings["strong"])

    return Network(model, train_step, predict_step, weak, strong)


def compiled(settings):
    """Build the model with its optimizer."""
    model = models.build(settings["model"], **settings["model_settings"], normalisation=settings["normalisation"])
    model.compile(training.OPTIMIZERS[settings["optimizer"]](settings["learning_rate"]))
    model.optimizer.build(model.trainable_variables)
    return model


def variables(model):
    """List all that an update changes: weights, dropout's counters, the optimizer's state."""
    return [*model.variables, *model.optimizer.variables]


def updates(network):
    """Return how many updates the network has had."""
    return int(network.model.optimizer.iterations)


def predict(network, images):
    """Return probabilities (n, 7) float32 of images (n, 48, 48, 1)."""
    batches = (images[start : start + 256].astype("float32") for start in range(0, len(images), 256))
    return np.concatenate([network.predict_step(batch) for batch in batches])


# -- the state of an interrupted training ------------------------------------------------------------------------------


def load_state(network, folder, shape):
    """Restore what an interrupted training left in `folder`, if anything.

    Returns:
        history: a dict for each finished round.
        pseudo_labels: int8 array of the shape (rounds, M), −1 for none.
    """
    path = folder / "state.npz"
    if not path.exists():
        return [], np.full(shape, -1, np.int8)
    with np.load(path) as stored:
        for number, variable in enumerate(variables(network.model)):
            variable.assign(stored[f"arr_{number}"])
        return json.loads(str(stored["history"])), stored["pseudo_labels"]


def save_state(network, folder, history, pseudo_labels):
    """Write all that the next round depends on into one file, so that a kill never leaves two that disagree."""
    arrays = [variable.numpy() for variable in variables(network.model)]
    np.savez(folder / "half-state.npz", *arrays, history=json.dumps(history), pseudo_labels=pseudo_labels)
    os.replace(folder / "half-state.npz", folder / "state.npz")


# -- how good pseudo-labels are: for the report only, since it takes the true labels -----------------------------------


def judge(pseudo_labels, truth):
    """Count the pseudo-labels of each round, how many are right, and how far their classes are from the true ones.

    Args:
        pseudo_labels: (rounds, M) ints, −1 for none.
        truth: (M,) ints, the labels that no arm has seen.

    Returns:
        pandas DataFrame, a row a round that has any: round, n, precision with low and high (the share that is right,
        Wilson), top (the most frequent class) and top_share, distance (total variation to the true shares, 0…1).
    """
    true_shares, rows = class_shares(truth), []
    for number, labels in enumerate(pseudo_labels, start=1):
        given = labels >= 0
        if given.any():
            right = metrics.share(int((labels == truth)[given].sum()), int(given.sum()))
            shares = class_shares(labels)
            distance = np.abs(shares - true_shares).sum() / 2
            rows.append(
                (number, right.n, right.value, right.low, right.high, int(shares.argmax()), shares.max(), distance)
            )
    columns = ["round", "n", "precision", "low", "high", "top", "top_share", "distance"]
    return pd.DataFrame(rows, columns=columns)


def last_rounds(judged, truth):
    """List the last row of each table of `judge`, for print.

    Args:
        judged: dict of arm -> DataFrame.
        truth: as in `judge`.

    Returns:
        List of dicts: arm, n, precision (a Share), class (the most frequent one) with its share and its true share,
        distance.
    """
    true_shares = class_shares(truth)
    return [
        {
            "arm": arm,
            "n": row.n,
            "precision": metrics.Share(row.precision, row.low, row.high, row.n),
            "class": CLASSES[row.top],
            "share": row.top_share,
            "true share": true_shares[row.top],
            "distance": row.distance,
        }
        for arm, table in judged.items()
        for row in table.tail(1).itertuples()
    ]


def class_shares(labels):
    """Return the (7,) shares of the classes; negative labels do not count."""
    counts = np.bincount(labels[labels >= 0], minlength=len(CLASSES))
    return counts / max(counts.sum(), 1)
