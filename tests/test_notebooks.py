"""The notebooks as they are committed, and as they run: really, in a kernel, in the smoke profile."""

import ast
import json
import tempfile
from pathlib import Path

import nbformat
import papermill
import pytest
from fer_report import execute
from fer_report.project import Project

KIT = Path(__file__).resolve().parents[1]
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

    def test_defines_nothing_and_keeps_cells_short(self, path):
        for cell in read(path).cells:
            if cell.cell_type == "code":
                nodes = ast.walk(ast.parse(cell.source))
                assert not any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in nodes)
                assert len(cell.source.splitlines()) <= 15, cell.source

    def test_parameters_are_literals_with_help(self, path):
        (cell,) = tagged(read(path), "parameters")
        for line, node in zip(cell.source.splitlines(), ast.parse(cell.source).body, strict=True):
            assert isinstance(node, ast.Assign)
            ast.literal_eval(node.value)
            assert "  # " in line, f"no help: {line}"

    def test_both_languages_in_pairs(self, path):
        markdown = [cell for cell in read(path).cells if cell.cell_type == "markdown"]
        languages = [cell.metadata.get("tags", []) for cell in markdown]
        languages = [tags[0] for tags in languages if tags]
        assert languages and languages == ["lang-en", "lang-zh-TW"] * (len(languages) // 2)

    def test_no_measured_number_is_typed_into_text(self, path):
        """Shares and accuracies come from code; the few numbers that stand in text are definitions."""
        for cell in read(path).cells:
            if cell.cell_type == "markdown":
                assert "0." not in cell.source.replace("0.1", ""), cell.source


@pytest.fixture(scope="module")
def kernels(few_faces):
    """The report's own kernels: forks of a process that has imported TensorFlow, on few faces."""
    with execute.Kernels(Project(KIT), jobs=2) as kernels:
        kernels.environment["FER_DATA"] = str(few_faces)
        kernels.warm_up()
        yield kernels


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_in_smoke_and_shows_captioned_things(path, kernels):
    with tempfile.TemporaryDirectory(prefix="fer-") as scratch:  # a short path: sockets allow some 100 characters
        executed = papermill.execute_notebook(
            str(path),
            None,
            {"profile": "smoke"},
            cwd=str(path.parent),
            progress_bar=False,
            kernel_manager_class=kernels.manager_class(scratch),
        )
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    shown = [output["metadata"]["fer"] for output in outputs if "fer" in output.get("metadata", {})]
    kinds = [fer["kind"] for fer in shown]
    assert {"say", "figure", "table"} <= set(kinds)
    names = [fer["name"] for fer in shown if "name" in fer]
    assert len(names) == len(set(names))
    text = json.dumps([cell.source for cell in executed.cells], ensure_ascii=False)
    for name in names:
        if name.startswith("fig-") and not name[4:5].isdigit():
            assert f"(#{name})" in text, f"no text refers to {name}"
