"""What the layers make of one picture: feature maps, units as bars, and how much of the picture they see."""

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from PIL import Image

from fer_utils.labels import BILINGUAL, COLORS
from fer_utils.plots.maps import show_map, top_of
from fer_utils.plots.style import INK, QUIET, TRAIN, WIDTH, close_up, new_figure, row_label, show

NESTED = (
    "#FFFFFF",
    "#FFD24D",
    "#F08A24",
    "#C0392B",
    "#7A1F5C",
    "#2B1B4D",
    "#111111",
    "#555555",
)  # small to large field


def feature_maps(image, maps, chosen):
    """Each layer's strongest channels above its weakest, beside the picture as coarse as the layer's maps are.

    Args:
        image: (48, 48, 1) uint8.
        maps: dict of layer -> (h, w, channels); 0 is white, what is negative too.
        chosen: dict of layer -> (strongest, weakest), each an array of channel numbers. A row has one scale.
    """
    columns = max(1, *(len(row) for rows in chosen.values() for row in rows))
    side = min((WIDTH - 0.9) / (columns + 2.3), 0.7)
    figure = new_figure(len(maps) * (2 * side + 0.36))
    grid = figure.add_gridspec(2 * len(maps), columns + 1, width_ratios=[2.2] + [1] * columns)
    for number, (layer, values) in enumerate(maps.items()):
        height, width = values.shape[:2]
        picture = figure.add_subplot(grid[2 * number : 2 * number + 2, 0])
        show(picture, coarser(image, (width, height)), f"{layer}: {height}×{width}")
        for line, (word, channels) in enumerate(zip(("strongest", "weakest"), chosen[layer], strict=True)):
            top = values[..., channels].max(initial=1e-12)
            for column, channel in enumerate(channels, start=1):
                axis = figure.add_subplot(grid[2 * number + line, column])
                show_map(axis, values[..., channel], top)
                axis.set_title(channel, fontsize=5.5, loc="center", pad=1.5)
                if column == 1:
                    row_label(axis, f"{word}\n0–{top:.2g}")
    close_up(figure)
    return figure


def coarser(image, size):
    """A grey picture shrunk to (width, height), each pixel the mean of those that it stands for."""
    return np.asarray(Image.fromarray(np.squeeze(image)).resize(size, Image.Resampling.BOX))


def answer(units, dead, logits, probs, true):
    """A dense layer's units as bars, then what follows from them: the logits and the probabilities of the classes.

    Args:
        units: (n,) activations. dead: (n,) bool, units that no picture brings above 0; they stand last, marked.
        logits, probs: (7,). true: the true class, framed.
    """
    figure = new_figure(1.75)
    left, middle, right = figure.subplots(1, 3, width_ratios=[2.6, 1.2, 0.9])
    order = np.lexsort((-units, dead))
    left.stairs(units[order], fill=True, color=QUIET)
    left.axhline(0, color=QUIET, lw=0.6)
    left.set(xlim=(0, len(units)), xlabel="unit, the strongest first", ylabel="activation")
    if dead.any():
        left.axvspan(len(units) - dead.sum(), len(units), color=TRAIN, alpha=0.15, lw=0)
        place = {"xycoords": ("data", "axes fraction"), "ha": "right", "va": "top", "fontsize": 6.5, "color": TRAIN}
        left.annotate(f"dead: {dead.sum()}", (len(units), 0.98), **place)
    for axis, values, title in ((middle, logits, "logits"), (right, probs, "probabilities")):
        class_bars(axis, values, true)
        axis.set_title(title)
    middle.set_yticks(range(len(BILINGUAL)), BILINGUAL, fontsize=6)
    middle.margins(x=0.38)  # room for the numbers on both sides
    right.set(yticks=[], xlim=(0, 1.3))
    return figure


def class_bars(axis, values, true):
    """A bar for each class from 0 on, its value beside it; the true class has a dark frame."""
    rows = np.arange(len(values))
    frames = [INK if c == true else "none" for c in rows]
    drawn = axis.barh(rows, values, color=COLORS, edgecolor=frames, linewidth=0.9, height=0.8)
    axis.bar_label(drawn, [f"{value:.2f}".replace("-", "−") for value in values], fontsize=5.5, padding=2)
    axis.axvline(0, color=QUIET, lw=0.6)
    axis.set(xticks=[])
    axis.invert_yaxis()
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def receptive_fields(image, fields, heats, cores):
    """What one place of each layer sees: nested squares on the picture, then how much each pixel counts for it.

    Args:
        image: (48, 48, 1) uint8.
        fields: dict of layer -> (first row, first column, side) in pixels, with a dashed edge on the maps.
        heats: dict of layer -> (48, 48), >= 0; each has its own scale, from 0 (white) on.
        cores: likewise, of the square that holds most of the map, with a red edge.
    """
    figure = new_figure((WIDTH - 0.3) / (len(fields) + 1.5) * 1.5 + 0.2)
    first, *others = figure.subplots(1, len(fields) + 1, width_ratios=[1.5] + [1] * len(fields))
    show(first, image)
    for axis, (layer, field), color in zip(others, fields.items(), NESTED, strict=False):
        outline(first, *field, ec=color)
        side_of(first, *field)
        show_map(axis, heats[layer], top_of(heats[layer]))
        outline(axis, *field, ec=INK, ls=(0, (3, 2)))
        outline(axis, *cores[layer], ec=TRAIN)
        axis.set_title(f"{layer}\nfield {field[2]}, core {cores[layer][2]}", fontsize=6.5, loc="center", pad=3)
    close_up(figure)
    return figure


def outline(axis, row, column, side, **how):
    """A square's edge; where the square leaves the picture, the picture's edge."""
    (left, right), (top, bottom) = ((max(n, 0) - 0.5, min(n + side, 48) - 0.5) for n in (column, row))
    axis.add_patch(Rectangle((left, top), right - left, bottom - top, fc="none", lw=1.1, clip_on=False, **how))


def side_of(axis, row, column, side):
    """A square's side, written into its upper left corner."""
    text = axis.text(max(column, 0) + 0.3, max(row, 0) + 0.3, side, va="top", fontsize=6, color="white")
    text.set_path_effects([withStroke(linewidth=1.5, foreground=INK)])
