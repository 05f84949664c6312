"""Figures of the mathematics."""

from types import SimpleNamespace

import figures
import numpy as np
import pandas as pd
import pytest

from fer_utils.plots.derivations import plot_batch_norm_graph, plot_conv_windows, plot_step_sizes

# A 3-tap convolution without padding, and one with stride 2 and a zero after the last place.
WINDOWS = {
    "valid": SimpleNamespace(places=np.arange(5)[:, None] + np.arange(3), size=7, before=0, after=0),
    "same": SimpleNamespace(places=2 * np.arange(4)[:, None] + np.arange(3), size=8, before=0, after=1),
}
BATCH = np.linspace(-1, 1, 5)
VALUES = {"x": BATCH, "mean": 0.25, "var": 0.5, "x_hat": BATCH, "gamma": 1.5, "beta": 0.75, "y": BATCH, "loss": -2.0}
GRADIENTS = VALUES | {"loss": 1.0}
SWEEP = pd.DataFrame({"float64": [1e-3, 1e-6, 1e-2], "float32": [1, 1e-1, 1e-2]}, index=[1e-8, 1e-5, 1e-1])


def graph():
    return plot_batch_norm_graph(VALUES, GRADIENTS)


# name: (figure, number of axes, words that must be on it)
FIGURES = {
    "conv windows": (lambda: plot_conv_windows(WINDOWS), 2, ["valid", "same", "7 → 5", "8 → 4", "0"]),
    "batch norm graph": (graph, 1, [r"$\mu$", r"$\sigma^2$", "$L$", "1.00", "0.25", "−2.00"]),
    "step sizes": (lambda: plot_step_sizes({"a": SWEEP, "b": SWEEP}), 2, ["a", "b", "float64", "float32"]),
}


@pytest.mark.parametrize(("draw", "axes", "expected"), FIGURES.values(), ids=FIGURES)
def test_figure(draw, axes, expected):
    figures.check(draw, axes, expected)


def test_a_long_batch_is_cut():
    columns = [word for word in figures.words(graph()) if word.endswith("⋮")]
    assert len(columns) == 6  # values and gradients of x, x_hat and y
