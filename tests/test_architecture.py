"""The import law: modules lean on `labels` and little else, and each heavy library has its room."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

KIT = Path(__file__).resolve().parents[1]
ROOMS = {path.stem: [path] for path in (KIT / "fer_utils").glob("*.py") if path.stem != "__init__"} | {
    path.parent.name: sorted(path.parent.glob("*.py")) for path in (KIT / "fer_utils").glob("*/__init__.py")
}
MODULES = sorted(ROOMS)
ENGINE = {"keras", "tensorflow"}

# module -> the kit's own modules that it may import (at any depth of its code)
MAY_IMPORT = {
    "labels": set(),
    "sources": {"labels"},
    "data": {"labels", "sources", "sample"},
    "sample": {"labels"},
    "audit": {"data", "labels", "evaluation"},
    "augment": set(),
    "models": {"labels", "pretrained"},
    "presets": set(),
    "pretrained": {"predict"},
    "runs": {"audit", "data", "presets", "pretrained", "training", "models"},
    "training": {"augment", "evaluation", "labels", "models", "pretrained"},
    "evaluation": {"labels"},
    "derivations": {"labels"},
    "explain": set(),
    "maximize": {"labels"},
    "plots": {"labels"},
    "predict": {"labels", "runs", "sources", "training"},
    "prose": set(),
    "selftrain": {"data", "evaluation", "labels", "presets", "runs", "fewlabels"},
    "fewlabels": {"augment", "evaluation", "labels", "models", "selftrain", "training"},
}
WITH_ENGINE = {  # runs: only to load a finished model
    "augment", "derivations", "explain", "maximize", "models", "fewlabels", "training", "runs",
}


def imports(path):
    """Full dotted names of everything a file imports, wherever in its code."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def roots(path):
    return {name.split(".")[0] for name in imports(path)}


def test_every_module_has_its_line_in_the_law_and_on_the_map():
    assert sorted(MAY_IMPORT) == MODULES
    map_of_modules = (KIT / "fer_utils/__init__.py").read_text()
    assert [name for name in MODULES if f"\n{name} " not in map_of_modules] == []


@pytest.mark.parametrize("module", MODULES)
def test_modules_import_what_the_law_allows(module):
    for path in ROOMS[module]:
        own = {name.split(".")[1] for name in imports(path) if name.startswith("fer_utils.")}
        assert own <= MAY_IMPORT[module] | {module}
        assert module in WITH_ENGINE or not roots(path) & ENGINE
        assert module == "plots" or not roots(path) & {"matplotlib", "seaborn"}
        assert module == "prose" or "IPython" not in roots(path)


def test_the_report_never_imports_the_engine():
    for path in (KIT / "report").rglob("*.py"):
        assert not roots(path) & ENGINE, path
        assert {name for name in imports(path) if name.startswith("fer_utils.")} <= {"fer_utils.data"}, path


@pytest.mark.parametrize("module", ["fer_utils.data", "fer_utils.runs", "fer_utils.metrics", "fer_report"])
def test_importing_is_light(module):
    code = f"import {module}, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not set(loaded.split()) & {"keras", "tensorflow", "matplotlib", "nbconvert", "papermill"}
