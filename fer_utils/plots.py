"""Arrays -> matplotlib Figures in one style; the only room that knows matplotlib.

Every figure is as wide as the report's text (6.5 in) with letters of 8 points, so it is printed at its natural size.
Class names are bilingual; words on the axes are English with short zh-TW where a name needs it.
"""

import importlib.util
import os
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fer_utils.labels import BILINGUAL, COLORS

WIDTH = 6.5  # inches: the text width of the report
INK, QUIET = "#222222", "#8A8A8A"
TRAIN, VALIDATION = "#C0392B", "#1F5FA8"  # red training, blue validation


def _use_style():
    """One look for every figure. The CJK font comes first: labels that mix Han and maths are tofu otherwise."""
    folder = Path(importlib.util.find_spec("pylopdf_fonts_zh_tw").origin).parent
    for font in [*folder.glob("*Sans*.otf"), *folder.glob("*Sans*.ttf")]:
        font_manager.fontManager.addfont(font)
    os.environ.setdefault("SOURCE_DATE_EPOCH", "0")  # no clock inside the files: equal figures are equal bytes
    matplotlib.rcParams.update(
        {
            "font.family": ["Noto Sans TC", "DejaVu Sans"],
            "font.size": 8,
            "axes.titlesize": 8,
            "axes.titlelocation": "left",
            "axes.edgecolor": QUIET,
            "axes.linewidth": 0.6,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.labelcolor": INK,
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "xtick.labelsize": 7,
            "ytick.labelsize": 7,
            "xtick.major.width": 0.6,
            "ytick.major.width": 0.6,
            "legend.frameon": False,
            "legend.fontsize": 7,
            "lines.linewidth": 1.4,
            "svg.fonttype": "path",
            "svg.hashsalt": "fer",
            "axes.unicode_minus": False,
        }
    )


_use_style()


def _figure(height, width=WIDTH):
    return Figure(figsize=(width, height), layout="constrained")


# -- trainings ---------------------------------------------------------------------------------------------------------


def curves(histories, against="pass"):
    """Loss and accuracy of training and validation, a pair of panels a run.

    Args:
        histories: dict of name -> DataFrame with pass, loss, val_loss, accuracy, val_accuracy, seconds.
        against: `pass`, or `seconds` (summed up over the passes).

    Returns:
        Figure: a row a run; left the loss, right the accuracy.
    """
    figure = _figure(1.9 * len(histories))
    axes = figure.subplots(len(histories), 2, squeeze=False, sharex=against == "pass")
    for row, (name, history) in zip(axes, histories.items(), strict=True):
        x = history["pass"] if against == "pass" else history["seconds"].cumsum()
        marker = "o" if len(x) < 12 else None
        for axis, quantity in zip(row, ("loss", "accuracy"), strict=True):
            axis.plot(x, history[quantity], color=TRAIN, marker=marker, ms=2.5, label="training")
            axis.plot(x, history[f"val_{quantity}"], color=VALIDATION, marker=marker, ms=2.5, label="validation")
            axis.set(xlabel=against, ylabel=quantity, title=name)
            if against == "pass":
                axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        row[1].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        row[0].legend()
    return figure


def accuracies(estimates):
    """Accuracies side by side as points with their 95 % intervals.

    Args:
        estimates: dict of name -> evaluation.Estimate, drawn from top to bottom.
    """
    figure = _figure(0.5 + 0.28 * len(estimates))
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


# -- mistakes ----------------------------------------------------------------------------------------------------------


def confusion(counts):
    """Confusion matrix: each cell its share of the true class and its count; the shade is the share.

    Args:
        counts: (7, 7) ints, row the true class, column the predicted one.
    """
    import seaborn

    shares = np.divide(counts, counts.sum(axis=1, keepdims=True).clip(1))
    words = np.array([[f"{s:.0%}\n{c}" for s, c in zip(*row, strict=True)] for row in zip(shares, counts, strict=True)])
    figure = _figure(4.4)
    axis = figure.subplots()
    seaborn.heatmap(
        shares,
        ax=axis,
        annot=words,
        fmt="",
        cmap="Blues",
        vmin=0,
        vmax=1,
        square=True,
        linewidths=0.8,
        annot_kws={"fontsize": 6.5},
        cbar_kws={"label": "share of the true class", "shrink": 0.75, "format": PercentFormatter(1, decimals=0)},
        xticklabels=BILINGUAL,
        yticklabels=[f"{name}  (n = {n})" for name, n in zip(BILINGUAL, counts.sum(axis=1), strict=True)],
    )
    axis.set(xlabel="predicted 預測", ylabel="true 真實")
    axis.tick_params(length=0)
    axis.set_xticks(axis.get_xticks(), axis.get_xticklabels(), rotation=30, ha="right", rotation_mode="anchor")
    return figure


def mistakes(images, probs, labels):
    """Pictures, each above its predicted distribution as seven bars; the true class is the framed bar.

    Args:
        images: (n, 48, 48, 1) uint8, n <= 12 or so. probs: (n, 7). labels: (n,) true classes.

    Returns:
        Figure: up to six pictures a row.
    """
    columns = 6
    rows = -(-len(images) // columns)
    figure = _figure(1.95 * rows)
    grid = figure.subplots(2 * rows, columns, height_ratios=[1.25, 1] * rows, squeeze=False)
    for axis in grid.flat:
        axis.set_axis_off()
    for place, (image, distribution, true) in enumerate(zip(images, probs, labels, strict=True)):
        row, column = divmod(place, columns)
        show(grid[2 * row, column], image)
        bars(grid[2 * row + 1, column], distribution, true)
    return figure


def bars(axis, distribution, true=None):
    """Seven horizontal bars with the class names; the true class has a dark frame and a bold name."""
    axis.set_axis_on()
    rows = np.arange(len(BILINGUAL))
    frames = [INK if c == true else "none" for c in rows]
    axis.barh(rows, distribution, color=COLORS, edgecolor=frames, linewidth=0.9, height=0.8)
    names = [name.split()[1] for name in BILINGUAL]
    axis.set(yticks=rows, yticklabels=names, xlim=(0, 1), xticks=[])
    axis.invert_yaxis()
    axis.tick_params(length=0, labelsize=5.5, pad=1)
    axis.spines[:].set_visible(False)
    best = int(np.argmax(distribution))
    axis.text(min(distribution[best] + 0.03, 0.75), best, f"{distribution[best]:.0%}", va="center", fontsize=5.5)


def show(axis, image, title=None):
    """One grey picture, without axes."""
    axis.imshow(np.squeeze(image), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axis.set_axis_off()
    if title:
        axis.set_title(title, fontsize=6.5, loc="center", pad=2)


def grid(images, titles=None, columns=10):
    """Pictures in rows.

    Args:
        images: (n, 48, 48, 1) or (n, 48, 48) grey levels 0…255. titles: n short strings, or None.
    """
    rows = -(-len(images) // columns)
    side = WIDTH / columns
    figure = _figure(rows * (side + (0.16 if titles else 0.02)))
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, image, title in zip(axes.flat, images, titles or [None] * len(images), strict=False):
        show(axis, image, title)
    return figure
