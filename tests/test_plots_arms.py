"""Figures of the arms of an experiment, and of few labels."""

import figures
import numpy as np
import pandas as pd
import pytest

from fer_utils.labels import CLASSES
from fer_utils.plots.arms import (
    plot_augmentation,
    plot_label_curve,
    plot_pseudo_rounds,
    plot_recalls,
)

ARMS = ["plain", "resampled", "weighted"]
RECALLS = pd.DataFrame(
    [
        {"class": c, "arm": arm, "n": 20 + c, "recall": r, "recall_low": r - 0.05, "recall_high": r + 0.1}
        for c in range(7)
        for arm, r in zip(ARMS, (0.1 * c, 0.1 * c + 0.2, 0.3), strict=True)
    ]
)

HISTORY = pd.DataFrame({"round": [1, 2, 3], "accuracy": [0.4, 0.6, 0.7], "val_accuracy": [0.4, 0.35, 0.3]})
JUDGED = pd.DataFrame({"round": [2, 3], "n": [3, 4], "precision": [2 / 3, 1.0]})
EPOCHS = {arm: [HISTORY.rename(columns={"round": "epoch"})] for arm in ("none", "scale")}
TWO_ARMS = {"keep all": [HISTORY] * 2, "none": [HISTORY] * 2}
TWO_JUDGED = {"keep all": JUDGED, "none": JUDGED[:0]}
CURVE = {100: (0.3, 0.25, 0.35), 400: (0.4, 0.35, 0.45), 2400: (0.5, 0.4, 0.6)}
AT_400 = {"keep all": (0.3, 0.2, 0.4), "FixMatch": (0.4, 0.35, 0.45)}

# name: (figure, number of axes, words that must be on it)
FIGURES = {
    "augmentation": (lambda: plot_augmentation(EPOCHS, EPOCHS), 2, [*EPOCHS, "training", "with augmentation", "epoch"]),
    "recalls": (lambda: plot_recalls(RECALLS), 1, [*ARMS, f"{CLASSES[1]}  (n = 21)"]),
    "pseudo rounds": (
        lambda: plot_pseudo_rounds(TWO_ARMS, TWO_JUDGED, [HISTORY] * 2),
        4,
        ["keep all", "round", "validation, supervised", "right", "wrong", "67\u00a0%", "100\u00a0%"],
    ),
    "label curve": (
        lambda: plot_label_curve(CURVE, AT_400, 400),
        1,
        ["100", "400", "2,400", "supervised", *AT_400],
    ),
}


@pytest.mark.parametrize(("draw", "axes", "expected"), FIGURES.values(), ids=FIGURES)
def test_figure(draw, axes, expected):
    figures.check(draw, axes, expected)


def dots(axis):
    """Return the x of everything that is drawn as dots."""
    lines = [line for line in axis.get_lines() if line.get_marker() == "o"]
    return [float(x) for line in lines for x in np.atleast_1d(line.get_xdata())]


def test_recalls_are_at_their_place():
    (axis,) = plot_recalls(RECALLS).axes
    assert sorted(dots(axis)) == pytest.approx(sorted(RECALLS["recall"]))


def test_augmented_trainings_are_dashed():
    plain = plot_augmentation(EPOCHS, {arm: [history + 0.1 for history in seeds] for arm, seeds in EPOCHS.items()})
    lines = [(line.get_linestyle(), line.get_ydata()[-1]) for line in plain.axes[0].get_lines()]
    assert lines == [("-", 0.7), ("-", 0.3), ("--", pytest.approx(0.8)), ("--", pytest.approx(0.4))]


def test_right_and_wrong_pseudo_labels_are_stacked():
    figure = plot_pseudo_rounds({"a": [HISTORY]}, {"a": JUDGED}, [HISTORY])
    heights = [bar.get_height() for bar in figure.axes[1].patches]
    assert heights == pytest.approx([2, 4, 1, 0])  # right in two rounds, wrong in two


def test_arms_stand_side_by_side_at_their_number_of_labels():
    (axis,) = plot_label_curve(CURVE, AT_400, 400).axes
    _, *arms = [line for line in axis.get_lines() if line.get_marker() != "None"]
    places = [line.get_xdata()[0] for line in arms]
    assert 400 < places[0] < places[1] < 500
    assert [line.get_ydata()[0] for line in arms] == [0.3, 0.4]
