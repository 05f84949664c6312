"""What a network confuses: the matrix, and pictures with what was predicted for them."""

import numpy as np
from matplotlib.patches import Rectangle

from fer_utils.labels import BILINGUAL
from fer_utils.plots.classes import share_map
from fer_utils.plots.style import INK, TRAIN, VALIDATION, WIDTH, close_up, new_figure, show

BAR = "#B8B8B8"  # classes that are neither the truth nor the answer


def confusion(counts, framed=()):
    """Confusion matrix: each cell its share of the true class and its count; the shade is the share.

    Args:
        counts: (7, 7) ints, row the true class, column the predicted one.
        framed: cells (true class, predicted class) that get a frame.
    """
    figure = new_figure(4.0)
    axis = figure.subplots()
    share_map(axis, counts, "{:.0%}\n{}".format, BILINGUAL, row="true class", square=True)
    for true, predicted in framed:
        axis.add_patch(Rectangle((predicted, true), 1, 1, fill=False, edgecolor=TRAIN, lw=1.2, clip_on=False))
    axis.set(xlabel="predicted 預測", ylabel="true 真實")
    return figure


def predictions(images, probs, labels):
    """Pictures above their predicted distributions: blue is the true class, red a wrong answer.

    Above a picture stands its true class, with a tick where it is recognised, else with the answer below it.

    Args:
        images: (n, 48, 48, 1) uint8, n >= 1. probs: (n, 7). labels: (n,) true classes.

    Returns:
        Figure: up to seven pictures a row.
    """
    columns = 7
    rows = -(-len(images) // columns)
    side = (WIDTH - 0.55) / columns  # class names stand left of the bars
    figure = new_figure(rows * (2 * side + 0.35))
    axes = figure.subplots(2 * rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for place, (image, distribution, true) in enumerate(zip(images, probs, labels, strict=True)):
        row, column = divmod(place, columns)
        answer = int(np.argmax(distribution))
        verdict = f"{BILINGUAL[true]}\n" + ("✓" if answer == true else f"→ {BILINGUAL[answer]}")
        show(axes[2 * row, column], image, verdict)
        bars(axes[2 * row + 1, column], distribution, true, named=column == 0)
    close_up(figure)
    return figure


def bars(axis, distribution, true, named=True):
    """A distribution over the classes as bars from 0 to 1; the answer bears its value, which grey print needs."""
    answer = int(np.argmax(distribution))
    rows = np.arange(len(BILINGUAL))
    colors = [VALIDATION if c == true else TRAIN if c == answer else BAR for c in rows]
    axis.set_axis_on()
    axis.barh(rows, distribution, color=colors, height=0.75)
    axis.set(yticks=rows, yticklabels=BILINGUAL if named else [], xlim=(0, 1), xticks=[])
    axis.invert_yaxis()
    axis.tick_params(length=0, labelsize=6, pad=1)
    axis.spines["bottom"].set_visible(False)
    left = distribution[answer] < 0.6  # room for the value behind the bar, else inside it
    place = {"ha": "left", "color": INK} if left else {"ha": "right", "color": "white"}
    edge = distribution[answer] + (0.03 if left else -0.03)
    axis.text(edge, answer, f"{distribution[answer]:.0%}", va="center_baseline", fontsize=6, **place)
