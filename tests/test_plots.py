"""Figures are checked for what is drawn: panels, lines, marks and words, all on the page, with letters that exist."""

import io

import figures
import numpy as np
import pandas as pd
import pytest

from fer_utils import metrics, plots
from fer_utils.labels import BILINGUAL

RNG = np.random.default_rng(0)
LABELS = RNG.choice(7, 200)
PROBS = RNG.dirichlet(np.ones(7), 200)
FACES = RNG.integers(0, 255, (8, 48, 48, 1), dtype=np.uint8)


def history(passes, turn=None, seconds=3.0):
    x = np.arange(1, passes + 1)
    loss = 1.9 * 0.9**x
    validation = loss + 0.1 if turn is None else 1.5 + 0.05 * np.abs(x - turn)
    columns = {"pass": x, "loss": loss, "val_loss": validation, "seconds": seconds}
    return pd.DataFrame(columns | {"accuracy": 1 - loss / 2, "val_accuracy": 1 - validation / 2})


HISTORIES = {"CNN": history(20, turn=8), "DNN 同樣大小": history(20)}
STARTS = {name: metrics.overfitting_starts(h) for name, h in HISTORIES.items()}
ONE_PASS = {"CNN": history(1), "DNN": history(1)}
NEVER = {"CNN": None, "DNN": None}
PANELS = {name: {"as trained": metrics.reliability(LABELS, PROBS)} for name in HISTORIES}
WAVES = [metrics.share(hits, 200) for hits in (120, 110, 90)]
KERNELS = {"filters": RNG.normal(size=(4, 5, 5)), "units": RNG.normal(size=(9, 48, 48))}
OURS = {"A CNN": (3e14, metrics.share(2000, 3589)), "A DNN": (3e11, metrics.share(1000, 3589))}
CLAIMS = {"A CNN": (None, 0.655), "B CNN": (None, 0.70), "D DNN": (2e12, 0.2655), "E CNN": (2e14, 0.622)}

# name: (figure, number of axes, words that must be on it)
FIGURES = {
    "curves": (lambda: plots.curves(HISTORIES), 4, ["CNN", "DNN 同樣大小", "training", "validation", "pass"]),
    "curves against seconds": (lambda: plots.curves(HISTORIES, "seconds"), 4, ["seconds"]),
    "accuracies": (lambda: plots.accuracies({"CNN": WAVES[0], "DNN": WAVES[2]}), 1, ["CNN", "60.0%", "45.0%"]),
    "grid": (lambda: plots.grid(FACES, [*BILINGUAL, None], columns=8), 8, BILINGUAL),
    "learning": (lambda: plots.learning(HISTORIES, STARTS), 4, ["passes", "overfitting starts", *HISTORIES]),
    "learning, one pass": (lambda: plots.learning(ONE_PASS, NEVER), 4, ["CNN", "DNN", "training"]),
    "overfitting": (lambda: plots.overfitting(HISTORIES, STARTS), 2, ["overfitting starts: 8", *HISTORIES]),
    "overfitting, one pass": (lambda: plots.overfitting(ONE_PASS, NEVER), 2, ["training", "validation"]),
    "reliability": (lambda: plots.reliability(PANELS), 2, ["as trained", "how sure it is"]),
    "shifts": (lambda: plots.shifts([0, 2, 6], {"CNN": WAVES}, 0.25), 1, ["CNN", "always the most frequent class"]),
    "weights": (lambda: plots.weights(KERNELS), 18, [f"filters  (±{np.abs(KERNELS['filters']).max():.2g})"]),
    "systems": (lambda: plots.systems(OURS, CLAIMS), 1, ["this kit", "the report", "people agree: 65 ± 5 %", "B", "D"]),
    "systems, nothing has run": (lambda: plots.systems({}, CLAIMS), 1, ["passes\nnot told", "A", "B", "D", "E"]),
}


@pytest.mark.parametrize(("draw", "axes", "expected"), FIGURES.values(), ids=FIGURES)
def test_figure(draw, axes, expected):
    figures.check(draw(), axes, expected)


def test_equal_figures_are_equal_bytes():
    first, second = io.BytesIO(), io.BytesIO()
    for file in (first, second):
        plots.learning(HISTORIES, STARTS).savefig(file, format="svg", metadata={"Date": None})
    assert first.getvalue() == second.getvalue()


def marks(axis):
    """(hollow or filled, x, y) of every dot that stands alone."""
    lines = [line for line in axis.get_lines() if line.get_marker() == "o" and len(line.get_xdata()) == 1]
    kind = {True: "hollow", False: "filled"}
    return {(kind[line.get_mfc() == "white"], line.get_xdata()[0], line.get_ydata()[0]) for line in lines}


def test_curves_draw_both_histories_of_every_run():
    loss, accuracy, *_ = plots.curves(HISTORIES).axes
    for axis, name in ((loss, "loss"), (accuracy, "accuracy")):
        drawn = [line.get_ydata().tolist() for line in axis.get_lines()]
        assert drawn == [HISTORIES["CNN"][column].tolist() for column in (name, f"val_{name}")]


def test_learning_has_passes_on_the_left_and_summed_seconds_on_the_right():
    figure = plots.learning(HISTORIES, STARTS)
    left, right = figure.axes[2:]
    assert left.get_lines()[1].get_xdata().tolist() == list(range(1, 21))
    assert right.get_lines()[1].get_xdata().tolist() == [3.0 * number for number in range(1, 21)]
    assert right.get_xscale() == "log"
    rings = [line for line in figure.axes[0].get_lines() if line.get_gid() == "start"]
    assert [line.get_xdata().tolist() for line in rings] == [[8], []]
    assert rings[0].get_ydata().tolist() == [1.5]


def test_overfitting_is_marked_only_where_it_starts():
    turned, falling = plots.overfitting(HISTORIES, STARTS).axes
    assert [line.get_xdata()[0] for line in turned.get_lines() if line.get_linestyle() == ":"] == [8]
    assert not [line for line in falling.get_lines() if line.get_linestyle() == ":"]
    assert all(len(axis.collections) == 1 for axis in (turned, falling))  # the gap


def test_reliability_has_a_dot_a_bin_and_intervals_on_the_first_series():
    table = metrics.reliability(LABELS, PROBS)
    (axis,) = plots.reliability({"CNN": {"as trained": table, "T = 2": table}}).axes
    intervals, filled, hollow = axis.collections
    assert len(intervals.get_segments()) == len(filled.get_offsets()) == len(hollow.get_offsets()) == len(table)
    assert len(filled.get_facecolor()) and not len(hollow.get_facecolor())
    assert np.argmax(filled.get_sizes()) == table["n"].argmax()


def test_shifts_band_is_the_interval():
    (axis,) = plots.shifts([0, 2, 6], {"CNN": WAVES}).axes
    (band,) = axis.collections
    corners = {tuple(np.round(corner, 6)) for corner in band.get_paths()[0].vertices}
    for x, estimate in zip((0, 2, 6), WAVES, strict=True):
        assert {(x, round(estimate.low, 6)), (x, round(estimate.high, 6))} <= corners
    assert [line.get_ydata().tolist() for line in axis.get_lines()] == [[e.value for e in WAVES]]


def test_weights_of_a_row_share_one_scale():
    axes = plots.weights(KERNELS).axes
    limits = [axis.images[0].get_clim() if axis.images else None for axis in axes]
    largest = {name: np.abs(maps).max() for name, maps in KERNELS.items()}
    assert limits[:4] == [(-largest["filters"], largest["filters"])] * 4 and limits[4:9] == [None] * 5
    assert limits[9:] == [(-largest["units"], largest["units"])] * 9
    assert len({round(axis.get_position().width, 6) for axis in axes}) == 1  # a long title widens no column


def test_systems_tells_what_ran_from_what_is_said():
    (axis,) = plots.systems(OURS, CLAIMS).axes
    ran = {("filled", compute, estimate.value) for compute, estimate in OURS.values()}
    told = {("hollow", compute or 1.05, value) for compute, value in CLAIMS.values()}
    assert marks(axis) == ran | told
    (segment,) = axis.collections[0].get_segments()
    assert segment[:, 1] == pytest.approx(OURS["A CNN"][1][1:3])
    (band,) = axis.patches
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((0.60, 0.70))
