"""Where a network looks: maps beside the pictures they belong to."""

import numpy as np
from matplotlib.ticker import PercentFormatter

from fer_utils.plots.style import TRAIN, VALIDATION, WIDTH, close_up, frame, new_figure, row_label, show


def saliency(images, maps, names):
    """Rows pictures; columns the original, a map for each method, and the first method's overlay and masked picture.

    A column's maps share one scale, from 0 (white) to the value above it; what is negative is white. The masked picture
    keeps the fifth of the pixels that the first method finds the most important.

    Args:
        images: (n, 48, 48, 1). maps: dict of method -> (n, 48, 48). names: n row labels.
    """
    first, columns = next(iter(maps.values())), len(maps) + 3
    side = (WIDTH - 0.75) / columns
    figure = new_figure(len(images) * side + 0.5)
    axes = figure.subplots(len(images), columns, squeeze=False)
    for row, image, name, one in zip(axes, images, names, first, strict=True):
        show(row[0], image)
        row_label(row[0], name.replace(" ", "\n"))
        show(row[-2], image)
        show_map(row[-2], one, top_of(first), alpha=0.7 * np.clip(one / top_of(first), 0, 1), cmap="Reds")
        show(row[-1], np.where(one >= np.quantile(one, 0.8), np.squeeze(image), 255))
        frame(row[-1])
    for column, (method, values) in zip(axes.T[1:], maps.items(), strict=False):
        for axis, one in zip(column, values, strict=True):
            show_map(axis, one, top_of(values))
        column[0].set_title(f"{method.replace(' ', chr(10))}\n0–{top_of(values):.2g}", fontsize=6, loc="center", pad=2)
    heads = ("picture", f"{next(iter(maps))},\noverlaid", "its top\nfifth")
    for axis, words in zip(axes[0, [0, -2, -1]], heads, strict=True):
        axis.set_title(words, fontsize=6, loc="center", pad=2)
    close_up(figure)
    return figure


def map_rows(images, rows, titles, one_scale=False):
    """A row of pictures and below it rows of their maps, each with its scale on the left.

    Args:
        images: (n, 48, 48, 1) grey levels 0…255; n <= 10 or so.
        rows: dict of name -> (n, 48, 48); 0 is white, what is negative too.
        titles: n short strings above the pictures.
        one_scale: all rows share the largest scale, so that they can be compared with each other.
    """
    figure = new_figure((len(rows) + 1) * (WIDTH - 1.2) / len(images) + 0.2)
    axes = figure.subplots(len(rows) + 1, len(images), squeeze=False)
    for axis, image, title in zip(axes[0], images, titles, strict=True):
        show(axis, image, title)
    tops = [top_of(maps) for maps in rows.values()]
    for line, (name, maps), top in zip(axes[1:], rows.items(), tops, strict=True):
        top = max(tops) if one_scale else top
        for axis, one in zip(line, maps, strict=True):
            show_map(axis, one, top)
        row_label(line[0], f"{name}\n0–{top:.2g}")
    close_up(figure)
    return figure


def top_of(maps):
    """Where a scale ends: one pixel in two hundred may lie above it, so that a single speck does not pale the rest."""
    return max(float(np.quantile(maps, 0.995)), 1e-12)


def show_map(axis, values, top, cmap="Blues", **how):
    axis.imshow(values, cmap=cmap, vmin=0, vmax=top, interpolation="nearest", **how)
    frame(axis)


def region_shares(panels, by_area):
    """Which share of each method's maps falls on a part of the face: a panel a part, a line the part's own area.

    Args:
        panels: dict of part -> dict of method -> (value, low, high, …), such as an metrics.Estimate.
        by_area: dict of part -> its share of the picture.
    """
    methods = list(next(iter(panels.values())))
    figure = new_figure(0.6 + 0.2 * len(methods))
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
