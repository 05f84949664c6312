"""Arms of an experiment compared: accuracy, scores, recalls, pseudo-labels, the value of labels."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from fer_utils.labels import CLASSES
from fer_utils.plots import style
from fer_utils.words import words

RIGHT, WRONG, EARLY = "#4A6F8F", "#E6C7B3", "#C4C4C4"
MARKERS = "sD^vP"


@style.applied
def plot_arm_accuracies(accuracies, compared):
    """Plot every run's accuracy with its arm's mean, and the arm's difference from the first arm with its interval.

    Args:
        accuracies: dict of arm -> list of accuracies, one per seed; drawn from top to bottom.
        compared: DataFrame of `studies.compare.compare_arms`, of the same arms.
    """
    figure, (left, right) = style.new_panels(0.55 + 0.27 * len(accuracies), 2, sharey=True, width_ratios=[3, 2])
    for row, (arm, values) in enumerate(accuracies.items()):
        mean, found = np.mean(values), compared.loc[arm]
        left.plot(values, [row] * len(values), "o", color=style.VALIDATION, ms=4, mfc="white", clip_on=False)
        left.plot([mean, mean], [row - 0.3, row + 0.3], color=style.INK, lw=1.6, solid_capstyle="butt")
        style.note(left, f"{mean:.1%}", (max(values), row), (6, 0), va="center", fontsize=7)
        if not np.isnan(found["difference"]):
            style.draw_interval(right, row, found[["difference", "low", "high"]], solid_capstyle="projecting")
    right.axvline(0, color=style.QUIET, lw=0.8, zorder=0)
    style.name_rows(left, list(accuracies))
    left.set(xlabel=words("accuracy: a circle per run, a bar at their mean"))
    style.percent(left.xaxis, decimals=None)
    left.margins(x=0.12)
    right.set(xlabel=words("points against {arm}", arm=compared.index[0]))
    right.tick_params(axis="y", length=0)
    return figure


@style.applied
def plot_scores(panels):
    """Plot several scores of the same arms side by side, with their 95 % intervals.

    Args:
        panels: dict of score -> dict of arm -> (value, low, high, …), such as a metrics.Estimate.
    """
    arms = list(next(iter(panels.values())))
    figure, axes = style.new_panels(0.6 + 0.26 * len(arms), len(panels), sharey=True)
    for axis, (score, estimates) in zip(axes, panels.items(), strict=True):
        for row, (arm, color) in enumerate(zip(arms, style.ARMS, strict=False)):
            style.draw_interval(axis, row, estimates[arm], size=4.5, color=color)
            value = estimates[arm][0]
            style.note(axis, f"{value:.3f}", (value, row), (0, 4), ha="center")
        axis.set_title(score)
        axis.tick_params(axis="y", length=0)
        axis.grid(axis="x")
        axis.margins(x=0.1)
    style.name_rows(axes[0], arms, above=0.7)
    return figure


@style.applied
def plot_recalls(compared):
    """Plot the recall of each class under each arm, with 95 % intervals.

    Args:
        compared: DataFrame of `studies.compare.compare_recalls`.
    """
    counts, arms = compared.groupby("class", sort=False)["n"].first(), compared["arm"].unique()
    figure, (axis,) = style.new_panels(0.4 + 0.14 * len(compared))
    for number, (arm, color) in enumerate(zip(arms, style.ARMS, strict=False)):
        rows = compared[compared["arm"] == arm]
        places = np.arange(len(rows)) + (number - (len(arms) - 1) / 2) * 0.24
        axis.hlines(places, rows["recall_low"], rows["recall_high"], color=color, lw=1.8, alpha=0.45)
        axis.plot(rows["recall"], places, "o", color=color, ms=4, label=arm)
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
    figure = style.new_figure(3.4)
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
        style.note(axis, f"{row.precision:.0%}", (row.round, row.n), (0, 2), ha="center", fontsize=5.5)


@style.applied
def plot_pseudo_classes(shares, truth):
    """Plot the classes of the first (light) and of the last (dark) pseudo-labels, one panel per arm.

    Args:
        shares: dict of arm -> (2, 7) shares in the first and in the last round that has any.
        truth: (7,) true shares of the images, drawn as black ticks.
    """
    figure, axes = style.new_panels(2.5, len(shares), sharex=True, sharey=True)
    places = np.arange(len(CLASSES))
    for axis, (arm, (first, last)) in zip(axes, shares.items(), strict=True):
        axis.barh(places - 0.2, first, height=0.36, color=EARLY, label=words("first pseudo-labels"))
        axis.barh(places + 0.2, last, height=0.36, color=RIGHT, label=words("last pseudo-labels"))
        axis.vlines(truth, places - 0.45, places + 0.45, color=style.INK, lw=1.4, label=words("true shares"))
        axis.set_title(arm)
        axis.tick_params(axis="y", length=0)
    axes[0].set(yticks=places, yticklabels=CLASSES)
    axes[0].xaxis.set_major_locator(MaxNLocator(3))
    axes[0].invert_yaxis()
    style.percent(axes[0].xaxis)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    figure.supxlabel(words("share of the pseudo-labels"))
    return figure


@style.applied
def plot_label_curve(curve, arms, labels):
    """Plot accuracy against the number of labels, and the arms that had `labels` of them side by side at their place.

    Args:
        curve: dict of number of labels -> (value, low, high, …) of supervised training, such as a metrics.Estimate.
        arms: dict of arm -> the same.
        labels: int.
    """
    figure, (axis,) = style.new_panels(2.7)
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
