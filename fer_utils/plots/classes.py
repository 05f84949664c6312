"""Figures by class: confusion matrices and votes."""

import numpy as np
from matplotlib.patches import Rectangle

from fer_utils.labels import CLASSES
from fer_utils.plots import style
from fer_utils.words import number, words


@style.applied
def plot_confusion(counts, framed=()):
    """Plot a confusion matrix: each cell has its share of the true class, also as a shade, and its count.

    Args:
        counts: (7, 7) ints, rows the true class, columns the predicted one.
        framed: cells (true class, predicted class) that get a frame.
    """
    figure, (axis,) = style.new_panels(2.5)
    _share_map(axis, counts, lambda share, count: f"{number(share, '.0%')}\n{count}", CLASSES)
    for true, predicted in framed:
        axis.add_patch(Rectangle((predicted, true), 1, 1, fill=False, edgecolor=style.TRAIN, lw=1.2, clip_on=False))
    axis.set(xlabel=words("predicted"), ylabel=words("true"))
    return figure


@style.applied
def plot_vote_shares(counts, answers):
    """Plot what people answer to the images of each label: each cell has its share of the label, also as a shade.

    Args:
        counts: (7, answers) ints, rows the label, columns the most frequent answer.
        answers: names of the columns.
    """
    figure, (axis,) = style.new_panels(1.9)
    _share_map(axis, counts, lambda share, _: number(share, ".0%"), answers)
    axis.set(xlabel=words("the most frequent answer"), ylabel=words("label"))
    return figure


def _share_map(axis, counts, text, columns):
    """Draw each cell's share of its row as a shade, with text(share, count) in it."""
    import seaborn

    totals = counts.sum(axis=1)
    shares = counts / totals.clip(1)[:, None]
    seaborn.heatmap(
        shares,
        ax=axis,
        annot=np.vectorize(text)(shares, counts),
        fmt="",
        cmap="Blues",
        vmin=0,
        vmax=1,
        linewidths=0.8,
        annot_kws={"fontsize": style.SMALL},
        cbar=False,  # the cells say what their shades mean
        xticklabels=columns,
        yticklabels=[words("{name}  (n = {n:,})", name=name, n=n) for name, n in zip(CLASSES, totals, strict=True)],
    )
    axis.tick_params(length=0, rotation=0)
