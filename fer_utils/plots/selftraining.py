"""Learning from few labels: pseudo-labels round by round, the classes they fall into, and what labels are worth."""

import numpy as np
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fer_utils.labels import BILINGUAL
from fer_utils.plots.style import ARMS, INK, QUIET, TRAIN, VALIDATION, new_figure

RIGHT, WRONG, EARLY = "#4A6F8F", "#E6C7B3", "#C4C4C4"
MARKERS = "osD^vP"


def pseudo_rounds(histories, judged, reference):
    """A column an arm. Above, accuracy after each round; below, how many pseudo-labels are right and how many wrong.

    Args:
        histories: dict of arm -> list of DataFrames with round, accuracy, val_accuracy, one a seed.
        judged: dict of arm -> DataFrame of `selftrain.judge`, of the first seed.
        reference: list as in `histories`, of the arm without pseudo-labels: its val_accuracy is drawn in every column.
    """
    figure = new_figure(3.4)
    axes = figure.subplots(2, len(histories), sharex=True, sharey="row", squeeze=False)
    for (above, below), (arm, seeds) in zip(axes.T, histories.items(), strict=True):
        for history, plain in zip(seeds, reference, strict=True):
            above.plot(plain["round"], plain["val_accuracy"], "--", color=QUIET, lw=1, label="held out, supervised")
            above.plot(history["round"], history["accuracy"], "o-", color=TRAIN, ms=2, label="on the labels it learns")
            above.plot(history["round"], history["val_accuracy"], "o-", color=VALIDATION, ms=2, label="held out")
        above.set_title(arm)
        above.grid(axis="y", color="#E6E6E6", lw=0.5)
        _right_and_wrong(below, judged[arm])
    axes[0, 0].set_ylabel("accuracy")
    axes[1, 0].set_ylabel("pseudo-labels")
    axes[0, 0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes[1, 0].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes[1, 0].margins(y=0.12)
    handles = [axis.get_legend_handles_labels() for axis in axes[:, 0]]
    shown = {label: drawn for pair in handles for drawn, label in zip(*pair, strict=True)}  # each once
    figure.legend(shown.values(), shown, loc="outside upper center", ncols=len(shown))
    figure.supxlabel("round", fontsize=8)
    return figure


def _right_and_wrong(axis, judged):
    """A bar a round; the share that is right stands above some of them."""
    right = judged["n"] * judged["precision"]
    axis.bar(judged["round"], right, color=RIGHT, width=0.75, label="right")
    axis.bar(judged["round"], judged["n"] - right, bottom=right, color=WRONG, width=0.75, label="wrong")
    for row in judged.iloc[:: len(judged) // 7 + 1].itertuples():
        place = {"xytext": (0, 2), "textcoords": "offset points", "ha": "center", "fontsize": 5.5}
        axis.annotate(f"{row.precision:.0%}", (row.round, row.n), **place)


def pseudo_classes(shares, truth):
    """What classes the pseudo-labels fall into, a panel an arm: at first (light) and in the end (dark).

    Args:
        shares: dict of arm -> (2, 7) shares in the first and in the last round that has any.
        truth: (7,) true shares of the pictures, drawn as black ticks.
    """
    figure = new_figure(2.5)
    axes = figure.subplots(1, len(shares), sharex=True, sharey=True, squeeze=False)[0]
    places = np.arange(len(BILINGUAL))
    for axis, (arm, (first, last)) in zip(axes, shares.items(), strict=True):
        axis.barh(places - 0.2, first, height=0.36, color=EARLY, label="first pseudo-labels")
        axis.barh(places + 0.2, last, height=0.36, color=RIGHT, label="last pseudo-labels")
        axis.vlines(truth, places - 0.45, places + 0.45, color=INK, lw=1.4, label="true shares")
        axis.set_title(arm)
        axis.tick_params(axis="y", length=0)
    axes[0].set(yticks=places, yticklabels=BILINGUAL)
    axes[0].xaxis.set_major_locator(MaxNLocator(3))
    axes[0].invert_yaxis()
    axes[0].xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    figure.supxlabel("share of the pseudo-labels", fontsize=8)
    return figure


def label_curve(curve, arms, labels):
    """Accuracy against the number of labels, and the arms that had `labels` of them, side by side at their place.

    Args:
        curve: dict of number of labels -> (value, low, high, …) of supervised training, such as metrics.Estimates.
        arms: dict of arm -> the same. labels: int.
    """
    figure = new_figure(2.7)
    axis = figure.subplots()
    numbers, values = list(curve), np.array([estimate[:3] for estimate in curve.values()])
    axis.fill_between(numbers, values[:, 1], values[:, 2], color=QUIET, alpha=0.2, lw=0)
    axis.plot(numbers, values[:, 0], "o-", color=ARMS[0], ms=4, label="supervised")
    apart = (max(numbers) / min(numbers)) ** 0.02  # one step to the side, on the log axis
    for step, ((arm, (value, low, high, *_)), color, marker) in enumerate(
        zip(arms.items(), ARMS[1:], MARKERS[1:], strict=False), start=1
    ):
        place = labels * apart**step
        axis.plot([place, place], [low, high], color=color, lw=1.2, alpha=0.6)
        axis.plot(place, value, marker, color=color, ms=5, label=arm)
    axis.set(xscale="log", xlabel="pictures that keep their labels", ylabel="accuracy")
    axis.set_xticks(numbers, [f"{number:,}" for number in numbers])
    axis.set_xticks([], minor=True)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.legend(loc="upper left")
    return figure
