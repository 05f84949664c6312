"""Trained networks compared: accuracy, calibration, shifted images, ensembles, compute."""

from itertools import cycle

import matplotlib
import numpy as np
from matplotlib.lines import Line2D

from fer_utils.plots import style
from fer_utils.words import words

COLORS = dict(zip(("CNN", "DNN", "own"), style.NETWORKS, strict=False))  # of systems; the last are the kit's own


@style.applied
def plot_reliability(panels, height=2.9):
    """Plot accuracy against confidence, one panel per network; dots on the diagonal are calibrated.

    Args:
        panels: dict of network -> dict of name -> DataFrame from `metrics.reliability`; the first one is drawn filled,
            with intervals, areas as the numbers of images; a second one is hollow.
    """
    figure, axes = style.new_panels(height, len(panels), sharey=True)
    for axis, (network, series) in zip(axes, panels.items(), strict=True):
        axis.plot([0, 1], [0, 1], "--", color=style.QUIET, lw=0.8)
        for (name, table), color in zip(series.items(), (style.VALIDATION, style.TRAIN), strict=False):
            _draw_bins(axis, table, color, name, filled=color == style.VALIDATION)
        axis.set(xlabel=words("confidence"), title=network, xlim=(0, 1), ylim=(0, 1), aspect="equal")
        style.percent(axis.xaxis)
        axis.legend(loc="upper left")
    axes[0].set_ylabel(words("accuracy"))
    style.percent(axes[0].yaxis)
    return figure


def _draw_bins(axis, table, color, name, filled):
    """Draw the bins of one network's confidence, with intervals if they are filled."""
    if filled:
        axis.vlines(table["confidence"], table["low"], table["high"], color=color, lw=1.6, alpha=0.35)
    area = 6 + 200 * table["n"] / table["n"].sum()
    look = {"fc": color if filled else "none", "ec": color, "lw": 1, "zorder": 3}
    axis.scatter(table["confidence"], table["accuracy"], area, label=name, **look)


@style.applied
def plot_shifts(pixels, estimates, baseline=None):
    """Plot accuracy against the shift of the images, with 95 % bands.

    Args:
        pixels: distances, ascending.
        estimates: dict of network -> list of metrics.Estimate, one per distance.
        baseline: accuracy of always predicting the most frequent class, or None.
    """
    figure, (axis,) = style.new_panels(1.7)
    for (name, points), color in zip(estimates.items(), cycle(style.NETWORKS), strict=False):
        value, low, high, _ = np.array(points).T
        axis.fill_between(pixels, low, high, color=color, alpha=0.15, lw=0)
        axis.plot(pixels, value, "o-", color=color, ms=3.5, label=name)
    if baseline is not None:
        axis.axhline(baseline, color=style.QUIET, lw=0.8, ls="--", label=words("always the most frequent class"))
    axis.set(xlabel=words("shift in pixels (of 48)"), ylabel=words("validation accuracy"), xticks=pixels)
    style.percent(axis.yaxis)
    axis.legend(ncols=2)
    return figure


@style.applied
def plot_bags(table, references):
    """Plot each ensemble's gain over its own members against their disagreement, and accuracy against its size.

    Args:
        table: DataFrame of the notebook `ensemble`: size, accuracy, gain, disagreement of each ensemble.
        references: dict of name -> accuracy, drawn as lines across the right panel.
    """
    figure, (left, right) = style.new_panels(2.1, 2)
    _draw_gains(left, table[table["size"] > 1])
    right.plot(table["size"], table["accuracy"], "o", color=style.QUIET, ms=2.5, alpha=0.6, label=words("an ensemble"))
    means = table.groupby("size")["accuracy"].mean()
    right.plot(means, color=style.VALIDATION, marker="o", ms=4, label=words("mean by size"))
    for (name, value), color, look in zip(references.items(), style.ARMS[2:], ("--", ":", "-."), strict=False):
        right.axhline(value, color=color, lw=1.2, ls=look, label=name)
    right.set(xlabel=words("members"), ylabel=words("accuracy"))
    style.whole_numbers(right.xaxis)
    style.percent(right.yaxis, decimals=None)
    right.legend()
    return figure


def _draw_gains(axis, several):
    """Draw the gains of ensembles of two members or more, coloured by their size."""
    sizes = several["size"].unique()
    colors = matplotlib.colormaps["viridis_r"](np.linspace(0.15, 1, max(len(sizes), 1)))
    for size, color in zip(sizes, colors, strict=False):
        rows = several[several["size"] == size]
        axis.plot(100 * rows["disagreement"], rows["gain"], "o", color=color, ms=3.5, label=f"{size}")
    axis.axhline(0, color=style.QUIET, lw=0.8, zorder=0)
    axis.set_xlabel(words("mean disagreement of two members, % of images"))
    axis.set_ylabel(words("gain over its members, points"))
    axis.legend(title=words("members"), title_fontsize=7, handletextpad=0.1, ncols=-(-(len(sizes) + 1) // 5))


@style.applied
def plot_systems(ours, reported, human):
    """Plot test accuracy against the compute of training; reported results are hollow.

    Args:
        ours: dict of name -> (compute, metrics.Estimate): of a report's system ("A CNN"), or of a network of the kit's
            own ("fast"), whose name is written beside its mark; compute of the training in PFLOP.
        reported: dict of name -> (compute, accuracy); compute is None where it is not reported.
        human: (low, high) of human accuracy, such as `claims.HUMAN`.
    """
    figure, (axis,) = style.new_panels(3.4)
    _draw_human(axis, *human)
    _draw_reported(axis, reported)
    _draw_ours(axis, ours, reported)
    axis.set(xscale="log", xlabel=words("compute of the training in PFLOP (log scale)"))
    style.plain_log_ticks(axis.xaxis)
    axis.set_ylabel(words("test accuracy"))
    style.percent(axis.yaxis)
    axis.margins(x=0.08, y=0.08)
    figure.legend(handles=_system_keys(), loc="outside upper left", ncols=5)
    return figure


def _draw_human(axis, low, high):
    axis.axhspan(low, high, color=style.QUIET, alpha=0.15, lw=0)
    level = words("human accuracy: {mean:.0f} ± {half:.0f} %", mean=50 * (low + high), half=50 * (high - low))
    style.note(axis, level, (0, high), (3, 2), xycoords=axis.get_yaxis_transform(), va="bottom", color=style.QUIET)


def _draw_reported(axis, reported):
    """Draw reported results; those of unknown compute stand in the margin, beyond the axis."""
    margin = {"transform": axis.get_yaxis_transform(), "clip_on": False}
    for name, (compute, value) in reported.items():
        x, where = (1.05, margin) if compute is None else (compute, {})
        _mark(axis, name, x, value, hollow=True, **where)
    if any(compute is None for compute, _ in reported.values()):
        look = {"ha": "center", "va": "bottom", "fontsize": style.SMALL, "color": style.QUIET}
        axis.text(1.05, 1.01, words("epochs\nunknown"), transform=axis.transAxes, **look)


def _draw_ours(axis, ours, reported):
    """Draw this kit's systems with their intervals, each joined to its reported result by a dotted line."""
    for name, (compute, estimate) in ours.items():
        color = _network_color(name)
        reach = [[estimate.value - estimate.low], [estimate.high - estimate.value]]
        axis.errorbar(compute, estimate.value, reach, color=color, lw=1, capsize=4, capthick=1)
        _mark(axis, name, compute, estimate.value)
        if _kind(name) == "own":
            style.note(axis, name, (compute, estimate.value), (7, 0), va="center", color=color)
        reported_compute, value = reported.get(name, (None, None))
        if reported_compute is not None:
            axis.plot([compute, reported_compute], [estimate.value, value], ":", color=color, lw=0.7)


def _mark(axis, name, x, y, hollow=False, **where):
    """Draw a dot with the first letter of the system's name in it."""
    color = _network_color(name)
    axis.plot(x, y, "o", mec=color, mfc="white" if hollow else color, ms=9, zorder=3, **where)
    letter = {"ha": "center", "va": "center_baseline", "fontsize": style.SMALL, "color": color if hollow else "white"}
    axis.text(x, y, name[0], **letter, zorder=4, **where)


def _kind(name):
    """Return what a network is: the last word of a system's name, else one of the kit's own."""
    return name.split()[-1] if " " in name else "own"


def _network_color(name):
    return COLORS[_kind(name)]


def _system_keys():
    """Return the legend: a colour per kind of network, filled for this kit, hollow for the reports."""
    looks = {
        "CNN": {"color": COLORS["CNN"]},
        "DNN": {"color": COLORS["DNN"]},
        words("the kit's own"): {"color": COLORS["own"]},
        words("this kit"): {"color": style.INK},
        words("the report"): {"mec": style.INK, "mfc": "white"},
    }
    return [Line2D([], [], marker="o", ls="", ms=5, label=label, **look) for label, look in looks.items()]
