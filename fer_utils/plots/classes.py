"""Figures by class: shares, confusion matrices, predicted distributions."""

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from fer_utils.labels import CLASSES
from fer_utils.plots import style
from fer_utils.words import words

OTHER = "#B8B8B8"  # classes that are neither true nor predicted


@style.applied
def plot_confusion(counts, framed=()):
    """Plot a confusion matrix: each cell has its share of the true class, also as a shade, and its count.

    Args:
        counts: (7, 7) ints, rows the true class, columns the predicted one.
        framed: cells (true class, predicted class) that get a frame.
    """
    figure, (axis,) = style.new_panels(4.0)
    _share_map(axis, counts, "{:.0%}\n{}".format, CLASSES, words("share of the true class"), square=True)
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
    figure, (axis,) = style.new_panels(3.2)
    _share_map(axis, counts, lambda share, count: f"{share:.0%}", answers, words("share of the label"))
    axis.set(xlabel=words("the most frequent answer"), ylabel=words("label"))
    return figure


def _share_map(axis, counts, text, columns, key, **settings):
    """Draw each cell's share of its row as a shade, with text(share, count) in it; `key` says what the shade is."""
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
        cbar_kws={"label": key, "shrink": 0.8, "format": PercentFormatter(1, decimals=0)},
        xticklabels=columns,
        yticklabels=[words("{name}  (n = {n:,})", name=name, n=n) for name, n in zip(CLASSES, totals, strict=True)],
        **settings,
    )
    axis.tick_params(length=0)
    axis.set_xticks(axis.get_xticks(), axis.get_xticklabels(), rotation=30, ha="right", rotation_mode="anchor")


@style.applied
def plot_predictions(images, probs, labels):
    """Plot images above their predicted distributions: blue is the true class, red a wrong prediction.

    Above an image stands its true class, then a tick where the prediction is correct, else the predicted class.

    Args:
        images: (n, 48, 48, 1) uint8, n >= 1.
        probs: (n, 7).
        labels: (n,) true classes.

    Returns:
        Figure with up to seven images per row.
    """
    columns = 7
    rows = -(-len(images) // columns)
    side = (style.WIDTH - 0.55) / columns  # class names stand left of the bars
    figure, axes = style.new_grid(rows * (2 * side + 0.35), 2 * rows, columns)
    for place, (image, distribution, true) in enumerate(zip(images, probs, labels, strict=True)):
        row, column = divmod(place, columns)
        predicted = int(np.argmax(distribution))
        verdict = "✓" if predicted == true else words("→ {name}", name=CLASSES[predicted])
        style.show(axes[2 * row, column], image, words("{name}\n{verdict}", name=CLASSES[true], verdict=verdict))
        _draw_distribution(axes[2 * row + 1, column], distribution, true, named=column == 0)
    return figure


def _draw_distribution(axis, distribution, true, named):
    """Draw probabilities as bars from 0 to 1; the prediction has its value beside it, for print in grey."""
    predicted = int(np.argmax(distribution))
    rows = np.arange(len(CLASSES))
    colors = [style.VALIDATION if c == true else style.TRAIN if c == predicted else OTHER for c in rows]
    axis.set_axis_on()
    axis.barh(rows, distribution, color=colors, height=0.75)
    axis.set(yticks=rows, yticklabels=CLASSES if named else [], xlim=(0, 1), xticks=[])
    axis.invert_yaxis()
    axis.tick_params(length=0, labelsize=style.SMALL, pad=1)
    axis.spines["bottom"].set_visible(False)
    value = distribution[predicted]
    if value < 0.6:  # there is room for the value behind the bar
        place = {"x": value + 0.03, "ha": "left", "color": style.INK}
    else:
        place = {"x": value - 0.03, "ha": "right", "color": "white"}
    axis.text(**place, y=predicted, s=f"{value:.0%}", va="center_baseline", fontsize=style.SMALL)
