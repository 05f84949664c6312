"""One training with few labels, from settings to a folder of results; stopped, it goes on after the last whole round.

`selftrain.SelfTraining` decides whether to train and where the results live; this room only trains. `learn` is given
the pictures without labels as pictures alone, so nothing in it can read what it must not. In `folder` it keeps

    state.npz           weights, optimiser, history, pseudo-labels after the last whole round (gone when finished)
    history.csv         one row a round                                             \\
    pseudo_labels.npy   (rounds, M), those in use in each round, −1 for none         > written at the end
    model.keras, predictions.npz, run.json    as in `training`                      /
"""

import datetime
import functools
import json
import os
import time
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from fer_utils import augment, metrics, models, training
from fer_utils.labels import IMAGE_SHAPE
from fer_utils.studies import selftrain


class Labelled(NamedTuple):
    images: np.ndarray  # (n, 48, 48, 1) uint8
    labels: np.ndarray  # (n,) ints


def train(settings, dataset, folder):
    """Trains one arm and writes its results into `folder`.

    Args:
        settings: the fields of `selftrain.SelfTraining`, as a dict.
        dataset: `data.Dataset`.
        folder: Path; may hold the state of an interrupted training of the same settings, which is then continued.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = selftrain.cut(dataset, settings["seed"], settings["labels"], settings["limit"])
    labelled, held_out = (Labelled(dataset.images[part], dataset.labels[part]) for part in (rows[0], rows[2]))
    unlabelled = dataset.images[rows[1]]  # their labels stay behind
    with training.precision(settings) as policy:
        network, history, pseudo_labels = learn(settings, labelled, unlabelled, held_out, folder)
        np.save(folder / "pseudo_labels.npy", pseudo_labels)
        finish(network, settings, dataset, held_out, history, folder, policy)


def learn(settings, labelled, unlabelled, held_out, folder):
    """All rounds of one arm: pictures arrive, pseudo-labels are chosen, the network makes its updates.

    Args:
        settings: the fields of `selftrain.SelfTraining`.
        labelled: Labelled. held_out: Labelled, looked at for the history alone.
        unlabelled: (M, 48, 48, 1) uint8, pictures without labels, in the order of their arrival.
        folder: Path; see `train`.

    Returns:
        network: Network as the last update left it, not as it was best on `held_out`.
        history: a dict a round.
        pseudo_labels: (rounds, M) ints, −1 for none.
    """
    network = build(settings)
    arrived = selftrain.arrivals(len(labelled.labels), len(unlabelled), settings["portion"])
    history, pseudo_labels = resume(network, folder, rounds=len(arrived), pictures=len(unlabelled))
    total = settings["first_steps"] + settings["steps"] * (len(arrived) - 1)
    bar = tqdm(total=total, initial=updates_of(network), desc=f"train {settings['arm']}", unit="step", mininterval=2.0)
    for number in range(len(history), len(arrived)):
        began, here = time.perf_counter(), unlabelled[: arrived[number]]
        if number > 0:
            pseudo_labels[number] = label(network, settings, here, pseudo_labels[number - 1])
        if settings["arm"] == "FixMatch":
            pool, others = labelled, here
        else:
            pool, others = with_pseudo_labels(labelled, unlabelled, pseudo_labels[number]), here[:0]
        accuracy = fit_round(network, settings, pool, others, number, bar)
        val = metrics.accuracy(held_out.labels, predict(network, held_out.images)).value
        row = {"round": number + 1, "pictures": len(pool.labels), "accuracy": accuracy, "val_accuracy": val}
        history.append(row | {"seconds": round(time.perf_counter() - began, 3)})
        keep_state(network, folder, history, pseudo_labels)
    bar.close()
    return network, history, pseudo_labels


def label(network, settings, here, before):
    """The pseudo-labels of a round: those from before, and new ones among the other pictures that have arrived.

    Args:
        here: (a, 48, 48, 1), the first `a` of the M pictures without labels.
        before: (M,) pseudo-labels of the round before; FixMatch keeps none of them.

    Returns:
        (M,) ints, −1 for none.
    """
    labels = np.full_like(before, -1) if settings["arm"] == "FixMatch" else before.copy()
    waiting = np.flatnonzero(labels[: len(here)] < 0)
    if settings["arm"] != "supervised" and len(waiting):
        probs = predict(network, here[waiting])
        chosen, predicted = selftrain.select(probs, settings["threshold"], settings["share"])
        labels[waiting[chosen]] = predicted
    return labels


def with_pseudo_labels(labelled, unlabelled, pseudo_labels):
    """The labelled pictures and those that have a pseudo-label."""
    given = pseudo_labels >= 0
    images = np.concatenate([labelled.images, unlabelled[given]])
    return Labelled(images, np.concatenate([labelled.labels, pseudo_labels[given]]))


# -- updates -----------------------------------------------------------------------------------------------------------


def fit_round(network, settings, pool, others, number, bar):
    """The updates of one round. All its draws follow from the seed and the round, so a resumed training repeats them.

    Args:
        pool: Labelled, by true and pseudo-labels. others: (n, 48, 48, 1) pictures for FixMatch, or none.
        number: of the round, from 0.

    Returns:
        Accuracy on the pool's pictures as they were learned, by the labels that they have.
    """
    rng = np.random.default_rng([settings["seed"], number])
    reseed_dropout(network.model, number)
    steps, size = settings["steps"] if number else settings["first_steps"], settings["batch"]
    batches = draw_batches(rng, len(pool.labels), size, steps)
    other_batches = draw_batches(rng, len(others), settings["ratio"] * size, steps)
    hits = 0
    for rows, other_rows in zip(batches, other_batches, strict=True):
        seed = np.array([settings["seed"], 3 * updates_of(network)])  # the next two are FixMatch's
        batch = network.weak(pool.images[rows], seed), pool.labels[rows], np.full(size, 1 / size)
        if len(others):
            extra = fixmatch(network, others[other_rows], seed + [0, 1], settings["threshold"])
            batch = [np.concatenate(both) for both in zip(batch, extra, strict=True)]
        probs = network.update(*batch).numpy()
        hits += (probs[:size].argmax(axis=1) == pool.labels[rows]).sum()
        bar.update()
    return float(hits / (steps * size))


def fixmatch(network, images, seed, threshold):
    """Pictures without labels as FixMatch learns them: strongly changed, with the class predicted from a weak change.

    Args:
        images: (n, 48, 48, 1) uint8. seed: (2,) of this update.
        threshold: least probability of the predicted class; other pictures get the weight 0.

    Returns:
        images (n, 48, 48, 1) float32, labels (n,), weights (n,): 1/n or 0.

    References:
        Sohn et al. (2020), FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence, NeurIPS.
    """
    probs = network.guess(network.weak(images, seed)).numpy()
    weights = (probs.max(axis=1) >= threshold) / len(images)
    return network.strong(images, seed + [0, 1]), probs.argmax(axis=1), weights


def draw_batches(rng, count, size, steps):
    """Row numbers (steps, size) below `count`: every one once before any comes again; (steps, 0) where count is 0."""
    if count == 0:
        return np.empty((steps, 0), int)
    passes = -(-steps * size // count)
    return np.concatenate([rng.permutation(count) for _ in range(passes)])[: steps * size].reshape(steps, size)


# -- the network -------------------------------------------------------------------------------------------------------


class Network(NamedTuple):
    """A network and what is done with it, as traced functions."""

    model: keras.Model
    update: Callable  # float32 images (n, 48, 48, 1), labels (n,), weights (n,) -> probs (n, 7) before the update
    guess: Callable  # float32 images -> probs
    weak: Callable  # uint8 images (n, 48, 48, 1), seed (2,) -> changed images, float32
    strong: Callable


TRACED = ("model", "model_settings", "normalisation", "optimizer", "learning_rate", "augmentation", "strong")


def build(settings):
    """The network with its first weights, drawn from the seed."""
    kept = {name: settings[name] for name in TRACED} | {"policy": keras.mixed_precision.global_policy().name}
    network = _traced(json.dumps(kept, sort_keys=True))
    keras.utils.set_random_seed(settings["seed"])
    fresh = compiled(settings)
    for variable, first in zip(_state(network.model), _state(fresh), strict=True):
        variable.assign(first)
    return network


@functools.lru_cache(maxsize=1)
def _traced(kept):
    """Made once a process and used by all arms, because tracing takes as long as a short arm's updates."""
    settings = json.loads(kept)
    model = compiled(settings)
    pictures, numbers = tf.TensorSpec([None, *IMAGE_SHAPE]), tf.TensorSpec([None], tf.int64)
    raw, seed = tf.TensorSpec([None, *IMAGE_SHAPE], tf.uint8), tf.TensorSpec([2], tf.int64)

    @tf.function(input_signature=[pictures, numbers, tf.TensorSpec([None])])
    def update(images, labels, weights):  # the loss is a sum: the weights hold what it is divided by
        with tf.GradientTape() as tape:
            probs = model(images, training=True)
            loss = tf.reduce_sum(weights * keras.losses.sparse_categorical_crossentropy(labels, probs))
        variables = model.trainable_variables
        model.optimizer.apply(tape.gradient(loss, variables), variables)
        return probs

    @tf.function(input_signature=[pictures])
    def guess(images):
        return model(images, training=False)

    @tf.function(input_signature=[raw, seed])
    def weak(images, seed):
        return augment.augment(tf.cast(images, tf.float32), seed, **settings["augmentation"])

    @tf.function(input_signature=[raw, seed])
    def strong(images, seed):
        return augment.augment(tf.cast(images, tf.float32), seed, **settings["strong"])

    return Network(model, update, guess, weak, strong)


def compiled(settings):
    """The model with its optimiser, ready to train."""
    model = models.build(settings["model"], **settings["model_settings"], normalisation=settings["normalisation"])
    model.compile(training.OPTIMIZERS[settings["optimizer"]](settings["learning_rate"]))
    model.optimizer.build(model.trainable_variables)
    return model


def _state(model):
    return [*model.variables, *model.optimizer.variables]


def predict(network, images):
    """Probabilities (n, 7) float32 of pictures (n, 48, 48, 1)."""
    parts = [network.guess(images[start : start + 256].astype("float32")) for start in range(0, len(images), 256)]
    return np.concatenate(parts)


def updates_of(network):
    """How many updates the network has had."""
    return int(network.model.optimizer.iterations)


def reseed_dropout(model, number):
    """Dropout draws from a place of its own in every round; see `training.ReseedDropout`."""
    reseed = training.ReseedDropout()
    reseed.set_model(model)
    reseed.on_epoch_begin(number)


# -- what is kept ------------------------------------------------------------------------------------------------------


def resume(network, folder, rounds, pictures):
    """Loads what an interrupted training has left, if anything.

    Returns:
        (history, pseudo_labels): a dict for each whole round; (rounds, pictures) int8, −1 for none.
    """
    path = folder / "state.npz"
    if not path.exists():
        return [], np.full((rounds, pictures), -1, np.int8)
    with np.load(path) as stored:
        for number, variable in enumerate(_state(network.model)):
            variable.assign(stored[f"arr_{number}"])
        return json.loads(str(stored["history"])), stored["pseudo_labels"]


def keep_state(network, folder, history, pseudo_labels):
    """Keeps all that the next round depends on in one file, so that a kill can never leave two that disagree."""
    variables = [variable.numpy() for variable in _state(network.model)]
    np.savez(folder / "half-state.npz", *variables, history=json.dumps(history), pseudo_labels=pseudo_labels)
    os.replace(folder / "half-state.npz", folder / "state.npz")


def finish(network, settings, dataset, held_out, history, folder, policy):
    """Predicts, scores and writes everything a reader of the arm needs; run.json last, since it says "finished"."""
    import pandas as pd

    pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
    model, updates, pictures = network.model, updates_of(network), history[-1]["pictures"]
    if dataset.test_split == "val":  # a source without labelled test pictures
        logits, scores = training.score(model, dataset, ["val"])
    else:
        logits, scores = training.score_once(model, dataset)
    on_held_out = metrics.accuracy(held_out.labels, predict(network, held_out.images))
    np.savez(folder / "predictions.npz", **logits)
    keras.Model(model.inputs, model.outputs, name=model.name).save(folder / "model.keras")  # without Adam's state
    record = {
        "settings": settings,
        "data": {"name": dataset.name, "fingerprint": dataset.fingerprint, "training_pictures": pictures},
        "updates": updates,
        "passes": round(updates * settings["batch"] / pictures, 1),
        "seconds": round(sum(row["seconds"] for row in history), 1),
        "parameters": model.count_params(),
        "precision": policy,
        "processor": training.processor(),
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__},
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "scores": scores | {"val": on_held_out._asdict()},
    }
    (folder / "run.json").write_text(json.dumps(record, indent=1))
    (folder / "state.npz").unlink()
