"""The architecture of a network: its blocks as boxes in rows, with shapes and parameters."""

from math import ceil

from matplotlib.patches import FancyBboxPatch
from matplotlib.textpath import TextPath

from fer_utils.plots import style
from fer_utils.words import words

SIZE = style.SMALL  # points
LEADING, PAD, GAP, MARGIN = 0.122, 0.05, 0.14, 0.12  # inches
MOST = 32  # boxes; of a longer network those in the middle are left out
NAME = "#5A5A5A"
TINTS = {"input": "#EEEEEE", "conv": "#D9ECEA", "dense": "#F7E6D3", "branches": "#E5DEEF"}


@style.applied
def plot_architecture(blocks):
    """Draw the blocks of a network as boxes; below each one the shape of its output, and its parameters.

    Args:
        blocks: list of dict, in order: name; kind ("input", "conv", "dense", "branches", or another one); says (list
            of texts, one a line); output (a shape); parameters.
    """
    shown = _fewer(blocks)
    width = _width(shown)
    columns = _columns(len(shown), width)
    rows = [shown[first : first + columns] for first in range(0, len(shown), columns)]
    tall = [LEADING * (max(len(block["says"]) for block in row)) + 2 * PAD for row in rows]
    figure = style.new_figure(sum(tall) + len(rows) * 4.5 * LEADING)
    figure.set_layout_engine("none")
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, style.WIDTH), ylim=(figure.get_figheight(), 0))
    axis.set_axis_off()
    left = (style.WIDTH - columns * (width + GAP) + GAP) / 2
    top, ends = 0.0, None
    for row, height in zip(rows, tall, strict=True):
        top += 1.4 * LEADING
        places = [left + column * (width + GAP) for column in range(len(row))]
        for place, block in zip(places, row, strict=True):
            _draw_block(axis, block, place, top, width, height)
        ends = _draw_arrows(axis, places, top + height / 2, width, ends, top - 1.25 * LEADING)
        top += height + 3.1 * LEADING
    return figure


def _fewer(blocks):
    """Return the blocks, with one in place of those in the middle if they are very many."""
    if len(blocks) <= MOST:
        return blocks
    left_out = len(blocks) - MOST + 1
    told = {"name": "…", "kind": "", "says": [words("{n} more blocks", n=left_out)], "output": (), "parameters": 0}
    first = MOST - 8
    return [*blocks[:first], told, *blocks[first + left_out :]]


def _width(blocks):
    """Return the width in inches of a box that holds the longest line."""
    lines = [line for block in blocks for line in [block["name"], *block["says"], _shape(block)]]
    widest = max(TextPath((0, 0), line, size=SIZE).get_extents().width for line in lines if line) / 72
    return min(max(widest + 2 * PAD, 0.7), style.WIDTH - 2 * MARGIN)


def _columns(count, width):
    """Return how many boxes a row has: all of them if they fit, else rows of about the same length with a margin."""
    in_one, in_several = (int((style.WIDTH - room + GAP) / (width + GAP)) for room in (0.04, 2 * MARGIN))
    return count if count <= in_one else ceil(count / ceil(count / max(in_several, 1)))


def _draw_block(axis, block, left, top, width, height):
    look = {"boxstyle": "round,pad=0,rounding_size=0.05", "ec": style.QUIET, "lw": 0.6}
    color = TINTS.get(block["kind"], "white")
    axis.add_patch(FancyBboxPatch((left, top), width, height, fc=color, **look))
    middle, font = left + width / 2, {"ha": "center", "va": "center", "fontsize": SIZE}
    axis.text(middle, top - 0.6 * LEADING, block["name"], color=NAME, **font)
    first = top + height / 2 - LEADING * (len(block["says"]) - 1) / 2
    for line, text in enumerate(block["says"]):
        axis.text(middle, first + LEADING * line, text, **font)
    below = [_shape(block), f"{block['parameters']:,}" if block["parameters"] else ""]
    for line, text in enumerate(below):
        axis.text(middle, top + height + LEADING * (0.8 + line), text, **font)


def _shape(block):
    return "×".join(f"{size:,}" for size in block["output"])


def _draw_arrows(axis, places, y, width, ends, between):
    """Draw the arrows of a row, and return where it ends.

    Args:
        places: left edges of its boxes. y: middle. ends: where the row above ended, or None. between: a height between
            the two rows.
    """
    arrow = {"arrowstyle": "-|>,head_width=0.12,head_length=0.22", "color": style.INK, "lw": 0.8, "shrinkA": 0}
    line = {"color": style.INK, "lw": 0.8, "solid_joinstyle": "miter", "solid_capstyle": "butt"}
    if ends:
        (x, above), left = ends, places[0] - MARGIN + 0.03
        axis.plot([x, x + 0.09, x + 0.09, left, left], [above, above, between, between, y], **line)
        _arrow(axis, left, places[0], y, arrow)
    for one, other in zip(places, places[1:], strict=False):
        _arrow(axis, one + width, other, y, arrow)
    return places[-1] + width, y


def _arrow(axis, start, end, y, look):
    axis.annotate("", (end, y), (start, y), arrowprops=look | {"shrinkB": 0})
