"""Figures of training histories and of trained networks."""

import figures
import numpy as np
import pandas as pd
import pytest

from fer_utils import metrics
from fer_utils.plots.networks import plot_bags, plot_reliability, plot_shifts, plot_systems
from fer_utils.plots.training import plot_arm_histories, plot_curves, plot_learning

RNG = np.random.default_rng(0)
LABELS = RNG.choice(7, 200)
PROBS = RNG.dirichlet(np.ones(7), 200)


def history(epochs, turn=None, seconds=3.0):
    x = np.arange(1, epochs + 1)
    loss = 1.9 * 0.9**x
    validation = loss + 0.1 if turn is None else 1.5 + 0.05 * np.abs(x - turn)
    columns = {"epoch": x, "loss": loss, "val_loss": validation, "seconds": seconds}
    return pd.DataFrame(columns | {"accuracy": 1 - loss / 2, "val_accuracy": 1 - validation / 2})


HISTORIES = {"CNN": history(20, turn=8), "DNN": history(20)}
STARTS = {"CNN": 8, "DNN": None}
ONE_EPOCH = {"CNN": history(1), "DNN": history(1)}
NEVER = {"CNN": None, "DNN": None}
SHORT = history(3)
FIVE_ARMS = {f"arm {i}": [SHORT] * 2 for i in range(5)}
ONE_ARM = {"none": [history(1)]}
BINS = metrics.reliability(LABELS, PROBS)
PANELS = {name: {"as trained": BINS} for name in HISTORIES}
WAVES = [metrics.share(hits, 200) for hits in (120, 110, 90)]
HUMAN = (0.60, 0.70)
OURS = {
    "A CNN": (3e14, metrics.share(2000, 3589)),
    "A DNN": (3e11, metrics.share(1000, 3589)),
    "fast": (1e14, metrics.share(2400, 3589)),
}
REPORTED = {"A CNN": (None, 0.655), "B CNN": (None, 0.70), "D DNN": (2e12, 0.2655), "E CNN": (2e14, 0.622)}
BAGS = pd.DataFrame(
    {
        "size": [1, 1, 1, 2, 2, 2, 3],
        "accuracy": [0.3, 0.32, 0.28, 0.33, 0.31, 0.34, 0.36],
        "disagreement": [0, 0, 0, 0.2, 0.3, 0.25, 0.25],
        "gain": [0, 0, 0, 2.0, 2.0, 4.0, 6.0],
    }
)

# name: (figure, number of axes, words that must be on it)
FIGURES = {
    "curves": (lambda: plot_curves(HISTORIES), 4, ["CNN", "DNN", "training", "validation", "epoch"]),
    "learning": (lambda: plot_learning(HISTORIES, STARTS), 3, ["epoch", "overfitting starts", *HISTORIES]),
    "learning, one epoch": (lambda: plot_learning(ONE_EPOCH, NEVER), 3, ["CNN", "DNN", "training"]),
    "arm histories": (lambda: plot_arm_histories(FIVE_ARMS), 5, ["arm 0", "arm 4"]),
    "arm histories, one epoch": (lambda: plot_arm_histories(ONE_ARM), 1, ["training", "validation", "epoch"]),
    "reliability": (lambda: plot_reliability(PANELS), 2, ["as trained", "confidence"]),
    "shifts": (lambda: plot_shifts([0, 2, 6], {"CNN": WAVES}, 0.25), 1, ["CNN", "always the most frequent class"]),
    "shifts of many": (lambda: plot_shifts([0, 2, 6], {f"net {n}": WAVES for n in range(6)}), 1, ["net 0", "net 5"]),
    "bags": (lambda: plot_bags(BAGS, {"one long training": 0.2}), 2, ["one long training", "mean by size", "3"]),
    "systems": (
        lambda: plot_systems(OURS, REPORTED, HUMAN),
        1,
        ["the kit's own", "this kit", "the report", "human accuracy: 65 ± 5 %", "B", "D", "fast"],
    ),
    "systems, nothing has run": (
        lambda: plot_systems({}, REPORTED, HUMAN),
        1,
        ["epochs\nunknown", "A", "B", "D", "E"],
    ),
}


@pytest.mark.parametrize(("draw", "axes", "expected"), FIGURES.values(), ids=FIGURES)
def test_figure(draw, axes, expected):
    figures.check(draw, axes, expected)


# -- training ----------------------------------------------------------------------------------------------------------


def test_curves_draw_both_histories_of_every_run():
    loss, accuracy, *_ = plot_curves(HISTORIES).axes
    for axis, name in ((loss, "loss"), (accuracy, "accuracy")):
        drawn = [line.get_ydata().tolist() for line in axis.get_lines()]
        assert drawn == [HISTORIES["CNN"][column].tolist() for column in (name, f"val_{name}")]


def test_learning_has_epochs_and_for_the_cost_summed_seconds():
    loss, accuracy, cost = plot_learning(HISTORIES, STARTS).axes
    assert accuracy.get_lines()[1].get_xdata().tolist() == list(range(1, 21))
    assert cost.get_lines()[1].get_xdata().tolist() == [3.0 * number for number in range(1, 21)]
    assert cost.get_lines()[0].get_ydata().tolist() == HISTORIES["CNN"]["val_accuracy"].tolist()
    assert cost.get_xscale() == "log"
    rings = [line for line in loss.get_lines() if line.get_gid() == "start"]
    assert [line.get_xdata().tolist() for line in rings] == [[8], []]
    assert rings[0].get_ydata().tolist() == [1.5]


@pytest.mark.parametrize(("slower", "expected"), [(1, [5, 10, 20, 50]), (100, [10, 100, 1000])])
def test_seconds_have_as_many_ticks_as_have_room(slower, expected):
    slow = HISTORIES["CNN"].assign(seconds=3.0 * slower)
    cost = plot_learning({"CNN": slow, "DNN": HISTORIES["DNN"]}, STARTS).axes[2]
    low, high = cost.get_xlim()
    assert [tick for tick in cost.get_xticks() if low <= tick <= high] == expected


def test_every_arm_has_a_panel_with_a_pair_of_lines_per_seed():
    panels = plot_arm_histories({"none": [SHORT, SHORT], "scale": [SHORT]}).axes
    assert [len(panel.get_lines()) for panel in panels] == [4, 2]
    drawn = [line.get_ydata().tolist() for line in panels[1].get_lines()]
    assert drawn == [SHORT["accuracy"].tolist(), SHORT["val_accuracy"].tolist()]
    assert panels[0].get_ylim() == panels[1].get_ylim()


# -- networks ----------------------------------------------------------------------------------------------------------


def test_reliability_has_a_dot_per_bin_and_intervals_on_the_first_series():
    (axis,) = plot_reliability({"CNN": {"as trained": BINS, "T = 2": BINS}}).axes
    intervals, filled, hollow = axis.collections
    assert len(intervals.get_segments()) == len(filled.get_offsets()) == len(hollow.get_offsets()) == len(BINS)
    assert len(filled.get_facecolor()) and not len(hollow.get_facecolor())
    assert np.argmax(filled.get_sizes()) == BINS["n"].argmax()


def test_the_band_of_shifts_is_the_interval():
    (axis,) = plot_shifts([0, 2, 6], {"CNN": WAVES}).axes
    (band,) = axis.collections
    corners = {tuple(np.round(corner, 6)) for corner in band.get_paths()[0].vertices}
    for x, estimate in zip((0, 2, 6), WAVES, strict=True):
        assert {(x, round(estimate.low, 6)), (x, round(estimate.high, 6))} <= corners
    assert [line.get_ydata().tolist() for line in axis.get_lines()] == [[e.value for e in WAVES]]


def test_single_members_gain_nothing_and_are_not_on_the_left():
    left, right = plot_bags(BAGS, {"a": 0.1, "b": 0.3}).axes
    dots = [line.get_ydata().tolist() for line in left.get_lines() if line.get_marker() == "o"]
    assert dots == [[2.0, 2.0, 4.0], [6.0]]
    assert [line.get_ydata()[0] for line in right.get_lines()[-2:]] == [0.1, 0.3]


def marks(axis):
    """Return (hollow or filled, x, y) of every dot that stands alone."""
    lines = [line for line in axis.get_lines() if line.get_marker() == "o" and len(line.get_xdata()) == 1]
    kind = {True: "hollow", False: "filled"}
    return {(kind[line.get_mfc() == "white"], line.get_xdata()[0], line.get_ydata()[0]) for line in lines}


def test_systems_tells_what_ran_from_what_is_reported():
    (axis,) = plot_systems(OURS, REPORTED, HUMAN).axes
    ran = {("filled", compute, estimate.value) for compute, estimate in OURS.values()}
    reported = {("hollow", compute or 1.05, value) for compute, value in REPORTED.values()}
    assert marks(axis) == ran | reported
    (segment,) = axis.collections[0].get_segments()
    assert segment[:, 1] == pytest.approx(OURS["A CNN"][1][1:3])


@pytest.mark.parametrize("human", [HUMAN, (0.5, 0.9)])
def test_systems_shades_the_human_accuracy_that_it_is_given(human):
    (band,) = plot_systems(OURS, REPORTED, human).axes[0].patches
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx(human)


def test_systems_assumes_no_human_accuracy():
    with pytest.raises(TypeError, match="human"):
        plot_systems(OURS, REPORTED)
