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
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from fer_utils.labels import BILINGUAL, COLORS

WIDTH = 6.5  # inches: the text width of the report
INK, QUIET = "#222222", "#8A8A8A"
TRAIN, VALIDATION = "#C0392B", "#1F5FA8"  # red training, blue validation
NETWORKS = ("#0B7A75", "#D17A22", "#6D4C9F", "#7A7A7A")  # where one panel holds several networks: teal, orange …


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
    figure = _figure(0.4 + 1.5 * len(histories))
    axes = figure.subplots(len(histories), 2, squeeze=False, sharex="col" if against == "pass" else False, sharey="col")
    for row, (name, history) in zip(axes, histories.items(), strict=True):
        x = history["pass"] if against == "pass" else history["seconds"].cumsum()
        marker = "o" if len(x) < 12 else None
        for axis, quantity in zip(row, ("loss", "accuracy"), strict=True):
            axis.plot(x, history[quantity], color=TRAIN, marker=marker, ms=2.5, label="training")
            axis.plot(x, history[f"val_{quantity}"], color=VALIDATION, marker=marker, ms=2.5, label="validation")
            axis.set(ylabel=quantity, title=name)
            if against == "pass":
                axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        row[1].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    for axis in axes[-1]:
        axis.set_xlabel(against)
    axes[0, 0].legend()
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


# -- networks against each other ---------------------------------------------------------------------------------------


def learning(histories, starts):
    """Loss and accuracy of several networks in the same panels: left against passes, right against seconds (log).

    Args:
        histories: dict of name -> DataFrame as for `curves`; up to four.
        starts: dict of name -> pass where overfitting starts, or None; a ring marks it on the validation loss.
    """
    figure = _figure(3.7)
    axes = figure.subplots(2, 2, sharex="col", sharey="row")
    for (name, history), color in zip(histories.items(), NETWORKS, strict=False):
        for column, x in enumerate((history["pass"], history["seconds"].cumsum())):
            for axis, quantity in zip(axes[:, column], ("loss", "accuracy"), strict=True):
                axis.plot(x, history[quantity], "--", color=color, lw=1)
                axis.plot(x, history[f"val_{quantity}"], color=color, marker="o" if len(x) < 12 else None, ms=2.5)
            here = (history["pass"] == starts[name]).to_numpy()
            axes[0, column].plot(x[here], history["val_loss"][here], "o", mec=color, mfc="none", ms=8, gid="start")
    for axis, quantity in zip(axes[:, 0], ("loss", "accuracy"), strict=True):
        axis.set_ylabel(quantity)
    axes[1, 0].set_xlabel("passes")
    axes[1, 0].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes[1, 1].set(xlabel="seconds of training (log scale)", xscale="log")
    _plain_log_ticks(axes[1, 1].xaxis)
    axes[1, 0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    keys = [Line2D([], [], color=color, label=name) for name, color in zip(histories, NETWORKS, strict=False)]
    keys += [Line2D([], [], color=INK, label="validation"), Line2D([], [], color=INK, ls="--", lw=1, label="training")]
    if any(starts.values()):
        ring = {"marker": "o", "ls": "", "mec": INK, "mfc": "none", "ms": 7}
        keys.append(Line2D([], [], **ring, label="overfitting starts"))
    figure.legend(handles=keys, loc="outside upper left", ncols=len(keys))
    return figure


def _plain_log_ticks(axis):
    """Ticks at 1, 2 and 5 times the powers of ten, written out: a log axis over less than a decade has too few else."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def overfitting(histories, starts):
    """Where the losses part: a panel a network, the gap between training and validation shaded.

    Args:
        histories, starts: as for `learning`.
    """
    figure = _figure(2.1)
    axes = figure.subplots(1, len(histories), sharey=True, squeeze=False)[0]
    for axis, (name, history) in zip(axes, histories.items(), strict=True):
        x = history["pass"]
        marker = {"marker": "o" if len(x) < 12 else None, "ms": 2.5}
        axis.fill_between(x, history["loss"], history["val_loss"], color=QUIET, alpha=0.18, lw=0)
        axis.plot(x, history["loss"], color=TRAIN, label="training", **marker)
        axis.plot(x, history["val_loss"], color=VALIDATION, label="validation", **marker)
        axis.set(xlabel="passes", title=name)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if starts[name]:
            axis.axvline(starts[name], color=INK, lw=0.8, ls=":")
            _note(axis, (starts[name], 0.97), f"overfitting starts: {starts[name]}", axis.get_xaxis_transform())
    axes[0].set_ylabel("loss")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


def _note(axis, place, words, transform, side="left"):
    """A small text a little to the right (or left) of a place."""
    gap = 4 if side == "left" else -4
    axis.annotate(
        words, place, xycoords=transform, xytext=(gap, 0), textcoords="offset points", ha=side, va="top", fontsize=6.5
    )


def reliability(panels):
    """How often a network is right when it is so sure: a panel a network, dots on the diagonal know themselves.

    Args:
        panels: dict of network -> dict of name -> DataFrame from `evaluation.reliability`; the first one is drawn
            filled, with intervals, areas as the numbers of pictures; a second one hollow.
    """
    figure = _figure(2.9)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (network, series) in zip(axes, panels.items(), strict=True):
        axis.plot([0, 1], [0, 1], "--", color=QUIET, lw=0.8)
        for (name, table), color in zip(series.items(), (VALIDATION, TRAIN), strict=False):
            first = color == VALIDATION
            if first:
                axis.vlines(table["confidence"], table["low"], table["high"], color=color, lw=1.6, alpha=0.35)
            area = 6 + 200 * table["n"] / table["n"].sum()
            face = color if first else "none"
            axis.scatter(table["confidence"], table["accuracy"], area, fc=face, ec=color, lw=1, label=name, zorder=3)
        axis.set(xlabel="how sure it is", title=network, xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axis.legend(loc="upper left")
    axes[0].set_ylabel("how often it is right")
    axes[0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def shifts(pixels, estimates, baseline=None):
    """Accuracy against how far the pictures are shifted, with 95 % bands.

    Args:
        pixels: distances, ascending.
        estimates: dict of network -> list of evaluation.Estimate, one a distance.
        baseline: accuracy of an answer that ignores the picture, or None.
    """
    figure = _figure(2.4)
    axis = figure.subplots()
    for (name, points), color in zip(estimates.items(), NETWORKS, strict=False):
        value, low, high, _ = np.array(points).T
        axis.fill_between(pixels, low, high, color=color, alpha=0.15, lw=0)
        axis.plot(pixels, value, "o-", color=color, ms=3.5, label=name)
    if baseline is not None:
        axis.axhline(baseline, color=QUIET, lw=0.8, ls="--", label="always the most frequent class")
    axis.set(xlabel="shift in pixels (of 48)", ylabel="validation accuracy", xticks=pixels)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.legend(ncols=2)
    return figure


def weights(rows):
    """First-layer weights as pictures: red positive, blue negative, white 0; one scale a row.

    Args:
        rows: dict of name -> (n, height, width) floats; up to ten a row.
    """
    count = max(len(maps) for maps in rows.values())
    figure = _figure(len(rows) * (WIDTH / count + 0.22))
    for part, (name, maps) in zip(np.atleast_1d(figure.subfigures(len(rows))), rows.items(), strict=True):
        largest = np.abs(maps).max()
        part.suptitle(f"{name}  (±{largest:.2g})", x=0, ha="left", size=8)
        axes = part.subplots(1, count, squeeze=False)[0]
        for axis in axes:
            axis.set_axis_off()
        for axis, kernel in zip(axes, maps, strict=False):
            axis.imshow(kernel, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest")
    return figure


def systems(ours, reported, human=(0.60, 0.70)):
    """Test accuracy against the compute of the training, with what the reports say as hollow marks.

    Args:
        ours: dict of name ("A CNN") -> (compute, evaluation.Estimate); compute in FLOPs of the forward passes.
        reported: dict of name -> (compute, accuracy); compute is None where the report does not tell.
        human: share on which people agree with the labels, low and high.
    """
    figure = _figure(3.4)
    axis = figure.subplots()
    axis.axhspan(*human, color=QUIET, alpha=0.15, lw=0)
    axis.annotate(
        f"people agree: {50 * sum(human):.0f} ± {50 * (human[1] - human[0]):.0f} %",
        (0, human[1]), xycoords=axis.get_yaxis_transform(), xytext=(3, 2), textcoords="offset points",
        va="bottom", fontsize=6.5, color=QUIET,
    )  # fmt: skip
    known = {name: point for name, point in reported.items() if point[0] is not None}
    for name, (compute, value) in known.items():
        _mark(axis, name, compute, value, hollow=True)
    for name, (compute, estimate) in ours.items():
        color = _network_color(name)
        reach = [[estimate.value - estimate.low], [estimate.high - estimate.value]]
        axis.errorbar(compute, estimate.value, reach, color=color, lw=1, capsize=4, capthick=1)
        _mark(axis, name, compute, estimate.value)
        if name in known:
            axis.plot([compute, known[name][0]], [estimate.value, known[name][1]], ":", color=color, lw=0.7)
    unknown = [(name, value) for name, (compute, value) in reported.items() if compute is None]
    for name, value in unknown:  # in the margin, beyond the axis
        _mark(axis, name, 1.05, value, hollow=True, transform=axis.get_yaxis_transform(), clip_on=False)
    axis.set(xscale="log", xlabel="compute of the training: passes × pictures × FLOPs a picture (log scale)")
    axis.set_ylabel("test accuracy")
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.margins(x=0.08, y=0.08)
    if unknown:
        margin = {"ha": "center", "va": "bottom", "fontsize": 6.5, "color": QUIET, "transform": axis.transAxes}
        axis.text(1.05, 1.01, "passes\nnot told", **margin)
    kinds = [(color, name) for color, name in zip(NETWORKS, ("CNN", "DNN"), strict=False)]
    keys = [Line2D([], [], marker="o", ls="", color=color, ms=5, label=name) for color, name in kinds]
    keys += [Line2D([], [], marker="o", ls="", color=INK, ms=5, label="this kit"),
             Line2D([], [], marker="o", ls="", mec=INK, mfc="white", ms=5, label="the report")]  # fmt: skip
    figure.legend(handles=keys, loc="outside upper left", ncols=4)
    return figure


def _network_color(name):
    return NETWORKS["DNN" in name]


def _mark(axis, name, x, y, hollow=False, **where):
    """A dot with the system's letter in it."""
    color = _network_color(name)
    axis.plot(x, y, "o", mec=color, mfc="white" if hollow else color, ms=9, zorder=3, **where)
    letter = {"ha": "center", "va": "center_baseline", "fontsize": 6.5, "color": color if hollow else "white"}
    axis.text(x, y, name.split()[0], **letter, zorder=4, **where)


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


# -- explanations ------------------------------------------------------------------------------------------------------


def saliency(images, maps, names):
    """Rows pictures; columns the original, a map for each method, and the first method's overlay and masked picture.

    A column's maps share one scale, from 0 (white) to the value above it; what is negative is white. The masked picture
    keeps the fifth of the pixels that the first method finds the most important.

    Args:
        images: (n, 48, 48, 1). maps: dict of method -> (n, 48, 48). names: n row labels.
    """
    first, columns = next(iter(maps.values())), len(maps) + 3
    side = (WIDTH - 0.75) / columns
    figure = _figure(len(images) * side + 0.5)
    axes = figure.subplots(len(images), columns, squeeze=False)
    for row, image, name, one in zip(axes, images, names, first, strict=True):
        show(row[0], image)
        _row_label(row[0], name.replace(" ", "\n"))
        show(row[-2], image)
        _show_map(row[-2], one, _top(first), alpha=0.7 * np.clip(one / _top(first), 0, 1), cmap="Reds")
        show(row[-1], np.where(one >= np.quantile(one, 0.8), np.squeeze(image), 255))
        _frame(row[-1])
    for column, (method, values) in zip(axes.T[1:], maps.items(), strict=False):
        for axis, one in zip(column, values, strict=True):
            _show_map(axis, one, _top(values))
        column[0].set_title(f"{method.replace(' ', chr(10))}\n0–{_top(values):.2g}", fontsize=6, loc="center", pad=2)
    heads = ("picture", f"{next(iter(maps))},\noverlaid", "its top\nfifth")
    for axis, words in zip(axes[0, [0, -2, -1]], heads, strict=True):
        axis.set_title(words, fontsize=6, loc="center", pad=2)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.02, hspace=0.02)
    return figure


def map_rows(images, rows, titles, one_scale=False):
    """A row of pictures and below it rows of their maps, each with its scale on the left.

    Args:
        images: (n, 48, 48, 1) grey levels 0…255; n <= 10 or so.
        rows: dict of name -> (n, 48, 48); 0 is white, what is negative too.
        titles: n short strings above the pictures.
        one_scale: all rows share the largest scale, so that they can be compared with each other.
    """
    figure = _figure((len(rows) + 1) * (WIDTH - 1.2) / len(images) + 0.2)
    axes = figure.subplots(len(rows) + 1, len(images), squeeze=False)
    for axis, image, title in zip(axes[0], images, titles, strict=True):
        show(axis, image, title)
    tops = [_top(maps) for maps in rows.values()]
    for line, (name, maps), top in zip(axes[1:], rows.items(), tops, strict=True):
        top = max(tops) if one_scale else top
        for axis, one in zip(line, maps, strict=True):
            _show_map(axis, one, top)
        _row_label(line[0], f"{name}\n0–{top:.2g}")
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.02, hspace=0.02)
    return figure


def _top(maps):
    """Where a scale ends: one pixel in two hundred may lie above it, so that a single speck does not pale the rest."""
    return max(float(np.quantile(maps, 0.995)), 1e-12)


def _show_map(axis, values, top, cmap="Blues", **how):
    axis.imshow(values, cmap=cmap, vmin=0, vmax=top, interpolation="nearest", **how)
    _frame(axis)


def _frame(axis):
    axis.set_axis_on()
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set(visible=True, lw=0.3)


def _row_label(axis, words):
    _frame(axis)
    axis.set_ylabel(words, rotation=0, ha="right", va="center", fontsize=6.5)


def region_shares(panels, by_area):
    """Which share of each method's maps falls on a part of the face: a panel a part, a line the part's own area.

    Args:
        panels: dict of part -> dict of method -> (value, low, high, …), such as an evaluation.Estimate.
        by_area: dict of part -> its share of the picture.
    """
    methods = list(next(iter(panels.values())))
    figure = _figure(0.6 + 0.2 * len(methods))
    axes = figure.subplots(1, len(panels), sharey=True, sharex=True)
    for axis, (part, estimates) in zip(axes, panels.items(), strict=True):
        for place, method in enumerate(methods):
            value, low, high, *_ = estimates[method]
            axis.plot([low, high], [place, place], color=VALIDATION, lw=2, alpha=0.45, solid_capstyle="round")
            axis.plot(value, place, "o", color=VALIDATION, ms=4)
        axis.axvline(by_area[part], color=TRAIN, lw=1, ls="--")
        axis.set_title(f"{part}  (area {by_area[part]:.1%})")
        axis.tick_params(axis="y", length=0)
        axis.grid(axis="x", color="#E6E6E6", lw=0.5)
        axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes[0].set(yticks=range(len(methods)), yticklabels=methods, xlim=(0, None))
    axes[0].set_ylim(len(methods) - 0.5, -0.5)
    return figure


# -- arms of an experiment ---------------------------------------------------------------------------------------------

ARMS = ("#6E6E6E", "#0072B2", "#D55E00", "#009E73", "#CC79A7")  # the first arm, what the others are compared with: grey


def arm_histories(histories):
    """Training and validation accuracy of every arm, a panel an arm, a line a seed; all panels share their axes.

    Args:
        histories: dict of name -> list of DataFrames with pass, accuracy, val_accuracy, one a seed.
    """
    columns = min(len(histories), 3)
    rows = -(-len(histories) // columns)
    figure = _figure(0.25 + 1.45 * rows)
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
        compared: DataFrame of `evaluation.compare_arms`, of the same arms.
    """
    figure = _figure(0.55 + 0.27 * len(accuracies))
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


def picture_rows(rows):
    """The same pictures in several versions, a row a version, its name on the left.

    Args:
        rows: dict of name -> (n, 48, 48, 1) or (n, 48, 48) grey levels 0…255; n <= 10 or so.
    """
    columns = max(map(len, rows.values()))
    figure = _figure(len(rows) * (WIDTH - 1.2) / columns)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        for axis, image in zip(line, images, strict=True):
            show(axis, image)
        line[0].set_axis_on()
        line[0].set(xticks=[], yticks=[])
        line[0].spines[:].set_visible(False)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=7)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.02, hspace=0.02)
    return figure


# -- what units want to see --------------------------------------------------------------------------------------------


def wished(rows, heads=None):
    """Pictures in rows, such as the ways of maximising the same units; the activation stands under each picture.

    Args:
        rows: dict of name -> (images, activations): (n, 48, 48) grey levels 0…255 and (n,) floats.
        heads: n short strings above the columns, or None.
    """
    columns = max(len(images) for images, _ in rows.values())
    figure = _figure(len(rows) * ((WIDTH - 1.1) / columns + 0.14) + 0.2)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for line, (name, (images, activations)) in zip(axes, rows.items(), strict=True):
        for axis, image, activation in zip(line, images, activations, strict=False):
            show(axis, image)
            _under(axis, activation)
        _row_name(line[0], name)
    for axis, head in zip(axes[0], heads or [], strict=False):
        axis.set_title(head, fontsize=6.5, loc="center", pad=2)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.03, hspace=0.0)
    return figure


def wished_and_found(rows):
    """A unit's synthetic picture beside the real patches that excite it most, a row a unit, with activations.

    Args:
        rows: dict of name -> (image, activation, patches, activations): (48, 48) and a float of the synthetic picture,
            (top, size, size) and (top,) of the real ones. Grey levels 0…255; NaN (beyond the picture) stays white.
    """
    columns = 1 + max(len(found) for _, _, found, _ in rows.values())
    side = (WIDTH - 0.8) / (columns + 0.5)
    figure = _figure(len(rows) * (side + 0.16) + 0.16)
    axes = figure.subplots(len(rows), columns + 1, squeeze=False, width_ratios=[1, 0.3] + [1] * (columns - 1))
    for axis in axes.flat:
        axis.set_axis_off()
    for line, (name, (image, activation, found, activations)) in zip(axes, rows.items(), strict=True):
        pictures, values = [image, *found], [activation, *activations]
        for axis, picture, value in zip(np.delete(line, 1), pictures, values, strict=False):
            show(axis, picture)
            _under(axis, value)
        _row_name(line[0], name)
    axes[0, 0].set_title("synthetic", fontsize=6.5, loc="center", pad=2)
    axes[0, 2].set_title("real, the strongest first", fontsize=6.5, loc="left", pad=2)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.03, hspace=0.0)
    return figure


def _under(axis, activation):
    """The activation under a picture, and a thin frame: a picture may be as white as the page."""
    axis.set_axis_on()
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set(visible=True, color=QUIET, linewidth=0.4)
    place = {"transform": axis.transAxes, "ha": "center", "va": "top", "fontsize": 5.5, "color": INK}
    axis.text(0.5, -0.03, f"{activation:.3g}".replace("-", "−"), **place)


def _row_name(axis, name):
    place = {"transform": axis.transAxes, "ha": "right", "va": "center", "fontsize": 7}
    axis.text(-0.08, 0.5, name, **place)


# -- rare classes ------------------------------------------------------------------------------------------------------


def class_shares(shares):
    """What each class weighs in the training, a bar an arm.

    Args:
        shares: dict of arm -> (7,) shares that sum to 1.
    """
    figure = _figure(2.6)
    axis = figure.subplots()
    height = 0.8 / len(shares)
    for number, ((arm, values), color) in enumerate(zip(shares.items(), ARMS, strict=False)):
        places = np.arange(len(BILINGUAL)) + (number - (len(shares) - 1) / 2) * height
        axis.barh(places, values, height=0.85 * height, color=color, label=arm)
        for place, value in zip(places, values, strict=True):
            axis.text(value, place, f" {value:.1%}", va="center", fontsize=6)
    axis.set(yticks=range(len(BILINGUAL)), yticklabels=BILINGUAL, xlabel="share of the training")
    axis.invert_yaxis()
    axis.tick_params(axis="y", length=0)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.legend(loc="upper right")
    return figure


def scores(panels):
    """Several scores of the same arms side by side, with their 95 % intervals.

    Args:
        panels: dict of score -> dict of arm -> (value, low, high, …), such as an evaluation.Estimate.
    """
    arms = list(next(iter(panels.values())))
    figure = _figure(0.6 + 0.26 * len(arms))
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
        compared: DataFrame of `evaluation.compare_recalls`.
    """
    classes, arms = compared["class"].unique(), compared["arm"].unique()
    figure = _figure(0.4 + 0.14 * len(compared))
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


# -- ensembles ---------------------------------------------------------------------------------------------------------


def bags(table, references):
    """Left every bag's gain over its own members against their disagreement; right accuracy against the bag's size.

    Args:
        table: DataFrame of `evaluation.bags`.
        references: dict of name -> accuracy, drawn as lines across the right panel.
    """
    figure = _figure(2.6)
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
