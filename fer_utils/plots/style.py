"""The style of all figures: as wide as the report's text, letters of 8 and 7 points; and the small parts they share."""

import contextlib
import importlib.util
from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib import font_manager
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import Formatter, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter

WIDTH = 16.6 / 2.54  # inches: the text width of the report: letters keep their size
SMALL = 7  # points: the smallest letters
INK, QUIET = "#222222", "#8A8A8A"
TRAIN, VALIDATION = "#C0392B", "#1F5FA8"  # red training, blue validation
NETWORKS = ("#0B7A75", "#D17A22", "#6D4C9F", "#7A7A7A")  # several networks in one panel: teal, orange …
ARMS = ("#6E6E6E", "#0072B2", "#D55E00", "#009E73", "#CC79A7")  # the first arm, the baseline, is grey


def _font_families():
    """Return the fonts: Noto Sans TC first, if installed, else labels that mix Chinese and maths lack letters."""
    wheel = importlib.util.find_spec("pylopdf_fonts_zh_tw")
    for font in Path(wheel.origin).parent.glob("*Sans*.[ot]tf") if wheel else ():
        font_manager.fontManager.addfont(font)
    known = font_manager.get_font_names()
    return [family for family in ("Noto Sans TC", "DejaVu Sans") if family in known]


STYLE = {
    "font.family": _font_families(),
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "axes.edgecolor": QUIET,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelcolor": INK,
    "axes.unicode_minus": False,
    "figure.labelsize": 8,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.5,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "legend.fontsize": SMALL,
    "lines.linewidth": 1.4,
    "svg.fonttype": "path",
    "svg.hashsalt": "fer",  # equal figures are equal bytes
}

# Decorator: run a function in this style on top of matplotlib's defaults, then restore the user's rcParams.
applied = matplotlib.style.context(STYLE, after_reset=True)


class StyledFigure(Figure):
    """A Figure that keeps the style: matplotlib reads some of the rcParams only when it draws or saves."""

    draw = applied(Figure.draw)
    savefig = applied(Figure.savefig)


def new_figure(height):
    """Return an empty figure as wide as the text, of this height in inches."""
    return StyledFigure(figsize=(WIDTH, height), layout="constrained")


def new_panels(height, columns=1, **settings):
    """Return a figure and the axes of its one row of panels."""
    figure = new_figure(height)
    return figure, figure.subplots(1, columns, squeeze=False, **settings)[0]


def new_grid(height, rows, columns, **settings):
    """Return a figure and its (rows, columns) axes, close together, of which nothing is seen until images are shown."""
    figure = new_figure(height)
    axes = figure.subplots(rows, columns, squeeze=False, **settings)
    for axis in axes.flat:
        axis.set_axis_off()
    close_up(figure)
    return figure, axes


def close_up(figure):
    """Leave small gaps between many images."""
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.02, hspace=0.02)


# -- axes and numbers --------------------------------------------------------------------------------------------------


def percent(axis, decimals=0):
    """Write the ticks of an x- or y-axis as percentages; `decimals=None` chooses as many as they need."""
    axis.set_major_formatter(PercentFormatter(1, decimals=decimals, symbol="\u00a0%"))  # as `words.number`


def whole_numbers(axis):
    """Place ticks at whole numbers only, such as epochs; one number may be all there is."""
    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def plain_log_ticks(axis):
    """Place ticks at 1, 2 and 5 times the powers of ten, as far as there is room: powers alone are few in a decade."""
    decades = np.ptp(np.log10(axis.get_view_interval()))
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if 3 * decades <= axis.get_tick_space() else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def name_rows(axis, names, above=0.5):
    """Name the rows 0, 1, … of a panel, from top to bottom; `above` is the room over the first row."""
    axis.set(yticks=range(len(names)), yticklabels=names)
    axis.set_ylim(len(names) - 0.5, -above)


def draw_interval(axis, row, estimate, size=4, **line):
    """Draw (value, low, high, …) as a dot of this size on a line, in a row of the panel."""
    value, low, high, *_ = estimate
    line = {"color": VALIDATION, "lw": 2, "alpha": 0.5, "solid_capstyle": "round"} | line
    axis.plot([low, high], [row, row], **line)
    axis.plot(value, row, "o", color=line["color"], ms=size)


def note(axis, words, place, shift, **style):
    """Write a small text, shifted by (x, y) points from its place."""
    axis.annotate(words, place, xytext=shift, textcoords="offset points", **{"fontsize": SMALL} | style)


# -- images ------------------------------------------------------------------------------------------------------------

# `imshow` with these saves an image as it is; otherwise matplotlib resamples it. A clip would be named by the last
# digits of its place, and equal figures would not be equal bytes.
AS_IT_IS = {"interpolation": "none", "clip_on": False}


def show(axis, image, title=None):
    """Show a grey image, levels 0…255, without axes."""
    axis.imshow(np.reshape(image, np.shape(image)[:2]), cmap="gray", vmin=0, vmax=255, **AS_IT_IS)
    axis.set_axis_off()
    if title:
        small_title(axis, title)


def small_title(axis, words, size=SMALL, pad=2):
    """Write a title centred above an image; returns its Text."""
    return axis.set_title(words, fontsize=size, loc="center", pad=pad)


def frame(axis, width=0.3):
    """Draw a thin frame around an image."""
    axis.set_axis_on()
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set(visible=True, lw=width)


def group_name(axis, name):
    """Write a name above the titled first image of a group of columns; `leave_headroom` makes room for it."""
    axis.annotate(name, (0, 1), (0, 12), "axes fraction", textcoords="offset points").set_in_layout(False)


def leave_headroom(figure, inches=0.16):
    """Leave room above everything, such as for the names of groups."""
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - inches / figure.get_figheight()))


def row_label(axis, words, size=SMALL):
    """Frame the first image of a row and write a label to the left of it; returns its Text."""
    frame(axis)
    return axis.set_ylabel(words, rotation=0, ha="right", va="center", fontsize=size)


def stack(text):
    """Write the words of a Text below each other, in every language."""
    text.stacked = text.get_text()
    text.set_text(text.stacked.replace(" ", "\n"))


def row_name(axis, name):
    """Write a name to the left of the first image of a row, which keeps its axes off."""
    axis.text(-0.08, 0.5, name, transform=axis.transAxes, ha="right", va="center", fontsize=SMALL)


# -- other languages ---------------------------------------------------------------------------------------------------


def texts_of(figure):
    """Return the texts of a matplotlib Figure in order, each once: labels, titles, legends, names of ticks.

    Ticks get their texts when the figure is drawn or saved.
    """
    texts = [getattr(text, "stacked", text.get_text()) for text in figure.findobj(Text)]
    return [text for text in dict.fromkeys(texts) if any(map(str.isalpha, text))]


@contextlib.contextmanager
def relabelled(figure, say):
    """Give a figure other words for as long as the `with` lasts; the layout follows when it is saved.

    Args:
        figure: matplotlib Figure, of this package or any other.
        say: function from a text to what is written instead.
    """
    texts = {text: text.get_text() for text in figure.findobj(Text)}
    formatters = {axis: axis.get_major_formatter() for axis in figure.findobj(Axis)}
    try:
        for text, words in texts.items():
            stacked = getattr(text, "stacked", None)
            text.set_text(say(stacked).replace(" ", "\n") if stacked else say(words))
        for axis, formatter in formatters.items():
            axis.major.formatter = RelabelledTicks(formatter, say)
        yield figure
    finally:
        for text, words in texts.items():
            text.set_text(words)
        for axis, formatter in formatters.items():
            axis.major.formatter = formatter


class RelabelledTicks(Formatter):
    """The ticks of another formatter, each passed through the function `say`."""

    def __init__(self, inner, say):
        self.inner, self.say = inner, lambda text: say(text) if isinstance(text, str) else text  # or a bare number

    def __call__(self, value, position=None):
        return self.say(self.inner(value, position))

    def format_ticks(self, values):
        return list(map(self.say, self.inner.format_ticks(values)))

    def get_offset(self):
        return self.inner.get_offset()
