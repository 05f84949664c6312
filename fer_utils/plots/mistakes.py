"""What a network confuses: the matrix, and pictures with what was predicted for them."""

import numpy as np
from matplotlib.ticker import PercentFormatter

from fer_utils.labels import BILINGUAL, COLORS
from fer_utils.plots.style import INK, new_figure, show


def confusion(counts):
    """Confusion matrix: each cell its share of the true class and its count; the shade is the share.

    Args:
        counts: (7, 7) ints, row the true class, column the predicted one.
    """
    import seaborn

    shares = np.divide(counts, counts.sum(axis=1, keepdims=True).clip(1))
    words = np.array([[f"{s:.0%}\n{c}" for s, c in zip(*row, strict=True)] for row in zip(shares, counts, strict=True)])
    figure = new_figure(4.4)
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
    figure = new_figure(1.95 * rows)
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
