"""Who may import whom, the size of the core, and which modules a notebook's outputs depend on."""

import ast
import json
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from fer_report import keys

KIT = Path(__file__).resolve().parents[1]
FILES = {
    ".".join(path.relative_to(KIT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (KIT / "fer_utils").rglob("*.py")
}
MODULES = sorted(name.removeprefix("fer_utils.") for name in FILES if name != "fer_utils")
ENGINE, FIGURES = {"keras", "tensorflow"}, {"matplotlib", "seaborn"}

# The core, from the data to a prediction: what one reads to understand the kit.
CORE = (
    *("labels", "readers", "readers.rows", "readers.kinds", "readers.tables", "data", "augment"),
    *("layers", "models", "presets", "settings", "training", "finished", "runs", "metrics", "words", "listings"),
    *("prose", "predict"),
)

# the rooms of the readers; those beside the core read what is not the usual csv
READERS = (*("rows", "files", "kinds", "pixels", "classes", "splits", "official", "tables", "pictures", "arrays"),)

# module -> the kit's own modules that it may import, anywhere in its code
MAY_IMPORT = {
    "words": set(),
    "listings": set(),
    "labels": {"words"},
    "settings": set(),
    "own": set(),
    "claims": {"words"},
    "presets": {"own"},
    "prose": {"words", "listings", "plots.style"},
    "machine": set(),
    "augment": {"machine"},
    "layers": {"machine"},
    "readers": {"words"} | {f"readers.{room}" for room in READERS},
    "readers.rows": {"labels"},
    "readers.files": {"readers.rows"},
    "readers.kinds": {"readers.rows", "readers.files"},
    "readers.pixels": {"labels", "readers.rows", "words"},
    "readers.classes": {"labels", "readers.rows"},
    "readers.splits": {"readers.rows", "words"},
    "readers.official": {"labels", "readers.rows", "readers.classes", "words"},
    "readers.tables": {
        *("readers.rows", "readers.files", "readers.kinds", "readers.pixels", "readers.classes", "readers.splits"),
        "readers.official",
    },
    "readers.pictures": {
        *("labels", "readers.rows", "readers.files", "readers.kinds", "readers.classes", "readers.splits"),
        *("readers.tables", "words"),
    },
    "readers.arrays": {
        *("labels", "readers.rows", "readers.files", "readers.pixels", "readers.classes", "readers.splits"),
    },
    "faces": {"labels"},
    "data": {"labels", "readers", "faces", "words"},
    "download": {"data", "readers"},
    "metrics": {"labels", "words"},
    "ferplus": {"labels", "data", "metrics", "words"},
    "adapt": {"labels", "layers", "own"},
    "plain": {"labels", "adapt", "layers"},
    "models": {"labels", "layers", "own", "adapt"},
    "recorded": {"models", "own", "readers"},
    "training": {"labels", "adapt", "augment", "machine", "metrics", "models", "own", "recorded"},
    "finished": {"labels", "data", "metrics", "recorded", "adapt", "training", "words"},
    "cluster": {"finished", "settings"},
    "runs": {
        *("data", "ferplus", "layers", "own", "adapt", "presets", "recorded", "settings", "training", "finished"),
        *("cluster", "estimate"),
    },
    "estimate": {"labels", "augment", "own", "training", "finished", "words"},
    "trainings": {
        *("claims", "data", "metrics", "own", "presets", "recorded", "runs", "finished", "settings", "words"),
        *("cluster", "studies.selftrain"),
    },
    "predict": {"labels", "plain", "readers", "finished", "runs", "settings", "training"},
    "explain": set(),
    "explain.graph": {"labels", "words"},
    "explain.blocks": {"explain.graph", "words"},
    "explain.saliency": {"explain.graph", "words"},
    "explain.checks": {"labels", "words", "explain.graph", "explain.saliency"},
    "explain.feature_maps": {"labels", "explain.graph", "explain.saliency"},
    "explain.fields": {"labels", "explain.graph", "explain.saliency"},
    "explain.maximize": {"labels", "explain.graph", "explain.fields"},
    "studies": set(),
    "studies.compare": {"labels", "metrics"},
    "studies.matched": {"metrics", "recorded", "runs"},
    "studies.recipe": {"claims"},
    "studies.mistakes": {"labels", "metrics"},
    "studies.parts": {"labels", "metrics"},
    "studies.duplicates": {"labels", "data", "metrics"},
    "studies.leaks": {"labels", "data"},
    "studies.derivations": {"labels"},
    "studies.selftrain": {
        *("labels", "augment", "data", "metrics", "models", "own", "presets", "runs", "training", "words"),
    },
    "plots": set(),
    "plots.style": set(),
}
WITH_ENGINE = {
    "adapt",
    "augment",
    "estimate",
    "layers",
    "machine",
    "models",
    "plain",
    "training",
    "runs",
    "studies.derivations",
    "studies.selftrain",
}


def law(module):
    """What a module may import; a file of plots leans on labels, words and its neighbours."""
    if module.startswith("plots.") and module not in MAY_IMPORT:
        return {"labels", "words"} | {name for name in MODULES if name.startswith("plots.")}
    return MAY_IMPORT[module] | ({"words"} if module.startswith("studies.") else set())


@cache
def imports(path):
    """Full dotted names of everything a file imports, also inside of functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def own_imports(module):
    """The kit's own modules that a module imports; a package counts only where it is imported for itself."""
    path = FILES[f"fer_utils.{module}"]
    names = {name for name in imports(path) if name in FILES and name != "fer_utils"}
    inner = {name for name in names if any(other.startswith(f"{name}.") for other in names)}
    return {name.removeprefix("fer_utils.") for name in names - inner}


def roots(path):
    return {name.split(".")[0] for name in imports(path)}


def test_every_module_is_on_the_map():
    of_rooms = [name for name in MODULES if not name.startswith("plots.")]
    assert sorted(name for name in MAY_IMPORT if not name.startswith("plots.")) == of_rooms
    map_of_modules = (KIT / "fer_utils/__init__.py").read_text()
    assert [name for name in MODULES if "." not in name and f"\n{name} " not in map_of_modules] == []


@pytest.mark.parametrize("module", MODULES)
def test_modules_import_what_the_law_allows(module):
    path = FILES[f"fer_utils.{module}"]
    assert own_imports(module) <= law(module)
    assert module in WITH_ENGINE or module.startswith("explain.") or not roots(path) & ENGINE
    assert module.startswith("plots.") or not roots(path) & FIGURES
    assert module == "prose" or "IPython" not in roots(path)


def test_no_module_imports_itself_through_others():
    TopologicalSorter({module: own_imports(module) for module in MODULES}).prepare()  # raises CycleError


def test_the_report_imports_a_few_light_modules_and_never_the_engine():
    for path in (KIT / "report").rglob("*.py"):
        assert not roots(path) & ENGINE, path
        own = {name for name in imports(path) if name.startswith("fer_utils.")} - {"fer_utils.studies"}
        light = ("data", "settings", "words", "listings", "own", "studies.leaks")
        assert own & set(FILES) <= {f"fer_utils.{name}" for name in light}, path


@pytest.mark.parametrize("module", ["fer_utils.data", "fer_utils.runs", "fer_utils.metrics", "fer_report"])
def test_importing_is_light(module):
    code = f"import {module}, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not set(loaded.split()) & {"keras", "tensorflow", "matplotlib", "nbconvert", "papermill"}


def test_the_core_can_be_read_in_one_sitting():
    lines = {name: len(FILES[f"fer_utils.{name}"].read_text("utf-8").splitlines()) for name in CORE}
    print("\n".join(f"{name:10} {count:5}" for name, count in lines.items()), sum(lines.values()))
    assert sum(lines.values()) <= 4_200 and max(lines.values()) <= 600


# -- what a notebook's outputs depend on -------------------------------------------------------------------------------

# of every notebook that trains networks
TRAINED = {
    *("words", "listings", "labels", "readers", "faces", "data", "ferplus", "metrics", "prose", "plots.style"),
    *(f"readers.{room}" for room in READERS),
    *(
        "settings",
        "machine",
        "augment",
        "layers",
        "own",
        "adapt",
        "models",
        "presets",
        "recorded",
        "training",
        "estimate",
        "finished",
        "cluster",
        "runs",
    ),
}
# notebook -> what else its key holds; an edit of any other module runs it not again
ALSO = {
    "cnn": {
        *("claims", "plots.architecture", "plots.images", "plots.training", "explain.graph", "explain.blocks"),
        "studies.recipe",
    },
    "confusion": {"plots.classes", "plots.images", "plots.networks", "studies.duplicates", "studies.mistakes"},
    "curves": {"claims", "plots.networks", "plots.training", "studies.matched", "studies.recipe"},
    "dataset": {"plots.classes", "plots.images", "studies.duplicates", "studies.leaks"},
    "dnn": {"claims", "plots.images", "plots.networks", "studies.matched", "studies.recipe"},
    "ensemble": {"plots.networks", "studies.compare"},
    "feature_maps": {"plots.maps", "explain.graph", "explain.saliency", "explain.feature_maps", "explain.fields"},
    "filters": {
        *("plots.images", "explain.graph", "explain.saliency", "explain.fields", "explain.maximize"),
    },
    "imbalance": {"plots.arms", "studies.compare"},
    "poor_model": {
        *("plots.images", "explain.graph", "explain.saliency", "explain.fields", "explain.maximize"),
    },
    "preprocessing": {"plots.arms", "plots.images", "explain.graph", "explain.blocks", "studies.compare"},
    "saliency": {"plots.maps", "explain.graph", "explain.saliency", "explain.checks", "studies.parts"},
    "self_training": {"plots.arms", "explain.graph", "explain.blocks", "studies.compare", "studies.selftrain"},
    "systems": {"claims", "plots.networks", "plots.training", "studies.compare"},
}
KEYS = {notebook: TRAINED | also for notebook, also in ALSO.items()}
KEYS["math"] = {
    *("words", "listings", "labels", "machine", "layers", "own", "adapt", "models", "prose"),
    *("plots.derivations", "plots.style", "studies.derivations"),
}


@pytest.mark.parametrize("path", sorted((KIT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_key_holds_the_modules_that_its_notebook_reaches(path):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    held = {".".join(Path(name).with_suffix("").parts[1:]) for name in keys.reached_modules(code, KIT)}
    rooms = {name.removesuffix("__init__").strip(".") for name in held} - {"", "explain", "plots", "studies"}
    assert rooms == KEYS[path.stem]
