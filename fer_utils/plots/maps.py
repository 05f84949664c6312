"""Saliency maps, feature maps, receptive fields and activations, beside the images they belong to."""

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from PIL import Image

from fer_utils.labels import CLASSES, COLORS
from fer_utils.plots import style
from fer_utils.words import number, words

# Edges of nested receptive fields, from the smallest to the largest.
NESTED = ("#FFFFFF", "#FFD24D", "#F08A24", "#C0392B", "#7A1F5C", "#2B1B4D", "#111111", "#555555")


# -- saliency maps -----------------------------------------------------------------------------------------------------


@style.applied
def plot_class_maps(images, maps, means, names):
    """Plot an image per class, its map laid over it, the pixels that count most, and the mean map of the class.

    All maps of a row share one scale, from 0 (white) on; negative values are white.

    Args:
        images: (n, 48, 48, 1), one per class.
        maps: (n, 48, 48), of these images.
        means: (n, 48, 48), each the mean of many images of the class.
        names: n titles.
    """
    figure, axes = style.new_grid(4 * 0.64 + 0.2, 4, len(images))
    for column, image, one, mean, name in zip(axes.T, images, maps, means, names, strict=True):
        style.show(column[0], image, name)
        style.show(column[1], image)
        show_map(column[1], one, scale_top(maps), alpha=0.7 * np.clip(one / scale_top(maps), 0, 1), cmap="Reds")
        style.show(column[2], np.where(one >= np.quantile(one, 0.8), np.squeeze(image), 255))
        style.frame(column[2])
        show_map(column[3], mean, scale_top(means))
    heads = [words("image"), _scaled(words("map"), maps), words("top fifth"), _scaled(words("mean map"), means)]
    for axis, head in zip(axes[:, 0], heads, strict=True):
        style.row_label(axis, head)
    return figure


def _scaled(name, maps):
    """Return a label with the scale of its maps below it."""
    return words("{name}\n0–{top:.2g}", name=name, top=scale_top(maps))


@style.applied
def plot_saliency(images, maps, names):
    """Plot each image beside its map by every method.

    The maps of a column share one scale, from 0 (white) to the value above it; negative values are white.

    Args:
        images: (n, 48, 48, 1).
        maps: dict of method -> (n, 48, 48).
        names: n row labels.
    """
    figure, axes = style.new_grid(len(images) * 0.68 + 0.35, len(images), len(maps) + 1)
    for axis, image, name in zip(axes[:, 0], images, names, strict=True):
        style.show(axis, image)
        style.row_label(axis, name)
    for column, (name, values) in zip(axes.T[1:], maps.items(), strict=True):
        for axis, one in zip(column, values, strict=True):
            show_map(axis, one, scale_top(values))
        style.stack(style.small_title(column[0], _scaled(name, values)))
    return figure


@style.applied
def plot_map_rows(images, rows, titles, one_scale=False):
    """Plot a row of images above rows of their maps, each with its scale on the left.

    Args:
        images: (n, 48, 48, 1) grey levels 0…255; n <= 10 or so.
        rows: dict of name -> (n, 48, 48); 0 and negative values are white.
        titles: n short strings above the images.
        one_scale: all rows share the largest scale, so that they can be compared with each other.
    """
    side = (style.WIDTH - 1.2) / len(images)
    figure, axes = style.new_grid((len(rows) + 1) * side + 0.2, len(rows) + 1, len(images))
    for axis, image, title in zip(axes[0], images, titles, strict=True):
        style.show(axis, image, title)
    tops = [scale_top(maps) for maps in rows.values()]
    for line, (name, maps), top in zip(axes[1:], rows.items(), tops, strict=True):
        top = max(tops) if one_scale else top
        for axis, one in zip(line, maps, strict=True):
            show_map(axis, one, top)
        style.row_label(line[0], words("{name}\n0–{top:.2g}", name=name, top=top))
    return figure


@style.applied
def plot_region_shares(panels, by_area):
    """Plot the share of each class's maps in a region of the face, one panel per region, a line at its area.

    Args:
        panels: dict of region -> dict of class -> (value, low, high, …), such as a metrics.Estimate.
        by_area: dict of region -> its share of the image.
    """
    names = list(next(iter(panels.values())))
    figure, axes = style.new_panels(0.45 + 0.15 * len(names), len(panels), sharey=True, sharex=True)
    for axis, (region, estimates) in zip(axes, panels.items(), strict=True):
        for row, name in enumerate(names):
            style.draw_interval(axis, row, estimates[name], alpha=0.45)
        axis.axvline(by_area[region], color=style.TRAIN, lw=1, ls="--")
        axis.set_title(words("{region}  (area {share:.1%})", region=region, share=by_area[region]))
        axis.tick_params(axis="y", length=0)
        axis.grid(axis="x")
        style.percent(axis.xaxis)
    style.name_rows(axes[0], names)
    axes[0].set(xlim=(0, None))
    return figure


def scale_top(maps):
    """Return the end of a scale: one pixel in two hundred may lie above it, so that outliers do not fade the rest."""
    return max(float(np.quantile(maps, 0.995)), 1e-12)


def show_map(axis, values, top, cmap="Blues", **settings):
    """Show a map in a frame, from 0 (white) to `top`."""
    axis.imshow(values, cmap=cmap, vmin=0, vmax=top, **style.AS_IT_IS, **settings)
    style.frame(axis)


# -- what the layers make of one image ---------------------------------------------------------------------------------


@style.applied
def plot_feature_maps(image, maps, chosen):
    """Plot each layer's strongest and weakest channels in one row, behind the image at the resolution of the layer.

    Args:
        image: (48, 48, 1) uint8.
        maps: dict of layer -> (height, width, channels); 0 and negative values are white.
        chosen: dict of layer -> (strongest, weakest), each an array of channel numbers with one scale of its own.
    """
    most = [max(1, *(len(rows[kind]) for rows in chosen.values())) for kind in (0, 1)]
    ratios = [1, 0.1, *[1] * most[0], 0.1, *[1] * most[1]]
    height = min((style.WIDTH - 1.6) / sum(ratios), 0.7) + 0.17
    figure, axes = style.new_grid(len(maps) * height + 0.16, len(maps), len(ratios), width_ratios=ratios)
    for line, (layer, values) in zip(axes, maps.items(), strict=True):
        high, wide = values.shape[:2]
        style.show(line[0], _shrink(image, (wide, high)))
        style.row_name(line[0], f"{layer}\n{high}×{wide}")
        for place, channels in zip((2, most[0] + 3), chosen[layer], strict=True):
            _show_channels(line[place : place + len(channels)], values, channels)
    for place, kind in ((2, words("strongest")), (most[0] + 3, words("weakest"))):
        style.group_name(axes[0, place], kind)
    style.leave_headroom(figure)
    return figure


def _shrink(image, size):
    """Return a grey image of (width, height), each pixel the mean of those that it stands for."""
    return np.asarray(Image.fromarray(np.squeeze(image)).resize(size, Image.Resampling.BOX))


def _show_channels(axes, values, channels):
    """Show these channels with one scale, given on the left."""
    top = values[..., channels].max(initial=1e-12)
    for axis, channel in zip(axes, channels, strict=True):
        show_map(axis, values[..., channel], top)
        style.small_title(axis, channel, pad=1.5)
    if len(axes):
        style.row_label(axes[0], f"0–{number(top, '.2g')}")


@style.applied
def plot_receptive_fields(image, fields, heats, cores):
    """Plot the receptive field of one place per layer as nested squares, and how much each pixel contributes to it.

    Args:
        image: (48, 48, 1) uint8.
        fields: dict of layer -> (first row, first column, side) in pixels, with a dashed edge on the maps.
        heats: dict of layer -> (48, 48), >= 0; each has its own scale, from 0 (white) on.
        cores: likewise, of the square that holds most of the map, with a red edge.
    """
    ratios = [1.5] + [1] * len(fields)
    height = 1.5 * (style.WIDTH - 0.3) / sum(ratios) + 0.2
    figure, (first, *others) = style.new_panels(height, len(ratios), width_ratios=ratios)
    style.show(first, image)
    room = 72 * (style.WIDTH - 0.3) / sum(ratios) / 0.55 / max(17, *map(len, fields))  # points a letter may be high
    for axis, (layer, field), color in zip(others, fields.items(), NESTED, strict=False):
        _outline(first, *field, ec=color)
        _write_side(first, *field)
        show_map(axis, heats[layer], scale_top(heats[layer]))
        _outline(axis, *field, ec=style.INK, ls=(0, (3, 2)))
        _outline(axis, *cores[layer], ec=style.TRAIN)
        narrow = room < style.SMALL
        name = layer.replace("_", "_\n", 1) if narrow else layer
        sides = {"layer": name, "field": field[2], "core": cores[layer][2]}
        title = style.small_title(axis, words("{layer}\nfield {field}, core {core}", **sides), pad=3)
        if narrow:
            style.stack(title)
    style.close_up(figure)
    return figure


def _outline(axis, row, column, side, **look):
    """Draw a square's edge; where the square leaves the image, the image's edge."""
    (left, right), (top, bottom) = ((max(n, 0) - 0.5, min(n + side, 48) - 0.5) for n in (column, row))
    axis.add_patch(Rectangle((left, top), right - left, bottom - top, fc="none", lw=1.1, clip_on=False, **look))


def _write_side(axis, row, column, side):
    """Write a square's side into its upper left corner."""
    text = axis.text(max(column, 0) + 0.3, max(row, 0) + 0.3, side, va="top", fontsize=style.SMALL, color="white")
    text.set_path_effects([withStroke(linewidth=1.5, foreground=style.INK)])


@style.applied
def plot_dense_outputs(units, dead, logits, probs, true):
    """Plot the activations of a dense layer's units, then the logits and the probabilities of the classes.

    Args:
        units: (n,) activations.
        dead: (n,) bool, units that no image brings above 0; they stand last, shaded.
        logits, probs: (7,).
        true: the true class, framed.
    """
    figure, (left, middle, right) = style.new_panels(1.75, 3, width_ratios=[2.6, 1.2, 0.9])
    _draw_units(left, units, dead)
    for axis, values, title in ((middle, logits, "logits"), (right, probs, words("probabilities"))):
        _draw_classes(axis, values, true)
        axis.set_title(title)
    middle.set_yticks(range(len(CLASSES)), CLASSES, fontsize=style.SMALL)
    middle.margins(x=0.38)  # room for the numbers on both sides
    right.set(yticks=[], xlim=(0, 1.3))
    return figure


def _draw_units(axis, units, dead):
    """Draw the units in descending order, the dead ones last."""
    order = np.lexsort((-units, dead))
    axis.stairs(units[order], fill=True, color=style.QUIET)
    axis.axhline(0, color=style.QUIET, lw=0.6)
    axis.set(xlim=(0, len(units)), xlabel=words("unit, the strongest first"), ylabel=words("activation"))
    if dead.any():
        axis.axvspan(len(units) - dead.sum(), len(units), color=style.TRAIN, alpha=0.15, lw=0)
        place = {"xycoords": ("data", "axes fraction"), "ha": "right", "va": "top"}
        style.note(axis, words("dead: {n}", n=dead.sum()), (len(units), 0.98), (0, 0), color=style.TRAIN, **place)


def _draw_classes(axis, values, true):
    """Draw a bar per class from 0 on with its value beside it; the true class has a dark frame."""
    rows = np.arange(len(values))
    edges = [style.INK if c == true else "none" for c in rows]
    drawn = axis.barh(rows, values, color=COLORS, edgecolor=edges, linewidth=0.9, height=0.8)
    axis.bar_label(drawn, [number(value, ".2f") for value in values], fontsize=style.SMALL, padding=2)
    axis.axvline(0, color=style.QUIET, lw=0.6)
    axis.set(xticks=[])
    axis.invert_yaxis()
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
