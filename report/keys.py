"""The content key of a question: a hash of everything that its outputs depend on. Same key, same outputs."""

import ast
import hashlib
import importlib.metadata
import json
import os
import platform
from contextlib import suppress
from functools import cache
from pathlib import Path

from fer_utils import own

# The packages whose version can change a number or a figure.
PACKAGES = (
    *("numpy", "scipy", "pandas", "scikit-learn", "statsmodels", "matplotlib", "seaborn", "sympy", "pillow"),
    *("keras", "tensorflow", "tensorflow-cpu"),
)
LIST_RUNS = "fer_utils.runs.list_finished"  # a notebook that uses it depends on all finished runs
RECORDED = "fer_utils/recorded/__init__.py"  # a notebook that reaches it depends on what is recorded
VOTES = "fer_utils.ferplus.votes"  # … and on the FERPlus file


def sha(*values):
    """Return a short hash of strings and bytes: 16 hex digits."""
    digest = hashlib.sha256()
    for value in values:
        value = value.encode() if isinstance(value, str) else value
        digest.update(len(value).to_bytes(8, "big") + value)
    return digest.hexdigest()[:16]


def canonical(value):
    """Return JSON that is the same for equal values; a value that JSON does not know goes in as its repr."""
    return json.dumps(value, sort_keys=True, default=repr, ensure_ascii=False)


def ingredients(notebook, parameters, root, data, votes=""):
    """Return what the outputs of a question depend on.

    Args:
        notebook: dict as `Project.read_notebook` returns it.
        parameters: dict of all parameters with the values used.
        root: Path of the project; modules are looked for there and in its folder of notebooks.
        data: fingerprint of the data.
        votes: state of the FERPlus file that lies with the data.

    Returns:
        JSON-like dict; `sha(canonical(it))` is the question's key.
    """
    code, preset = sources(notebook), parameters.get("preset")
    modules = reached_modules(code, root)
    return {
        "code": sha(*map(meaning, code)),
        "parameters": parameters,
        "modules": dict(sorted(modules.items())),
        "data": data,
        **({"recorded": recorded_runs(root)} if RECORDED in modules else {}),
        "versions": versions(),
        **({"runs": [folder.name for folder in finished_runs(root)]} if lists_runs(notebook) else {}),
        **({"votes": votes} if uses(code, VOTES) else {}),
        **({"network": own.digest(preset, root / "notebooks" / "mine.py")} if own.kind(preset) else {}),
    }


def sources(notebook):
    """Return the code of a notebook: list of str, one for each cell."""
    return [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code"]


def lists_runs(notebook):
    """Return whether a notebook shows whatever runs are in the store, rather than those that it asks for."""
    return uses(sources(notebook), LIST_RUNS)


def finished_runs(root):
    """Return the folders of the finished runs in the store; each name holds the hash of all settings of its run."""
    store = Path(os.environ.get("FER_RUNS") or root / "runs")
    return [record.parent for record in sorted(store.glob("*/run.json"))]


@cache
def recorded_runs(root):
    """Return a hash of the trainings that ship with the kit."""
    return sha(*(path.read_bytes() for path in sorted((root / RECORDED).parent.rglob("run.json"))))


@cache
def versions():
    """Return the versions of Python and of the packages in PACKAGES that are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


# -- code, as a syntax tree --------------------------------------------------------------------------------------------


@cache
def meaning(source):
    """Return what a cell means to its outputs; that of one with IPython's lines is its source.

    A cell that begins with a string shows it; a module does not.
    """
    try:
        return own.meaning(source, own.DOCUMENTED[1:])
    except SyntaxError:
        return source


def tree_of(source):
    """Return the syntax tree of code, without the lines that are not Python: `%time f()`, `!ls`, `x = %pwd`."""
    lines = source.splitlines()
    for _ in range(len(lines)):
        try:
            return ast.parse("\n".join(lines))
        except SyntaxError as error:
            at = min(error.lineno or 1, len(lines)) - 1
            lines[at] = lines[at][: len(lines[at]) - len(lines[at].lstrip())] + "pass"
    return ast.Module([], [])


def uses(code, function):
    """Return whether code refers to a function, by whatever name it imported it.

    Args:
        code: list of str, the cells of a notebook.
        function: its full dotted name.
    """
    if not any(function.rpartition(".")[2] in source for source in code):  # an import by another name has it, too
        return False
    trees = [tree_of(source) for source in code]
    names = {name: full for tree in trees for name, full in _bindings(tree, function)}
    return any(_full_name(node, names) == function for tree in trees for node in ast.walk(tree))


def _bindings(tree, function):
    """Yield each name that imports bind, with the full name that it stands for."""
    module, _, last = function.rpartition(".")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.split(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"
                if alias.name == "*" and node.module == module:
                    yield last, function


def _full_name(node, names):
    """Return the full dotted name of `a.b.c` or `a`; None for anything else."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute) and (base := _full_name(node.value, names)):
        return f"{base}.{node.attr}"
    return None


# -- the modules that code reaches -------------------------------------------------------------------------------------


def reached_modules(code, root):
    """Return the project's own modules that code imports, with all that these import. Nothing is run.

    Args:
        code: list of str.
        root: Path of the project.

    Returns:
        Dict from path relative to `root` to a hash of the module's meaning.
    """
    known = _remembered(root)
    before = len(known)
    heads = {path.stem for folder in (root / "notebooks", root) for path in folder.glob("*")}
    found, asked, todo = {}, set(), [name for source in code for name in _module(source, "")[1]]
    while todo:
        name = todo.pop()
        if name not in asked and name.partition(".")[0] in heads:
            for file in _files_of(name, root):
                if file not in found:
                    source, package = (root / file).read_text("utf-8"), ".".join(file.split("/")[:-1])
                    content = sha(package, source)
                    known[content] = known.get(content) or _module(source, package)
                    found[file], names = known[content]
                    todo += names
        asked.add(name)
    if len(known) > before:
        _remember(root, known)
    return found


@cache
def _module(source, package):
    """Return what a module means, and the full names that it imports; `from a import b` may mean the module a.b."""
    tree, names = tree_of(source), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return sha(own.meaning(tree)), tuple(dict.fromkeys(names))  # without the tree: parsing is what takes time


# -- modules that were read before, by their content -------------------------------------------------------------------


@cache
def _remembered(root):
    """Return what `_module` found in an earlier process: dict from a hash of package and source to its answer."""
    try:
        return json.loads(_memory(root).read_text("utf-8"))
    except (OSError, ValueError):
        return {}


def _remember(root, known):
    with suppress(OSError):  # a folder that cannot be written is no reason to stop
        path = _memory(root)
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(f".{os.getpid()}")
        half.write_text(json.dumps(known), "utf-8")
        os.replace(half, path)


@cache
def _memory(root):
    """The file of what is remembered; another one where this Python or this code would read modules otherwise."""
    readers = (Path(module).read_bytes() for module in (__file__, own.__file__))
    return root / "build" / "modules" / f"{sha(platform.python_version(), *readers)}.json"


def _files_of(name, root):
    """Return the files that importing a dotted name runs, relative to `root`: those of its packages, then its own.

    As in a kernel, the folder of notebooks comes before the root, and a package before a module of its name.
    """
    for path in ("notebooks/", ""):
        files = []
        for part in name.split("."):
            path += part
            file = next((f for f in (f"{path}/__init__.py", f"{path}.py") if os.path.isfile(f"{root}/{f}")), None)
            if file:
                files.append(file)
            elif not os.path.isdir(f"{root}/{path}"):  # a folder may be a package without __init__.py
                break
            path += "/"
        if files:
            return files
    return []
