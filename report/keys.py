"""The content key of a question: a hash of everything that its outputs depend on. Same key, same outputs."""

import ast
import hashlib
import importlib.metadata
import json
import os
import platform
from functools import cache
from pathlib import Path

# The packages whose version can change a number or a figure.
PACKAGES = (
    *("numpy", "scipy", "pandas", "scikit-learn", "statsmodels", "matplotlib", "seaborn", "sympy", "pillow"),
    *("keras", "tensorflow", "tensorflow-cpu"),
)


def sha(*values):
    """Short hash of strings and bytes: 16 hex digits."""
    digest = hashlib.sha256()
    for value in values:
        value = value.encode() if isinstance(value, str) else value
        digest.update(len(value).to_bytes(8, "big") + value)
    return digest.hexdigest()[:16]


def ingredients(notebook, parameters, root, data, votes=""):
    """What the outputs of a question depend on.

    Args:
        notebook: dict as `Project.read_notebook` returns it.
        parameters: dict of all parameters with the values used.
        root: Path of the project; modules are looked for there and in its folder of notebooks.
        data: fingerprint of the data.
        votes: state of the people's votes that lie with the data.

    Returns:
        JSON-like dict; `sha(canonical(it))` is the question's key.
    """
    code = [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return {
        "code": sha(*map(meaning, code)),
        "parameters": parameters,
        "modules": {name: sha(text) for name, text in sorted(reached_modules(code, root).items())},
        "data": data,
        "versions": versions(),
        **({"runs": [folder.name for folder in finished_runs(root)]} if reads_runs(notebook) else {}),
        **({"votes": votes} if _calls(notebook, "audit.votes(") else {}),
    }


def reads_runs(notebook):
    """Does it look at whatever trainings there are, rather than at ones that it asks for?"""
    return _calls(notebook, "runs.finished(")


def _calls(notebook, name):
    return any(name in cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code")


def finished_runs(root):
    """Folders of the finished trainings in the run store; each name holds the hash of all the run's settings."""
    store = Path(os.environ.get("FER_RUNS") or root / "runs")
    return [record.parent for record in sorted(store.glob("*/run.json"))]


def canonical(value):
    """JSON text that is the same for equal values; a value that JSON does not know goes in as its repr."""
    return json.dumps(value, sort_keys=True, default=repr, ensure_ascii=False)


@cache
def versions():
    """Versions of Python and of the packages in PACKAGES that are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@cache
def meaning(source):
    """Source code without comments and layout, which change no output; IPython's own syntax is kept as it is."""
    try:
        return ast.dump(ast.parse(source))
    except SyntaxError:
        return source


def reached_modules(sources, root):
    """The project's own modules that some code imports, and all that these import. Nothing is run.

    Args:
        sources: list of str, Python code.
        root: Path of the project.

    Returns:
        Dict from path relative to `root` to the meaning of the module.
    """
    found, todo, known = {}, [(source, "") for source in sources], set()
    while todo:
        source, package = todo.pop()
        names = [name for name in _imported(source, package) if name not in known]
        known.update(names)
        for name in names:
            for path in _files_of(name, (root / "notebooks", root)):
                relative = path.relative_to(root)
                if str(relative) not in found:
                    text = path.read_text("utf-8")
                    found[str(relative)] = meaning(text)
                    todo.append((text, ".".join(relative.parts[:-1])))
    return found


@cache
def _imported(source, package):
    """The full names that some code imports; `from a import b` may mean the module a.b."""
    lines = (line for line in source.splitlines() if not line.lstrip().startswith(("%", "!")))
    try:
        tree = ast.parse("\n".join(lines))
    except SyntaxError:
        return ()
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return tuple(dict.fromkeys(names))


def _files_of(name, folders):
    """Yields the files that importing a dotted name runs: its packages and the module itself."""
    parts = name.split(".")
    for folder in folders:
        for depth in range(1, len(parts) + 1):
            path = folder.joinpath(*parts[:depth])
            yield from (p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file())
