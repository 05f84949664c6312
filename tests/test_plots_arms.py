"""Figures of experiments and ensembles: what is drawn, that it is all on the page, and in letters that exist."""

import figures
import numpy as np
import pandas as pd
import pytest

from fer_utils import metrics, plots
from fer_utils.labels import BILINGUAL

RNG = np.random.default_rng(0)
LABELS = RNG.choice(7, 200)
ARMS = {
    name: [RNG.dirichlet(np.ones(7), 200) for _ in range(2)] for name in ("plain 原樣", "resampled 重抽樣", "weighted")
}
COMPARED = metrics.compare_arms(LABELS, ARMS)
ACCURACIES = {name: [metrics.accuracy(LABELS, p).value for p in arm] for name, arm in ARMS.items()}
RECALLS = metrics.compare_recalls(LABELS, ARMS)
BAGS = metrics.bags(LABELS, [p for arm in ARMS.values() for p in arm][:4])
HISTORY = pd.DataFrame({"pass": [1, 2, 3], "accuracy": [0.3, 0.6, 0.9], "val_accuracy": [0.3, 0.5, 0.4]})
ONE_PASS = HISTORY[:1]
FACES = RNG.integers(0, 255, (7, 48, 48, 1), dtype=np.uint8)
SHARES = {"plain": np.arange(1, 8) / 28, "resampled 重抽樣": np.full(7, 1 / 7)}
SCORES = {"accuracy": {name: metrics.mean_accuracy(LABELS, arm) for name, arm in ARMS.items()}}
SCORES["macro-F1"] = dict.fromkeys(ARMS, (0.5, 0.4, 0.6))

# name: (figure, number of axes, words that must be on it)
FIGURES = {
    "arm_histories": (
        lambda: plots.arm_histories({f"arm {i}": [HISTORY] * 2 for i in range(5)}),
        5,
        ["arm 0", "arm 4"],
    ),
    "arm_histories, one pass": (
        lambda: plots.arm_histories({"none": [ONE_PASS]}),
        1,
        ["training", "validation", "pass"],
    ),
    "arm_dots": (lambda: plots.arm_dots(ACCURACIES, COMPARED), 2, [*ARMS, "points against plain 原樣"]),
    "picture_rows": (lambda: plots.picture_rows({"as it is 原圖": FACES, "all": FACES}), 14, ["as it is 原圖", "all"]),
    "class_shares": (lambda: plots.class_shares(SHARES), 1, [*BILINGUAL, *SHARES, " 25.0%", " 14.3%"]),
    "scores": (lambda: plots.scores(SCORES), 2, [*ARMS, *SCORES, "0.500"]),
    "recalls": (lambda: plots.recalls(RECALLS), 1, [*ARMS, f"{BILINGUAL[1]}  (n = {(LABELS == 1).sum()})"]),
    "bags": (lambda: plots.bags(BAGS, {"one long training": 0.2}), 2, ["one long training", "mean of all bags", "4"]),
}


@pytest.mark.parametrize(("draw", "axes", "expected"), FIGURES.values(), ids=FIGURES)
def test_figure(draw, axes, expected):
    figures.check(draw(), axes, expected)


def dots(axis):
    """x of everything that is drawn as dots."""
    lines = [line for line in axis.get_lines() if line.get_marker() == "o"]
    return [float(x) for line in lines for x in np.atleast_1d(line.get_xdata())]


def test_every_arm_has_a_panel_with_a_pair_of_lines_a_seed():
    panels = plots.arm_histories({"none": [HISTORY, HISTORY], "scale": [HISTORY]}).axes
    assert [len(panel.get_lines()) for panel in panels] == [4, 2]
    training, validation = panels[1].get_lines()
    assert training.get_ydata().tolist() == [0.3, 0.6, 0.9] and validation.get_ydata().tolist() == [0.3, 0.5, 0.4]
    assert panels[0].get_ylim() == panels[1].get_ylim()


def test_every_training_is_a_dot_and_the_first_arm_has_no_difference():
    left, right = plots.arm_dots(ACCURACIES, COMPARED).axes
    assert sorted(dots(left)) == sorted(value for values in ACCURACIES.values() for value in values)
    assert dots(right) == COMPARED["difference"].dropna().tolist()
    assert left.get_ylim()[0] > left.get_ylim()[1]  # from top to bottom


def test_pictures_keep_their_grey_levels():
    """A dark picture is drawn dark: the greys are not stretched."""
    figure = plots.picture_rows({"dark": FACES // 4})
    assert all(axis.images[0].get_clim() == (0, 255) for axis in figure.axes)


def test_bags_of_one_gain_nothing_and_are_not_on_the_left():
    left, right = plots.bags(BAGS, {"a": 0.1, "b": 0.3}).axes
    assert len(dots(left)) == (BAGS["size"] > 1).sum()
    assert [line.get_ydata()[0] for line in right.get_lines()[-2:]] == [0.1, 0.3]


def test_recalls_are_at_their_place():
    (axis,) = plots.recalls(RECALLS).axes
    assert sorted(dots(axis)) == pytest.approx(sorted(RECALLS["recall"]))
