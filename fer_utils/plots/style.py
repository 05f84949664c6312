"""One look for all figures (as wide as the text, letters of 8 points), and the small parts that they share."""

import importlib.util
import os
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

WIDTH = 6.5  # inches: the text width of the report
INK, QUIET = "#222222", "#8A8A8A"
TRAIN, VALIDATION = "#C0392B", "#1F5FA8"  # red training, blue validation
NETWORKS = ("#0B7A75", "#D17A22", "#6D4C9F", "#7A7A7A")  # where one panel holds several networks: teal, orange …
ARMS = ("#6E6E6E", "#0072B2", "#D55E00", "#009E73", "#CC79A7")  # the first arm, what the others are compared with: grey


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


def new_figure(height, width=WIDTH):
    return Figure(figsize=(width, height), layout="constrained")


def show(axis, image, title=None):
    """One grey picture, without axes."""
    axis.imshow(np.squeeze(image), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axis.set_axis_off()
    if title:
        axis.set_title(title, fontsize=6.5, loc="center", pad=2)


def frame(axis):
    axis.set_axis_on()
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set(visible=True, lw=0.3)


def row_label(axis, words):
    frame(axis)
    axis.set_ylabel(words, rotation=0, ha="right", va="center", fontsize=6.5)


def row_name(axis, name):
    place = {"transform": axis.transAxes, "ha": "right", "va": "center", "fontsize": 7}
    axis.text(-0.08, 0.5, name, **place)


def note(axis, place, words, transform, side="left"):
    """A small text a little to the right (or left) of a place."""
    gap = 4 if side == "left" else -4
    axis.annotate(
        words, place, xycoords=transform, xytext=(gap, 0), textcoords="offset points", ha=side, va="top", fontsize=6.5
    )


def plain_log_ticks(axis):
    """Ticks at 1, 2 and 5 times the powers of ten, written out: a log axis over less than a decade has too few else."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def close_up(figure):
    """Small gaps between many pictures."""
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.02, hspace=0.02)
