"""The mathematics: windows of a convolution, a computation graph, errors of finite differences."""

import numpy as np
from matplotlib.patches import FancyArrowPatch, Rectangle

from fer_utils.plots import style
from fer_utils.words import number, words

VALUE, GRADIENT = style.VALIDATION, style.TRAIN  # blue forwards, red backwards
ZERO = "#E4E4E4"  # the padding


@style.applied
def plot_conv_windows(panels):
    """Plot the places of the input that each output of a convolution reads, along one axis.

    Args:
        panels: dict of title -> derivations.Taps.

    Returns:
        Figure with one panel per setting, one row per output.
    """
    widths = [taps.size + taps.before + taps.after for taps in panels.values()]
    side = style.WIDTH / (sum(widths) + 6)
    rows = max(len(taps.places) for taps in panels.values())
    figure, axes = style.new_panels(0.55 + 0.92 * rows * side, len(panels), width_ratios=widths)
    for axis, (title, taps) in zip(axes, panels.items(), strict=True):
        _draw_windows(axis, taps)
        axis.set_title(title, fontsize=7)
        axis.set_xlabel(f"{taps.size} → {len(taps.places)}")
        axis.set_anchor("N")
    axes[0].set_ylabel(words("output"))
    return figure


def _draw_windows(axis, taps):
    """Draw the input's places in every row, those that the row's output reads filled."""
    rows, last = len(taps.places), taps.size + taps.after
    for row, places in enumerate(taps.places):
        for place in range(-taps.before, last):
            inside, read = 0 <= place < taps.size, place in places
            face = (VALUE if inside else style.QUIET) if read else ("white" if inside else ZERO)
            axis.add_patch(Rectangle((place - 0.5, row - 0.4), 1, 0.8, fc=face, ec=style.QUIET, lw=0.5))
            if not inside:
                look = {"ha": "center", "va": "center_baseline", "fontsize": style.SMALL}
                axis.text(place, row, "0", color="white" if read else style.QUIET, **look)
    axis.set(xlim=(-taps.before - 0.6, last - 0.4), ylim=(rows - 0.45, -0.55), aspect="equal")
    axis.set(xticks=[], yticks=range(rows), yticklabels=range(1, rows + 1))
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)


SHEET = (6.5, 2.4)  # width and height of the graph of batch normalisation; its other lengths are in this unit
# name -> place, symbol
NODES = {
    "x": ((0.6, 1.72), "$x_i$"),
    "mean": ((1.55, 0.38), r"$\mu$"),
    "var": ((2.45, 1.05), r"$\sigma^2$"),
    "x_hat": ((3.75, 1.72), r"$\hat{x}_i$"),
    "gamma": ((4.15, 0.7), r"$\gamma$"),
    "beta": ((5.85, 0.7), r"$\beta$"),
    "y": ((5.0, 1.72), "$y_i$"),
    "loss": ((6.1, 1.72), "$L$"),
}
# from, to, the derivative along the arrow, where to write it (share of the way, shift)
ARROWS = (
    ("x", "x_hat", "$1/s$", 0.5, (0, 0.1)),
    ("x", "var", r"$2(x_i-\mu)/m$", 0.5, (0, 0)),
    ("x", "mean", "$1/m$", 0.6, (-0.2, 0)),
    ("mean", "var", "$0$", 0.5, (-0.08, 0.06)),
    ("mean", "x_hat", "$-1/s$", 0.5, (0.2, -0.1)),
    ("var", "x_hat", r"$-\hat{x}_i/(2s^2)$", 0.45, (0, 0)),
    ("x_hat", "y", r"$\gamma$", 0.5, (0, 0.1)),
    ("gamma", "y", r"$\hat{x}_i$", 0.5, (-0.14, 0)),
    ("beta", "y", "$1$", 0.5, (0.1, 0)),
    ("y", "loss", "$g_i$", 0.5, (0, 0.1)),
)
BOX = 0.15  # half a node's side
MOST = 3  # entries of a batch that are written out


@style.applied
def plot_batch_norm_graph(values, gradients):
    """Plot batch normalisation of one channel as a graph: values above nodes, gradients below, derivatives on arrows.

    Args:
        values: dict of x, mean, var, x_hat, gamma, beta, y, loss -> number, or array over the batch.
        gradients: dict of the same names -> gradients of the loss, of the same shapes.
    """
    wide, high = SHEET
    figure = style.new_figure(high / wide * style.WIDTH)
    figure.set_layout_engine("none")  # the axes are the page
    axis = figure.add_axes((0, 0, 1, 1), xlim=(0, wide), ylim=(0, high))
    axis.set_axis_off()
    for start, end, derivative, share, shift in ARROWS:
        _draw_arrow(axis, np.array(NODES[start][0]), np.array(NODES[end][0]), derivative, share, shift)
    for name, ((x, y), symbol) in NODES.items():
        axis.add_patch(Rectangle((x - BOX, y - BOX), 2 * BOX, 2 * BOX, fc="white", ec=style.INK, lw=0.8, zorder=2))
        axis.text(x, y, symbol, ha="center", va="center", fontsize=9.5, zorder=3)
        column = {"ha": "center", "fontsize": style.SMALL, "linespacing": 1.15, "zorder": 3}
        axis.text(x, y + BOX + 0.05, _column(values[name]), color=VALUE, va="bottom", **column)
        axis.text(x, y - BOX - 0.05, _column(gradients[name]), color=GRADIENT, va="top", **column)
    axis.text(6.4, 0.24, words("above: value"), color=VALUE, fontsize=7, ha="right")
    axis.text(6.4, 0.08, words("below: gradient of $L$"), color=GRADIENT, fontsize=7, ha="right")
    return figure


def _draw_arrow(axis, start, end, derivative, share, shift):
    look = {"arrowstyle": "-|>", "mutation_scale": 7, "color": style.QUIET, "lw": 0.8, "shrinkA": 13, "shrinkB": 13}
    axis.add_patch(FancyArrowPatch(start, end, **look))
    place = start + share * (end - start) + shift
    background = {"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none"}
    axis.text(*place, derivative, fontsize=7, ha="center", va="center", bbox=background)


def _column(entries):
    """Write numbers under each other, two decimals; of a long batch the first ones."""
    entries = np.atleast_1d(entries)
    lines = [number(entry, ".2f") for entry in entries[:MOST]]
    return "\n".join(lines + ["⋮"] * (len(entries) > MOST))


@style.applied
def plot_step_sizes(sweeps):
    """Plot the error of finite differences against their step (log-log), one panel per gradient, a line per precision.

    Args:
        sweeps: dict of title -> DataFrame of `derivations.sweep_steps`.
    """
    figure, axes = style.new_panels(2.7, len(sweeps), sharey=True)
    for axis, (title, sweep) in zip(axes, sweeps.items(), strict=True):
        axis.plot(sweep["float64"], "o-", color=VALUE, lw=1, ms=3, label="float64")
        axis.plot(sweep["float32"], "s-", color=style.TRAIN, mfc="white", lw=1, ms=3, label="float32")
        _draw_slopes(axis, sweep["float64"])
        axis.set(xscale="log", yscale="log", xlabel=words("step $h$"), title=title)
    axes[0].set_ylabel(words("relative error"))
    axes[0].legend(loc="lower left")
    return figure


def _draw_slopes(axis, errors):
    """Draw lines of slope −1 and 2 beside the two branches."""
    best = errors.idxmin()
    for slope, name, far in ((-1, r"$\propto 1/h$", errors.index[0]), (2, r"$\propto h^2$", 0.1)):
        ends = np.array([far, best])
        start = errors.iloc[np.abs(errors.index - far).argmin()] / 8
        axis.plot(ends, start * (ends / far) ** slope, ":", color=style.INK, lw=0.9)
        middle, side = np.sqrt(ends.prod()), np.sign(slope)
        look = {"ha": "left" if side > 0 else "right", "va": "top", "fontsize": 7}
        style.note(axis, name, (middle, start * (middle / far) ** slope), (8 * side, -8), **look)
