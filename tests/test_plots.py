"""The style belongs to the kit's figures alone: importing and drawing leave the user's matplotlib as it is."""

import importlib
import os
import pkgutil
import subprocess
import sys

import figures
import matplotlib.style
import numpy as np
import pytest
from IPython.core.pylabtools import print_figure

from fer_utils import plots
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
