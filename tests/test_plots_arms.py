"""Figures of the arms of an experiment, and of few labels."""

import figures
import numpy as np
import pandas as pd
import pytest

from fer_utils.labels import CLASSES
from fer_utils.plots.arms import (
    plot_arm_accuracies,
    plot_label_curve,
    plot_pseudo_classes,
    plot_pseudo_rounds,
    plot_recalls,
    plot_scores,
)

ACCURACIES = {"plain": [0.5, 0.52], "resampled": [0.49, 0.56], "weighted": [0.4, 0.45]}
ARMS = list(ACCURACIES)
COMPARED = pd.DataFrame(
    {"difference": [np.nan, 1.5, -8.5], "low": [np.nan, -1, -11], "high": [np.nan, 4, -6]}, index=ARMS
)
RECALLS = pd.DataFrame(
    [
        {"class": c, "arm": arm, "n": 20 + c, "recall": r, "recall_low": r - 0.05, "recall_high": r + 0.1}
        for c in range(7)
        for arm, r in zip(ARMS, (0.1 * c, 0.1 * c + 0.2, 0.3), strict=True)
    ]
)
SCORES = {"accuracy": dict.fromkeys(ARMS, (0.51, 0.45, 0.6, 200)), "macro-F1": dict.fromkeys(ARMS, (0.5, 0.4, 0.6))}

HISTORY = pd.DataFrame({"round": [1, 2, 3], "accuracy": [0.4, 0.6, 0.7], "val_accuracy": [0.4, 0.35, 0.3]})
JUDGED = pd.DataFrame({"round": [2, 3], "n": [3, 4], "precision": [2 / 3, 1.0]})
TWO_ARMS = {"keep all": [HISTORY] * 2, "none": [HISTORY] * 2}
TWO_JUDGED = {"keep all": JUDGED, "none": JUDGED[:0]}
TRUE_SHARES = np.full(7, 1 / 7)
CURVE = {100: (0.3, 0.25, 0.35), 400: (0.4, 0.35, 0.45), 2400: (0.5, 0.4, 0.6)}
AT_400 = {"keep all": (0.3, 0.2, 0.4), "FixMatch": (0.4, 0.35, 0.45)}

# name: (figure, number of axes, words that must be on it)
FIGURES = {
    "arm accuracies": (
        lambda: plot_arm_accuracies(ACCURACIES, COMPARED),
        2,
        [*ARMS, "51.0%", "points against plain"],
    ),
    "scores": (lambda: plot_scores(SCORES), 2, [*ARMS, *SCORES, "0.500"]),
    "recalls": (lambda: plot_recalls(RECALLS), 1, [*ARMS, f"{CLASSES[1]}  (n = 21)"]),
    "pseudo rounds": (
        lambda: plot_pseudo_rounds(TWO_ARMS, TWO_JUDGED, [HISTORY] * 2),
        4,
        ["keep all", "round", "validation, supervised", "right", "wrong", "67%", "100%"],
    ),
    "pseudo classes": (
        lambda: plot_pseudo_classes({"keep all": [TRUE_SHARES, np.eye(7)[3]]}, TRUE_SHARES),
        1,
        [*CLASSES, "keep all", "true shares"],
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


def test_every_run_is_a_dot_and_the_first_arm_has_no_difference():
    left, right = plot_arm_accuracies(ACCURACIES, COMPARED).axes
    assert sorted(dots(left)) == sorted(value for values in ACCURACIES.values() for value in values)
    assert dots(right) == COMPARED["difference"].dropna().tolist()
    assert left.get_ylim()[0] > left.get_ylim()[1]  # from top to bottom


def test_scores_are_dots_on_their_intervals():
    interval, dot, *_ = plot_scores(SCORES).axes[0].get_lines()
    assert (list(interval.get_xdata()), list(dot.get_xdata())) == ([0.45, 0.6], [0.51])


def test_recalls_are_at_their_place():
    (axis,) = plot_recalls(RECALLS).axes
    assert sorted(dots(axis)) == pytest.approx(sorted(RECALLS["recall"]))


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
