"""A CNN and a fully connected network (DNN) of its size, trained so that they can be compared."""

import numpy as np

from fer_utils import metrics, recorded, runs
from fer_utils.words import words

QUICK_EPOCHS = 15  # on few images a DNN starts to learn later than a CNN; its epochs are cheap
DIRECTIONS = np.array([(0, 1), (0, -1), (1, 0), (-1, 0)])  # (down, right): right, left, down, up


def train_pair(dataset, preset, profile, seed=0, epochs=None):
    """Train a CNN, and a DNN with as many parameters by the same settings.

    In the profile quick the DNN gets QUICK_EPOCHS where the CNN has fewer: after so few it would have learned nothing.

    Args:
        dataset: data.Dataset. preset, profile, seed: those of the CNN.
        epochs: of both networks; None: as preset and profile say, and QUICK_EPOCHS.

    Returns:
        (cnn, dnn): finished runs, found in the store if they were trained before.

    Raises:
        ValueError: the preset's network has no convolutions.
    """
    common = {"profile": profile, "seed": seed, "epochs": epochs}
    cnn = runs.Run(preset=preset, **common).fit(dataset)
    if not any("Conv" in layer["kind"] for layer in cnn.info["layers"]):
        raise ValueError(f"preset {preset} has no convolutions: choose the preset of a CNN")
    common["preset"] = recorded.recipe(preset)  # shipped weights are not trained again: the preset that made them is
    if profile == "quick" and epochs is None:
        common["epochs"] = max(QUICK_EPOCHS, runs.usual(common["preset"], profile)["epochs"])
    size = {"parameters": cnn.info["parameters"]}
    return cnn, runs.Run(**common, model="dnn_matched", model_settings=size).fit(dataset)


def failures(scored):
    """Say which networks are no better than always predicting the most frequent class (`metrics.collapsed`).

    Args:
        scored: dict of name -> (labels, probs), as for `metrics.summary`.

    Returns:
        Dict from the names of these networks to a sentence each.
    """
    return {name: _failure(name, *pair) for name, pair in scored.items() if metrics.collapsed(*pair)}


def _failure(name, labels, probs):
    return words(
        "**{name}:** no better than always predicting the most frequent class (accuracy {accuracy}, share of that "
        "class {share:.1%}), so this network has learned nothing that could be explained.",
        name=name,
        accuracy=metrics.accuracy(labels, probs),
        share=metrics.majority_share(labels),
    )


def overfitting_starts(history, level=0.05):
    """Find the epoch after which a training overfits: the one with the lowest validation loss, if the losses diverge.

    They diverge if, over the later epochs, the line fitted to the training loss falls and the line fitted to the
    validation loss rises significantly (one-sided t-test). The epoch with the lowest validation loss is left out of
    the fit: it was selected for being low, so whatever follows looks like a rise.

    Args:
        history: DataFrame with the columns epoch, loss, val_loss.
        level: significance level, 0…1.

    Returns:
        The epoch as an int; None if overfitting has not started.
    """
    from scipy.stats import linregress

    lowest = int(history["val_loss"].to_numpy().argmin())
    later = history.iloc[lowest + 1 :]
    if len(later) < 3:  # a line through two points always fits
        return None
    falls = linregress(later["epoch"], later["loss"]).slope < 0
    rises = linregress(later["epoch"], later["val_loss"], alternative="greater").pvalue < level
    return int(history["epoch"].iloc[lowest]) if falls and rises else None


def shifted(images, pixels, seed=0):
    """Shift each image in a random direction (right, left, down or up) and repeat its edge.

    Args:
        images: (n, height, width, 1) of any dtype.
        pixels: distance, int from 0.
        seed: draws the direction of each image; the same ones for every distance.

    Returns:
        Array of the same shape and dtype.
    """
    n, height, width, _ = images.shape
    down, right = pixels * DIRECTIONS[np.random.default_rng(seed).integers(len(DIRECTIONS), size=n)].T
    rows = np.clip(np.arange(height) - down[:, None], 0, height - 1)
    columns = np.clip(np.arange(width) - right[:, None], 0, width - 1)
    return images[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
