"""A CNN and a DNN of its size: which settings they share, and what is said of one that has learned nothing."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fer_utils import data, runs
from fer_utils.studies import matched


class Trained:
    """Stands for runs.Run: nothing is trained, and `fit` returns the settings."""

    kind = "Conv2D"

    def __init__(self, **given):
        settings = runs.Run(**given).settings()
        self.info = {"settings": settings, "parameters": 629_077, "layers": [{"kind": "Flatten"}, {"kind": self.kind}]}

    def fit(self, dataset):
        return self


@pytest.fixture
def untrained(monkeypatch, on_few_faces):
    monkeypatch.setattr(matched, "runs", SimpleNamespace(Run=Trained, usual=runs.usual))
    return Trained


# preset, profile, epochs that are given, epochs of the CNN and of the DNN
EPOCHS = [
    ("A", "smoke", None, 1, 1),
    ("A", "quick", None, 4, matched.QUICK_EPOCHS),
    ("A", "quick", 3, 3, 3),
    ("A", "full", None, 15, 15),
    ("mine", "quick", None, 8, matched.QUICK_EPOCHS),
]


@pytest.mark.parametrize(("preset", "profile", "given", "of_cnn", "of_dnn"), EPOCHS)
def test_the_dnn_has_the_settings_of_the_cnn_and_in_quick_more_epochs(
    preset, profile, given, of_cnn, of_dnn, untrained
):
    cnn, dnn = matched.train_pair(data.load(), preset, profile, seed=5, epochs=given)
    ours, theirs = dnn.info["settings"], cnn.info["settings"]
    assert (theirs["epochs"], ours["epochs"]) == (of_cnn, of_dnn)
    assert (ours["model"], ours["model_settings"]) == ("dnn_matched", {"parameters": 629_077})
    differ = {name for name in theirs if ours[name] != theirs[name]} - {"epochs", "model", "model_settings", "depends"}
    assert differ <= ({"normalisation"} if preset == "mine" else set())  # one's own network normalises by itself


def test_a_preset_with_more_epochs_in_quick_keeps_them(untrained, monkeypatch):
    monkeypatch.setattr(matched, "QUICK_EPOCHS", 2)
    _, dnn = matched.train_pair(data.load(), "A", "quick")
    assert dnn.info["settings"]["epochs"] == 4


def test_shipped_weights_are_compared_with_a_dnn_of_their_preset(untrained):
    cnn, dnn = matched.train_pair(data.load(), "pretrained:tiny", "quick")
    assert (cnn.info["settings"]["preset"], dnn.info["settings"]["preset"]) == ("pretrained:tiny", "tiny")


def test_a_network_without_convolutions_is_refused(untrained, monkeypatch):
    monkeypatch.setattr(untrained, "kind", "Dense")
    with pytest.raises(ValueError, match="A-dnn has no convolutions: choose the preset of a CNN"):
        matched.train_pair(data.load(), "A-dnn", "smoke")


def test_failures_are_the_networks_that_are_no_better_than_the_most_frequent_class():
    truth = np.array([3] * 50 + [0] * 50)
    scored = {"constant": (truth, np.eye(7)[np.full(100, 3)]), "good": (truth, np.eye(7)[truth])}
    found = matched.failures(scored)
    assert list(found) == ["constant"]
    assert "**constant:**" in found["constant"]
    assert "(accuracy 50.0\u00a0% [40.4, 59.6], share of that class 50.0\u00a0%)" in found["constant"]


def history(losses, validation):
    return pd.DataFrame({"epoch": range(1, len(losses) + 1), "loss": losses, "val_loss": validation})


FALLING = [1.8, 1.5, 1.3, 1.1, 0.9, 0.8, 0.7]
HISTORIES = {
    "turns after epoch 3": (FALLING, [1.8, 1.5, 1.4, 1.44, 1.5, 1.58, 1.65], 3),
    "from the first epoch on": (FALLING, [1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9], 1),
    "still falling": (FALLING, [1.8, 1.6, 1.5, 1.4, 1.35, 1.3, 1.28], None),
    "two worse epochs could be chance": (FALLING, [1.8, 1.6, 1.5, 1.4, 1.3, 1.35, 1.45], None),
    "above the minimum, but no longer rising": (FALLING, [1.8, 1.4, 1.6, 1.5, 1.6, 1.5, 1.55], None),
    "both losses rise": ([1.8, 1.5, 1.3, 1.4, 1.6, 1.8, 1.9], [1.8, 1.5, 1.4, 1.44, 1.5, 1.58, 1.65], None),
    "one epoch": ([1.8], [1.8], None),
    "NaN": ([1.8, *[np.nan] * 6], [1.8, *[np.nan] * 6], None),
}


@pytest.mark.parametrize(("losses", "validation", "start"), HISTORIES.values(), ids=HISTORIES)
def test_where_overfitting_starts(losses, validation, start):
    assert matched.overfitting_starts(history(losses, validation)) == start


def test_overfitting_is_seldom_found_on_a_noisy_plateau_and_always_in_a_rise():
    rng, x = np.random.default_rng(0), np.arange(20)
    flat = 1.2 + 0.6 * np.exp(-x / 2)
    found = [
        [matched.overfitting_starts(history(2 - 0.05 * x, curve + rng.normal(0, 0.02, 20))) for _ in range(50)]
        for curve in (flat, flat + 0.02 * (x - 8).clip(0))
    ]
    assert sum(start is not None for start in found[0]) <= 5
    assert all(start is not None and abs(start - 8) < 4 for start in found[1])


@pytest.mark.parametrize("pixels", [0, 1, 6])
def test_shifted_moves_each_image_in_its_own_direction_and_repeats_the_edge(pixels):
    row, column = np.mgrid[:48, :48]
    images = np.broadcast_to((row * 5).astype(np.uint8)[None, ..., None], (40, 48, 48, 1))
    images = np.where(np.arange(40)[:, None, None, None] % 2, images, images.transpose(0, 2, 1, 3))
    moved = matched.shifted(images, pixels)
    assert moved.shape == images.shape and moved.dtype == images.dtype
    clip = lambda x: np.clip(x, 0, 47)  # noqa: E731
    shifts = [
        (row, clip(column - pixels)),
        (row, clip(column + pixels)),
        (clip(row - pixels), column),
        (clip(row + pixels), column),
    ]
    expected = np.array([[image[where] for where in shifts] for image in images])  # (40, 4, 48, 48, 1)
    fits = (expected == moved[:, None]).all(axis=(2, 3, 4))
    assert fits.any(axis=1).all()
    if pixels:
        assert fits.any(axis=0).all() and not fits.all(axis=1).any()  # all four directions occur
        assert (matched.shifted(images, pixels) == moved).all()
    else:
        assert (moved == images).all()
