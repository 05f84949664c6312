"""Finished networks against each other: accuracy, calibration, shifted pictures, first weights, compute."""

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from fer_utils.plots.style import INK, NETWORKS, QUIET, TRAIN, VALIDATION, WIDTH, new_figure


def accuracies(estimates):
    """Accuracies side by side as points with their 95 % intervals.

    Args:
        estimates: dict of name -> metrics.Estimate, drawn from top to bottom.
    """
    figure = new_figure(0.5 + 0.28 * len(estimates))
    axis = figure.subplots()
    for place, (value, low, high, _) in enumerate(reversed(estimates.values())):
        axis.plot([low, high], [place, place], color=VALIDATION, lw=2, solid_capstyle="round", alpha=0.5)
        axis.plot(value, place, "o", color=VALIDATION, ms=5)
        axis.annotate(f"{value:.1%}", (high, place), xytext=(5, 0), textcoords="offset points", va="center", fontsize=7)
    axis.set(yticks=range(len(estimates)), yticklabels=list(reversed(estimates)), xlabel="accuracy")
    axis.set_ylim(-0.6, len(estimates) - 0.4)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.margins(x=0.12)
    return figure


def reliability(panels):
    """How often a network is right when it is so sure: a panel a network, dots on the diagonal know themselves.

    Args:
        panels: dict of network -> dict of name -> DataFrame from `metrics.reliability`; the first one is drawn
            filled, with intervals, areas as the numbers of pictures; a second one hollow.
    """
    figure = new_figure(2.9)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (network, series) in zip(axes, panels.items(), strict=True):
        axis.plot([0, 1], [0, 1], "--", color=QUIET, lw=0.8)
        for (name, table), color in zip(series.items(), (VALIDATION, TRAIN), strict=False):
            first = color == VALIDATION
            if first:
                axis.vlines(table["confidence"], table["low"], table["high"], color=color, lw=1.6, alpha=0.35)
            area = 6 + 200 * table["n"] / table["n"].sum()
            face = color if first else "none"
            axis.scatter(table["confidence"], table["accuracy"], area, fc=face, ec=color, lw=1, label=name, zorder=3)
        axis.set(xlabel="how sure it is", title=network, xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axis.legend(loc="upper left")
    axes[0].set_ylabel("how often it is right")
    axes[0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def shifts(pixels, estimates, baseline=None):
    """Accuracy against how far the pictures are shifted, with 95 % bands.

    Args:
        pixels: distances, ascending.
        estimates: dict of network -> list of metrics.Estimate, one a distance.
        baseline: accuracy of an answer that ignores the picture, or None.
    """
    figure = new_figure(2.4)
    axis = figure.subplots()
    for (name, points), color in zip(estimates.items(), NETWORKS, strict=False):
        value, low, high, _ = np.array(points).T
        axis.fill_between(pixels, low, high, color=color, alpha=0.15, lw=0)
        axis.plot(pixels, value, "o-", color=color, ms=3.5, label=name)
    if baseline is not None:
        axis.axhline(baseline, color=QUIET, lw=0.8, ls="--", label="always the most frequent class")
    axis.set(xlabel="shift in pixels (of 48)", ylabel="validation accuracy", xticks=pixels)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.legend(ncols=2)
    return figure


def weights(rows):
    """First-layer weights as pictures: red positive, blue negative, white 0; one scale a row.

    Args:
        rows: dict of name -> (n, height, width) floats; up to ten a row.
    """
    count = max(len(maps) for maps in rows.values())
    figure = new_figure(len(rows) * (WIDTH / count + 0.22))
    for part, (name, maps) in zip(np.atleast_1d(figure.subfigures(len(rows))), rows.items(), strict=True):
        largest = np.abs(maps).max()
        part.suptitle(f"{name}  (±{largest:.2g})", x=0, ha="left", size=8)
        axes = part.subplots(1, count, squeeze=False)[0]
        for axis in axes:
            axis.set_axis_off()
        for axis, kernel in zip(axes, maps, strict=False):
            axis.imshow(kernel, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest")
    return figure


def systems(ours, reported, human=(0.60, 0.70)):
    """Test accuracy against the compute of the training, with what the reports say as hollow marks.

    Args:
        ours: dict of name ("A CNN") -> (compute, metrics.Estimate); compute in FLOPs of the forward passes.
        reported: dict of name -> (compute, accuracy); compute is None where the report does not tell.
        human: share on which people agree with the labels, low and high.
    """
    figure = new_figure(3.4)
    axis = figure.subplots()
    axis.axhspan(*human, color=QUIET, alpha=0.15, lw=0)
    axis.annotate(
        f"people agree: {50 * sum(human):.0f} ± {50 * (human[1] - human[0]):.0f} %",
        (0, human[1]), xycoords=axis.get_yaxis_transform(), xytext=(3, 2), textcoords="offset points",
        va="bottom", fontsize=6.5, color=QUIET,
    )  # fmt: skip
    known = {name: point for name, point in reported.items() if point[0] is not None}
    for name, (compute, value) in known.items():
        _mark(axis, name, compute, value, hollow=True)
    for name, (compute, estimate) in ours.items():
        color = _network_color(name)
        reach = [[estimate.value - estimate.low], [estimate.high - estimate.value]]
        axis.errorbar(compute, estimate.value, reach, color=color, lw=1, capsize=4, capthick=1)
        _mark(axis, name, compute, estimate.value)
        if name in known:
            axis.plot([compute, known[name][0]], [estimate.value, known[name][1]], ":", color=color, lw=0.7)
    unknown = [(name, value) for name, (compute, value) in reported.items() if compute is None]
    for name, value in unknown:  # in the margin, beyond the axis
        _mark(axis, name, 1.05, value, hollow=True, transform=axis.get_yaxis_transform(), clip_on=False)
    axis.set(xscale="log", xlabel="compute of the training: passes × pictures × FLOPs a picture (log scale)")
    axis.set_ylabel("test accuracy")
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.margins(x=0.08, y=0.08)
    if unknown:
        margin = {"ha": "center", "va": "bottom", "fontsize": 6.5, "color": QUIET, "transform": axis.transAxes}
        axis.text(1.05, 1.01, "passes\nnot told", **margin)
    kinds = [(color, name) for color, name in zip(NETWORKS, ("CNN", "DNN"), strict=False)]
    keys = [Line2D([], [], marker="o", ls="", color=color, ms=5, label=name) for color, name in kinds]
    keys += [Line2D([], [], marker="o", ls="", color=INK, ms=5, label="this kit"),
             Line2D([], [], marker="o", ls="", mec=INK, mfc="white", ms=5, label="the report")]  # fmt: skip
    figure.legend(handles=keys, loc="outside upper left", ncols=4)
    return figure


def _network_color(name):
    return NETWORKS["DNN" in name]


def _mark(axis, name, x, y, hollow=False, **where):
    """A dot with the system's letter in it."""
    color = _network_color(name)
    axis.plot(x, y, "o", mec=color, mfc="white" if hollow else color, ms=9, zorder=3, **where)
    letter = {"ha": "center", "va": "center_baseline", "fontsize": 6.5, "color": color if hollow else "white"}
    axis.text(x, y, name.split()[0], **letter, zorder=4, **where)
