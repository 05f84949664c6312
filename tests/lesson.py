"""What a notebook defines, for tests: its functions, without running its other cells."""

import ast
import json
from pathlib import Path

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


def definitions(name):
    """Return the functions, classes and imports of a notebook: dict of its names."""
    cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text("utf-8"))["cells"]
    found = {}
    for source in ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"):
        kept = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
        tree = ast.Module([node for node in ast.parse(source).body if isinstance(node, kept)], [])
        exec(compile(tree, f"{name}.ipynb", "exec"), found)
    return found
