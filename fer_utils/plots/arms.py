"""Arms of an experiment compared: histories, recalls, pseudo-labels, the value of labels."""

import itertools

import numpy as np
from matplotlib.lines import Line2D

from fer_utils.labels import CLASSES
from fer_utils.plots import style
from fer_utils.words import number, words

RIGHT, WRONG, EARLY = "#4A6F8F", "#E6C7B3", "#C4C4C4"
MARKERS = "sD^vP"


@style.applied
def plot_augmentation(plain, augmented):
    """Plot accuracy on training and validation set, one panel per arm: without augmentation, and with it dashed.

    Args:
        plain: dict of arm -> list of DataFrames with epoch, accuracy, val_accuracy, one per seed.
        augmented: the same arms, trained with augmentation.
    """
    figure, axes = style.new_panels(1.75, len(plain), sharex=True, sharey=True)
    looks = {"accuracy": (style.TRAIN, words("training")), "val_accuracy": (style.VALIDATION, words("validation"))}
    for axis, arm in zip(axes, plain, strict=True):
        for seeds, line in ((plain[arm], "-"), (augmented[arm], "--")):
            for history, (column, (color, _)) in itertools.product(seeds, looks.items()):
                axis.plot(
                    history["epoch"],
                    history[column],
                    line,
                    color=color,
                    lw=1.1,
                    marker="." if len(history) < 2 else None,
                )
        axis.set(title=arm, xlabel=words("epoch"))
        axis.grid(axis="y")
        style.whole_numbers(axis.xaxis)
    axes[0].set_ylabel(words("accuracy"))
    style.percent(axes[0].yaxis)
    keys = [Line2D([], [], color=color, label=label) for color, label in looks.values()]
    keys += [Line2D([], [], color=style.INK, ls="--", label=words("with augmentation"))]
    figure.legend(handles=keys, loc="outside upper left", ncols=len(keys))
    return figure


@style.applied
def plot_recalls(compared):
    """Plot the recall of each class under each arm, with 95 % intervals.

    Args:
        compared: DataFrame of `studies.compare.compare_recalls`.
    """
    counts, arms = compared.groupby("class", sort=False)["n"].first(), compared["arm"].unique()
    figure, (axis,) = style.new_panels(0.45 + 0.1 * len(compared))
    for position, (arm, color) in enumerate(zip(arms, style.ARMS, strict=False)):
        rows = compared[compared["arm"] == arm]
        places = np.arange(len(rows)) + (position - (len(arms) - 1) / 2) * 0.24
        axis.hlines(places, rows["recall_low"], rows["recall_high"], color=color, lw=1.6, alpha=0.45)
        axis.plot(rows["recall"], places, "o", color=color, ms=3.5, label=arm)
    style.name_rows(axis, [words("{name}  (n = {n:,})", name=CLASSES[c], n=n) for c, n in counts.items()])
    axis.set(xlabel=words("recall: share of the class that is recognised"), xlim=(-0.02, 1.02))
    axis.set_yticks(np.arange(len(counts) - 1) + 0.5, minor=True)
    axis.grid(axis="y", which="minor")
    axis.tick_params(axis="y", which="both", length=0)
    style.percent(axis.xaxis)
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=len(arms))
    return figure


# -- few labels --------------------------------------------------------------------------------------------------------


@style.applied
def plot_pseudo_rounds(histories, judged, reference):
    """Plot the accuracy after each round above the numbers of right and wrong pseudo-labels, one column per arm.

    Args:
        histories: dict of arm -> list of DataFrames with round, accuracy, val_accuracy, one per seed.
        judged: dict of arm -> DataFrame of `studies.selftrain.judge`, of the first seed.
        reference: list as in `histories`, of the arm without pseudo-labels: its val_accuracy is drawn in every column.
    """
    figure = style.new_figure(2.7)
    axes = figure.subplots(2, len(histories), sharex=True, sharey="row", squeeze=False)
    for (above, below), (arm, seeds) in zip(axes.T, histories.items(), strict=True):
        _draw_rounds(above, seeds, reference)
        above.set_title(arm)
        _draw_judged(below, judged[arm])
    axes[0, 0].set_ylabel(words("accuracy"))
    axes[1, 0].set_ylabel(words("pseudo-labels"))
    style.percent(axes[0, 0].yaxis)
    style.whole_numbers(axes[1, 0].xaxis)
    axes[1, 0].margins(y=0.12)
    handles = [axis.get_legend_handles_labels() for axis in axes[:, 0]]
    shown = {label: drawn for pair in handles for drawn, label in zip(*pair, strict=True)}  # each once
    figure.legend(shown.values(), shown, loc="outside upper center", ncols=len(shown))
    figure.supxlabel(words("round"))
    return figure


def _draw_rounds(axis, seeds, reference):
    """Draw the accuracies of an arm's seeds and of the supervised reference."""
    supervised = {"color": style.QUIET, "lw": 1, "label": words("validation, supervised")}
    training = {"color": style.TRAIN, "ms": 2, "label": words("training")}
    validation = {"color": style.VALIDATION, "ms": 2, "label": words("validation")}
    for history, plain in zip(seeds, reference, strict=True):
        axis.plot(plain["round"], plain["val_accuracy"], "--", **supervised)
        axis.plot(history["round"], history["accuracy"], "o-", **training)
        axis.plot(history["round"], history["val_accuracy"], "o-", **validation)
    axis.grid(axis="y")


def _draw_judged(axis, judged):
    """Draw one bar per round; the share that is right stands above some of them."""
    right = judged["n"] * judged["precision"]
    axis.bar(judged["round"], right, color=RIGHT, width=0.75, label=words("right"))
    axis.bar(judged["round"], judged["n"] - right, bottom=right, color=WRONG, width=0.75, label=words("wrong"))
    for row in judged.iloc[:: len(judged) // 7 + 1].itertuples():
        style.note(axis, number(row.precision, ".0%"), (row.round, row.n), (0, 2), ha="center")


@style.applied
def plot_label_curve(curve, arms, labels):
    """Plot accuracy against the number of labels, and the arms that had `labels` of them side by side at their place.

    Args:
        curve: dict of number of labels -> (value, low, high, …) of supervised training, such as a metrics.Estimate.
        arms: dict of arm -> the same.
        labels: int.
    """
    figure, (axis,) = style.new_panels(2.1)
    numbers, values = list(curve), np.array([estimate[:3] for estimate in curve.values()])
    axis.fill_between(numbers, values[:, 1], values[:, 2], color=style.QUIET, alpha=0.2, lw=0)
    axis.plot(numbers, values[:, 0], "o-", color=style.ARMS[0], ms=4, label=words("supervised"))
    place = labels
    for (arm, (value, low, high, *_)), color, marker in zip(arms.items(), style.ARMS[1:], MARKERS, strict=False):
        place *= (max(numbers) / min(numbers)) ** 0.02  # one step to the side, on the log axis
        axis.plot([place, place], [low, high], color=color, lw=1.2, alpha=0.6)
        axis.plot(place, value, marker, color=color, ms=5, label=arm)
    axis.set(xscale="log", xlabel=words("labelled images"), ylabel=words("accuracy"))
    axis.set_xticks(numbers, [f"{number:,}" for number in numbers])
    axis.set_xticks([], minor=True)
    style.percent(axis.yaxis)
    axis.legend(loc="upper left")
    return figure
