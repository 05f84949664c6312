"""The style belongs to the kit's figures alone: importing and drawing leave the user's matplotlib as it is."""

import base64
import importlib
import io
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import figures
import matplotlib.style
import numpy as np
import pytest
from IPython.core.pylabtools import print_figure
from matplotlib.text import Text
from PIL import Image

from fer_utils import plots
from fer_utils.plots import style
from fer_utils.plots.images import plot_images

MODULES = [f"fer_utils.plots.{module.name}" for module in pkgutil.iter_modules(plots.__path__)]


def run(code, **environment):
    """Return what a new Python process prints."""
    clean = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    python = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(python, env=clean | environment, capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_package_imports_no_plot():
    assert run("import sys, fer_utils.plots; print('matplotlib' in sys.modules)") == "False"


def test_importing_the_plots_changes_neither_rcparams_nor_the_environment():
    code = f"""
import os, matplotlib
matplotlib.rcParams["font.size"] = 20
before = dict(matplotlib.rcParams), dict(os.environ)
import {", ".join(MODULES)}
print((dict(matplotlib.rcParams), dict(os.environ)) == before)"""
    assert run(code) == "True"


def test_drawing_and_saving_leave_the_rcparams():
    with matplotlib.style.context(figures.USERS_STYLE):
        before = dict(matplotlib.rcParams)
        figures.svg(plot_images(np.zeros((2, 48, 48))))
        assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("module", MODULES)
def test_every_plot_is_drawn_in_the_style(module):
    functions = {name: f for name, f in vars(importlib.import_module(module)).items() if name.startswith("plot_")}
    assert [name for name, function in functions.items() if not hasattr(function, "__wrapped__")] == []


# what has a size of its own in the style -> its points
SIZES = {name: value for name, value in style.STYLE.items() if name.endswith(("size", "labelsize", "titlesize"))}
SIZES |= {"small": style.SMALL, "note": None, "title of an image": None, "label of a row": None, "name of a row": None}


def drawn_size(name):
    """Return the points of the letters that a helper of the style writes when it is not told how large."""
    figure, (axis,) = style.new_panels(1)
    write = {
        "note": lambda: style.note(axis, "x", (0, 0), (0, 0)),
        "title of an image": lambda: style.small_title(axis, "x"),
        "label of a row": lambda: style.row_label(axis, "x"),
        "name of a row": lambda: style.row_name(axis, "x"),
    }
    write[name]()
    return next(text.get_fontsize() for text in figure.findobj(Text) if text.get_text() == "x")


@pytest.mark.parametrize("name", SIZES)
def test_letters_of_the_style_are_legible_at_the_width_of_the_text(name):
    assert pytest.approx(figures.TEXT_WIDTH) == style.WIDTH
    assert (SIZES[name] or drawn_size(name)) * figures.TEXT_WIDTH / style.WIDTH >= 7


def test_the_text_is_as_wide_as_in_the_report():
    kit = (Path(__file__).resolve().parents[1] / "report/typst/kit.typ").read_text("utf-8")
    assert "#let margin = (x: 2.2cm, top: 2.3cm, bottom: 2.1cm)" in kit  # of figures.TEXT_WIDTH and TEXT_HEIGHT


def test_an_image_is_saved_with_its_own_pixels():
    image = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    (data,) = re.findall(rb'xlink:href="data:image/png;base64,\n([^"]*)"', figures.svg(plot_images(image[None])))
    saved = Image.open(io.BytesIO(base64.b64decode(data)))
    assert saved.size == (48, 48) and np.allclose(saved.convert("L"), image, atol=1)  # a colour map rounds


def test_jupyter_shows_a_figure_as_it_is_saved():
    def shown():
        return print_figure(plot_images(np.zeros((2, 48, 48)), ["−1 生氣", "$x_i$"]))

    expected = shown()
    with matplotlib.style.context(figures.USERS_STYLE):
        assert shown() == expected


def test_without_the_chinese_font_figures_use_dejavu():
    code = """
import io, sys
sys.modules["pylopdf_fonts_zh_tw"] = None  # as if it were not installed
import numpy
from fer_utils.plots import images, style
images.plot_images(numpy.zeros((1, 48, 48)), ["Angry"]).savefig(io.BytesIO(), format="svg")
print(style.STYLE["font.family"][-1])"""
    assert run(code) == "DejaVu Sans"
