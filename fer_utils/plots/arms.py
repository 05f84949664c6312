"""Arms of an experiment: histories, scores with intervals, differences to the first arm, bags."""

import matplotlib
import numpy as np
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fer_utils.labels import BILINGUAL
from fer_utils.plots.classes import share_bars
from fer_utils.plots.style import ARMS, INK, QUIET, TRAIN, VALIDATION, new_figure


def arm_histories(histories):
    """Training and validation accuracy of every arm, a panel an arm, a line a seed; all panels share their axes.

    Args:
        histories: dict of name -> list of DataFrames with pass, accuracy, val_accuracy, one a seed.
    """
    columns = min(len(histories), 3)
    rows = -(-len(histories) // columns)
    figure = new_figure(0.25 + 1.45 * rows)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axis in axes.flat[len(histories) :]:
        axis.remove()
    for axis, (name, seeds) in zip(axes.flat, histories.items(), strict=False):
        for history in seeds:
            marker = "o" if len(history) < 12 else None
            training = axis.plot(history["pass"], history["accuracy"], color=TRAIN, marker=marker, ms=2.5)
            validation = axis.plot(history["pass"], history["val_accuracy"], color=VALIDATION, marker=marker, ms=2.5)
        axis.set_title(name)
        axis.grid(axis="y", color="#E6E6E6", lw=0.5)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes[0, 0].legend([*training, *validation], ["training", "validation"], loc="upper left")
    figure.supxlabel("pass", fontsize=8)
    figure.supylabel("accuracy", fontsize=8)
    return figure


def arm_dots(accuracies, compared):
    """Left every training as a dot and each arm's mean; right the difference to the first arm with its interval.

    Args:
        accuracies: dict of name -> list of accuracies, one a seed; drawn from top to bottom.
        compared: DataFrame of `metrics.compare_arms`, of the same arms.
    """
    figure = new_figure(0.55 + 0.27 * len(accuracies))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
    for place, (name, values) in enumerate(accuracies.items()):
        mean, row = np.mean(values), compared.loc[name]
        left.plot(values, [place] * len(values), "o", color=VALIDATION, ms=4, mfc="white", clip_on=False)
        left.plot([mean, mean], [place - 0.3, place + 0.3], color=INK, lw=1.6, solid_capstyle="butt")
        left.annotate(f"{mean:.1%}", (max(values), place), (6, 0), textcoords="offset points", va="center", fontsize=7)
        if not np.isnan(row["difference"]):
            right.plot([row["low"], row["high"]], [place, place], color=VALIDATION, lw=2, alpha=0.5)
            right.plot(row["difference"], place, "o", color=VALIDATION, ms=4)
    right.axvline(0, color=QUIET, lw=0.8, zorder=0)
    left.set(yticks=range(len(accuracies)), yticklabels=list(accuracies))
    left.set(xlabel="accuracy: a circle a training, a bar their mean")
    left.set_ylim(len(accuracies) - 0.5, -0.5)
    left.xaxis.set_major_formatter(PercentFormatter(1))
    left.margins(x=0.12)
    right.set(xlabel=f"points against {compared.index[0]}")
    right.tick_params(axis="y", length=0)
    return figure


def class_shares(shares):
    """What each class weighs in the training, a bar an arm.

    Args:
        shares: dict of arm -> (7,) shares that sum to 1.
    """
    return share_bars(shares, of="training", height=2.6, legend="upper right", written=True)


def scores(panels):
    """Several scores of the same arms side by side, with their 95 % intervals.

    Args:
        panels: dict of score -> dict of arm -> (value, low, high, …), such as an metrics.Estimate.
    """
    arms = list(next(iter(panels.values())))
    figure = new_figure(0.6 + 0.26 * len(arms))
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (score, estimates) in zip(axes, panels.items(), strict=True):
        for place, (arm, color) in enumerate(zip(arms, ARMS, strict=False)):
            value, low, high, *_ = estimates[arm]
            axis.plot([low, high], [place, place], color=color, lw=2, alpha=0.5, solid_capstyle="round")
            axis.plot(value, place, "o", color=color, ms=4.5)
            axis.annotate(f"{value:.3f}", (value, place), (0, 4), textcoords="offset points", ha="center", fontsize=6.5)
        axis.set_title(score)
        axis.tick_params(axis="y", length=0)
        axis.grid(axis="x", color="#E6E6E6", lw=0.5)
        axis.margins(x=0.1)
    axes[0].set(yticks=range(len(arms)), yticklabels=arms)
    axes[0].set_ylim(len(arms) - 0.5, -0.7)
    return figure


def recalls(compared):
    """How often each class is recognised under each arm, with 95 % intervals.

    Args:
        compared: DataFrame of `metrics.compare_recalls`.
    """
    classes, arms = compared["class"].unique(), compared["arm"].unique()
    figure = new_figure(0.4 + 0.14 * len(compared))
    axis = figure.subplots()
    for number, (arm, color) in enumerate(zip(arms, ARMS, strict=False)):
        rows = compared[compared["arm"] == arm]
        places = np.arange(len(rows)) + (number - (len(arms) - 1) / 2) * 0.24
        axis.hlines(places, rows["recall_low"], rows["recall_high"], color=color, lw=1.8, alpha=0.45)
        axis.plot(rows["recall"], places, "o", color=color, ms=4, label=arm)
    counts = compared.groupby("class")["n"].first()
    axis.set(yticks=range(len(classes)), yticklabels=[f"{BILINGUAL[c]}  (n = {counts[c]:,})" for c in classes])
    axis.set(xlabel="recall: share of the class that is recognised", xlim=(-0.02, 1.02))
    axis.set_ylim(len(classes) - 0.5, -0.5)
    axis.set_yticks(np.arange(len(classes) - 1) + 0.5, minor=True)
    axis.grid(axis="y", which="minor", color="#E6E6E6", lw=0.5)
    axis.tick_params(axis="y", which="both", length=0)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=len(arms))
    return figure


def bags(table, references):
    """Left every bag's gain over its own members against their disagreement; right accuracy against the bag's size.

    Args:
        table: DataFrame of `metrics.bags`.
        references: dict of name -> accuracy, drawn as lines across the right panel.
    """
    figure = new_figure(2.6)
    left, right = figure.subplots(1, 2)
    several, sizes = table[table["size"] > 1], table["size"].unique()
    colors = matplotlib.colormaps["viridis_r"](np.linspace(0.15, 1, max(len(sizes) - 1, 1)))
    for size, color in zip(sizes[1:], colors, strict=False):
        rows = several[several["size"] == size]
        left.plot(100 * rows["disagreement"], rows["gain"], "o", color=color, ms=3.5, label=f"{size}")
    left.axhline(0, color=QUIET, lw=0.8, zorder=0)
    left.set(xlabel="mean disagreement of two members, % of pictures", ylabel="gain over its members' mean, points")
    left.legend(title="members", title_fontsize=7, handletextpad=0.1, ncols=-(-len(sizes) // 5))
    right.plot(table["size"], table["accuracy"], "o", color=QUIET, ms=2.5, alpha=0.6, label="a bag")
    right.plot(table.groupby("size")["accuracy"].mean(), color=VALIDATION, marker="o", ms=4, label="mean of all bags")
    for (name, value), color, style in zip(references.items(), ARMS[2:], ("--", ":", "-."), strict=False):
        right.axhline(value, color=color, lw=1.2, ls=style, label=name)
    right.set(xlabel="members of the bag", ylabel="accuracy")
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    right.yaxis.set_major_formatter(PercentFormatter(1))
    right.legend()
    return figure
