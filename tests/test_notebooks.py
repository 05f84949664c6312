"""The notebooks as they are committed, and as they run: really, in a kernel, in the smoke profile."""

import ast
import json
import re
import tempfile
from pathlib import Path

import nbformat
import numpy as np
import papermill
import pytest
from fer_report import copies, execute
from fer_report.project import Project

from fer_utils import presets, recorded

KIT = Path(__file__).resolve().parents[1]
HAN = re.compile(r"[\u3400-\u9fff]")
NOTEBOOKS = sorted((KIT / "notebooks").glob("*.ipynb"))


def read(path):
    return nbformat.read(path, as_version=4)


def tagged(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestAsCommitted:
    def test_is_valid_and_stripped(self, path):
        notebook = read(path)
        nbformat.validate(notebook)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                assert cell.outputs == [] and cell.execution_count is None

    def test_keeps_cells_short(self, path):
        for cell in read(path).cells:
            if cell.cell_type == "code":
                assert len(cell.source.splitlines()) <= 15, cell.source

    def test_ends_with_three_things_to_try(self, path):
        *_, last = read(path).cells
        heading, *bullets = [line for line in last.source.splitlines() if line]
        assert heading == "## Try" and len(bullets) == 3 and all(line.startswith("- ") for line in bullets)
        assert last.metadata.tags == ["remove-cell"]  # for those who sit at the notebook

    def test_parameters_are_literals_with_help(self, path):
        (cell,) = tagged(read(path), "parameters")
        for line, node in zip(cell.source.splitlines(), ast.parse(cell.source).body, strict=True):
            assert isinstance(node, ast.Assign)
            ast.literal_eval(node.value)
            assert "  # " in line, f"no help: {line}"

    def test_no_measured_number_is_typed_into_text(self, path):
        """Shares and accuracies come from code; the few numbers that stand in text are definitions."""
        for cell in read(path).cells:
            if cell.cell_type == "markdown" and "remove-cell" not in cell.metadata.get("tags", []):
                assert "0." not in cell.source.replace("0.1", ""), cell.source


def test_all_of_them_are_short():
    cells = [cell for path in NOTEBOOKS for cell in read(path).cells if cell.cell_type == "code"]
    assert sum(bool(line.strip()) for cell in cells for line in cell.source.splitlines()) <= 1_600


@pytest.fixture(scope="module")
def kernels(few_faces):
    """The report's own kernels, on few faces."""
    kernels = execute.Kernels(Project(KIT), jobs=2)
    kernels.environment["FER_DATA"] = str(few_faces)
    return kernels


def run(path, kernels, **given):
    """Execute a notebook in the smoke profile."""
    with tempfile.TemporaryDirectory(prefix="fer-") as scratch:  # a short path: sockets allow some 100 characters
        return papermill.execute_notebook(
            str(path),
            None,
            {"profile": "smoke"} | given,
            cwd=str(path.parent),
            progress_bar=False,
            kernel_manager_class=kernels.manager_class(scratch),
        )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_in_smoke_and_shows_captioned_things(path, kernels):
    executed = run(path, kernels)
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    shown = [output["metadata"]["fer"] for output in outputs if "fer" in output.get("metadata", {})]
    kinds = [fer["kind"] for fer in shown]
    assert {"say", "figure", "table"} <= set(kinds)
    names = [fer["name"] for fer in shown if "name" in fer]
    assert len(names) == len(set(names))
    text = json.dumps([cell.source for cell in executed.cells], ensure_ascii=False)
    for name in names:
        if not name[4:5].isdigit():
            assert f"(#{name})" in text, f"no text refers to {name}"


def test_a_chinese_copy_runs_and_speaks_chinese(kernels, tmp_path):
    copy = copies.in_one_language(Project(KIT), KIT / "notebooks/curves.ipynb", "zh-TW")
    nbformat.write(copy, tmp_path / "curves.ipynb")
    executed = run(tmp_path / "curves.ipynb", kernels)
    assert all(HAN.search(cell.source) for cell in executed.cells if cell.cell_type == "markdown")
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    shown = [
        output for output in outputs if output.get("metadata", {}).get("fer", {}).get("kind") in ("say", "caption")
    ]
    assert len(shown) > 5 and all(HAN.search(output["data"]["text/markdown"]) for output in shown)


# -- what is explained only of networks that have learned something ----------------------------------------------------

EXPLAINED = {"dnn": "fig-weights", "curves": "fig-reliability"}


def shown(executed):
    """Return the names of figures and tables, and all text, of an executed notebook."""
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    shown = [output for output in outputs if "fer" in output.get("metadata", {})]
    names = {output["metadata"]["fer"].get("name") for output in shown}
    return names, " ".join(output["data"].get("text/markdown", "") for output in shown)


@pytest.fixture(scope="module")
def plain_classes(tmp_path_factory):
    """Path of 420 images whose class is where they are bright: any network learns it in a few epochs."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("data") / "plain.npz"
    labels = np.arange(420) % 7
    images = rng.integers(0, 40, (420, 48, 48, 1))
    for image, label in zip(images, labels, strict=True):
        image[6 * label : 6 * label + 9] += 200
    np.savez(path, images=images.astype(np.uint8), labels=labels, split=np.repeat(["train", "val", "public"], 140))
    return path


@pytest.mark.parametrize(("notebook", "figure"), EXPLAINED.items())
def test_a_network_that_has_learned_nothing_is_named_and_not_explained(notebook, figure, kernels):
    names, text = shown(run(KIT / f"notebooks/{notebook}.ipynb", kernels))
    assert "has learned nothing" in text and figure not in names
    assert f"(#{figure})" not in text


@pytest.mark.parametrize(("notebook", "figure"), EXPLAINED.items())
def test_networks_that_have_learned_something_are_explained(notebook, figure, kernels, plain_classes, monkeypatch):
    monkeypatch.setitem(kernels.environment, "FER_DATA", str(plain_classes))
    names, text = shown(run(KIT / f"notebooks/{notebook}.ipynb", kernels, preset="small", epochs=25))
    assert "learned nothing" not in text and figure in names
    assert f"(#{figure})" in text


# -- every preset, in every notebook that takes one --------------------------------------------------------------------

ASKING = [path for path in NOTEBOOKS if 'preset = "' in tagged(read(path), "parameters")[0].source]
EVERY = [*presets.PRESETS, *(f"pretrained:{name}" for name in recorded.names(weights=True))]
REFUSED = {"feature_maps": [p for p in EVERY if p.endswith("-dnn")]}  # it needs a CNN
# a sample for everyday: networks without a dense layer, without convolutions, and with two convs a block
SAMPLE = [
    ("filters", "fast"),
    ("poor_model", "pretrained:tiny"),
    ("dnn", "tiny"),
    ("dnn", "E-dnn"),
    ("saliency", "E-dnn"),
    ("curves", "C"),
]
ALL = [(path.stem, preset) for path in ASKING for preset in EVERY]


@pytest.mark.parametrize(
    ("notebook", "preset"),
    [pytest.param(*pair, marks=() if pair in SAMPLE else pytest.mark.long) for pair in ALL],
    ids=str,
)
def test_takes_every_preset(notebook, preset, kernels):
    path = KIT / "notebooks" / f"{notebook}.ipynb"
    if preset in REFUSED.get(notebook, []):
        with pytest.raises(papermill.PapermillExecutionError, match="has no convolutions.*choose the preset of a CNN"):
            run(path, kernels, preset=preset)
    else:
        run(path, kernels, preset=preset)
