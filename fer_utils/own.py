"""Networks of one's own: a function in notebooks/mine.py or in a cell, or a trained file of Keras.

preset              what it is
mine, mine:wide     the function `model` (or `wide`) of notebooks/mine.py, trained with the `settings` there
cell:build-1a2b3c4d the function that a notebook gave to `runs.Run(model=build)`
file:/a/my.keras    a trained network (.keras or .h5), which is never trained here
fresh:/a/my.keras   the same architecture with new initial weights, for questions that train

This module reads and runs the student's code and says what is wrong with it; `adapt` makes the kit's form of a network.
"""

import ast
import contextlib
import hashlib
import importlib.util
import inspect
import os
import sys
import textwrap
import traceback
import types
from functools import lru_cache
from pathlib import Path

KIT = Path(__file__).resolve().parents[1]
MINE = KIT / "notebooks" / "mine.py"
KINDS = ("mine", "cell", "file", "fresh")
USUAL = {  # what `settings` in mine.py does not say
    "normalisation": "own",
    "augmentation": {"flip": True, "shift": 0.1, "rotation": 10.0},
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "batch": 64,
    "epochs": 30,
}
QUICK_EPOCHS = 8  # at most, where `quick` in mine.py does not say
FUNCTIONS = {}  # of cells: name of the preset -> function
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)  # nodes that have docstrings


class NetworkError(RuntimeError):
    """A network that cannot be read, built or used; the message says where and what to do."""


def kind(preset):
    """Return "mine", "cell", "file" or "fresh"; "" for a system of the kit."""
    word = preset.partition(":")[0] if isinstance(preset, str) else ""
    return word if word in KINDS and (":" in preset or word == "mine") else ""


def absolute(preset):
    """Return a preset with the path in `file:my.keras` made absolute: kernels work in another folder."""
    word, _, path = preset.partition(":")
    return f"{word}:{os.path.abspath(os.path.expanduser(path))}" if word in ("file", "fresh") and path else preset


def named(given):
    """Return settings in which a function that builds a network has become a name, and a file an absolute path."""
    given = given | {name: absolute(given[name]) for name in ("preset", "model") if isinstance(given.get(name), str)}
    if "model" in given and not isinstance(given["model"], str):
        given["model"] = register(given["model"])
        given.setdefault("preset", given["model"])
    return given


def usual_normalisation(model, of_preset):
    """Return the normalisation of a network that takes the place of a preset's: one's own has its own."""
    return "own" if kind(model) else "scale" if of_preset == "own" else of_preset


def check_settings(given, fields, profiles):
    """Raise NetworkError where mine.py has a setting that does not exist.

    Args:
        given: its settings in a profile. fields, profiles: what there is, the settings of `runs.Run` and the profiles.
    """
    fixed = {"preset", "profile", "seed", "source", "data", "depends", "infra"}
    known = sorted(set(fields) - fixed - {"model"})
    unknown = [name for name in settings(given["model"]) if name not in {*known, *profiles, "model"}]
    unknown += ["model"] if line_of("model") else []
    for name in [*unknown, *(set(given) - set(fields))]:  # the latter within `quick` and the others
        raise NetworkError(f"{line_of(name)}: there is no setting {name!r}; there are: {', '.join(known)}")


def recipe(preset):
    """Return the preset by which variants of a network are trained: `fresh:…` for `file:…`, else the preset itself."""
    return "fresh:" + preset.removeprefix("file:") if kind(preset) == "file" else preset


def label(preset):
    """Return a short name, for the folder of a run and for tables."""
    word, _, rest = preset.partition(":")
    return f"{word}:{Path(rest).name}" if word in ("file", "fresh") else preset


# -- settings and identity: nothing is run -----------------------------------------------------------------------------


def settings(preset):
    """Return the settings of a preset, in the form of `presets.PRESETS`.

    Raises:
        NetworkError: the file or the function is missing, or its `settings` are not literals.
    """
    given = {}
    if kind(preset) == "mine":
        tree = parsed(MINE)
        check_function(tree, preset)
        given = literal(settings_node(tree), MINE)
    elif kind(preset) in ("file", "fresh"):
        path_of(preset)
    merged = USUAL | {"model": absolute(recipe(preset))} | given
    few = merged["epochs"] if merged["epochs"] in range(QUICK_EPOCHS) else QUICK_EPOCHS
    return merged | {"quick": {"epochs": few} | given.get("quick", {})}


def digest(preset, mine=None):
    """Return 12 hex digits that change with what a network is: its code but for comments and layout, or its weights.

    Args:
        preset: as above. mine: Path of mine.py, where it is not the kit's.
    """
    if kind(preset) == "mine":
        return _hash(*(meaning(text) for _, text in sorted(sources(mine or MINE).items())))
    if kind(preset) in ("file", "fresh"):
        with path_of(preset).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:12]
    return preset.rpartition("-")[2]


def path_of(preset):
    """Return the file of `file:…` or `fresh:…`.

    Raises:
        NetworkError: there is none, or it cannot hold a network.
    """
    path = Path(absolute(preset).partition(":")[2])
    if not path.is_file():
        raise NetworkError(f"{path}: there is no such file; PRESET=file:my.keras wants the path of a trained model")
    if path.name.endswith(".weights.h5") or path.suffix not in (".keras", ".h5"):
        raise NetworkError(f"{path} holds no network: save it by model.save('my.keras'), and name that file")
    return path


def sources(path):
    """Return mine.py and the files beside it that it imports: dict of path -> text."""
    found, todo = {}, [Path(path)]
    while todo:
        if (file := todo.pop()) not in found:
            found[file] = read(file)
            nodes = list(ast.walk(parsed(file)))
            names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
            names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
            beside = [file.with_name(f"{name.partition('.')[0]}.py") for name in names if name]
            todo += [other for other in beside if other.is_file()]
    return found


def read(path):
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NetworkError(f"{shown(path)} cannot be read ({error}): PRESET=mine is the network in this file") from None


def parsed(path):
    """Return the syntax tree of a file; raises NetworkError with its line where it is no Python."""
    try:
        return ast.parse(read(path))
    except SyntaxError as error:
        raise NetworkError(f"{shown(path)}, line {error.lineno}: {error.msg}; mend this line") from None


def meaning(source, documented=DOCUMENTED):
    """Return code without comments and layout, and without the docstrings of the `documented` kinds of nodes."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def check_function(tree, preset):
    name = preset.partition(":")[2] or "model"
    known = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    if name not in known:
        there = ", ".join(known) or "none"
        raise NetworkError(f"{shown(MINE)} has no function {name!r} that builds the network; its functions: {there}")


def settings_node(tree):
    """Return the dict display in `settings = {…}`; None without."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and [getattr(target, "id", "") for target in node.targets] == ["settings"]:
            return node.value
    return None


def literal(node, path):
    """Return the value of `settings`, checked to be a dict of literals."""
    if node is None:
        return {}
    for part in [*getattr(node, "keys", []), *getattr(node, "values", [])] or [node]:
        try:
            ast.literal_eval(part)
        except (ValueError, TypeError):
            line, code = getattr(part, "lineno", node.lineno), part and ast.unparse(part)
            raise NetworkError(f"{shown(path)}, line {line}: `{code}` in settings is no plain value") from None
    if not isinstance(node, ast.Dict):
        raise NetworkError(f'{shown(path)}, line {node.lineno}: write settings = {{"epochs": 20, …}}')
    return ast.literal_eval(node)


def line_of(setting):
    """Return where mine.py gives a setting, such as "notebooks/mine.py, line 40"; None where it does not."""
    node = settings_node(parsed(MINE))
    for part in ast.walk(node) if node else []:
        for key in part.keys if isinstance(part, ast.Dict) else []:
            if isinstance(key, ast.Constant) and key.value == setting:
                return f"{shown(MINE)}, line {key.lineno}"
    return None


def shown(path):
    path = Path(path)
    return str(path.relative_to(KIT) if path.is_relative_to(KIT) else path)


def _hash(*texts):
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


# -- a function from a cell --------------------------------------------------------------------------------------------


def register(function):
    """Remember a function that builds a network; return the name of its preset, which holds its hash.

    Raises:
        NetworkError: it is no function, or its source cannot be had.
    """
    if not callable(function) or hasattr(function, "layers"):
        raise NetworkError("model= takes the function that builds the network, not the network itself: model=build")
    name = f"cell:{getattr(function, '__name__', 'network').strip('<>')}-{_hash(*described(function, set()))[:8]}"
    FUNCTIONS[name] = function
    return name


def described(thing, seen):
    """Yield texts that say what a function does: its source, its defaults, and what it uses from around it."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, types.FunctionType):
        yield source_of(thing)
        for value in [*(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {}).items()]:
            yield from described(value, seen)
        names = set(_names(thing.__code__))
        outer = dict(zip(thing.__code__.co_freevars, (_content(cell) for cell in thing.__closure__ or ()), strict=True))
        for name, value in sorted((outer | {n: thing.__globals__[n] for n in names & set(thing.__globals__)}).items()):
            yield name
            yield from described(value, seen)
    elif hasattr(thing, "func") and hasattr(thing, "keywords"):  # functools.partial
        for value in (thing.func, thing.args, thing.keywords):
            yield from described(value, seen)
    elif isinstance(thing, type) and thing.__module__ == "__main__":
        for name, value in sorted(vars(thing).items()):
            if isinstance(value, types.FunctionType):
                yield name
                yield from described(value, seen)
    elif isinstance(thing, types.ModuleType | type):
        yield thing.__name__
    elif hasattr(thing, "tobytes"):
        yield hashlib.sha256(thing.tobytes()).hexdigest()
    elif isinstance(thing, str | bytes | int | float | bool | None | list | tuple | dict | set):
        yield repr(thing)
    else:
        yield type(thing).__qualname__


def source_of(function):
    """Return what the source of a function means; that of an installed package's function is its name."""
    if function.__module__ != "__main__" and "site-packages" in (function.__code__.co_filename or ""):
        return f"{function.__module__}.{function.__qualname__}"
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        why = f"the source of {function.__name__} cannot be read: define it by `def` in a cell or in notebooks/mine.py"
        raise NetworkError(why) from None
    try:
        return meaning(source)
    except SyntaxError:  # a lambda in the middle of a statement
        return source


def _names(code):
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _names(inner)


def _content(cell):
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None


# -- the code is run ---------------------------------------------------------------------------------------------------


def builder(preset):
    """Return the function that builds the network of `mine…` or `cell:…`.

    Raises:
        NetworkError: the file cannot be run; or the function lives in another process.
    """
    if kind(preset) == "mine":
        name = preset.partition(":")[2] or "model"
        check_function(parsed(MINE), preset)
        return getattr(executed(str(MINE), read(MINE)), name)
    if preset not in FUNCTIONS:
        raise NetworkError(
            f"{preset} was given in a cell of a notebook, and is not known to this process: run that cell, or move the "
            f"function to {shown(MINE)}, where other processes find it"
        )
    return FUNCTIONS[preset]


@lru_cache(maxsize=8)
def executed(path, source):
    """Return a module made by running code, which may import what lies beside its file."""
    module = types.ModuleType(importlib.util.spec_from_file_location(Path(path).stem, path).name)
    module.__file__ = path
    sys.path.insert(0, str(Path(path).parent))
    try:
        with explained(path):
            exec(compile(source, path, "exec"), vars(module))
    finally:
        sys.path.remove(str(Path(path).parent))
    return module


@contextlib.contextmanager
def explained(path, where=""):
    """Turn what the student's code raises into a NetworkError that names file and line.

    Args:
        path: of the file whose code runs. where: what is named if no line of it is to blame.
    """
    try:
        yield
    except NetworkError as error:
        raise NetworkError(f"{where}: {error}" if where else str(error)) from None
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        place = (f"{shown(path)}, line {lines[-1]}" if lines else where) or shown(path)
        raise NetworkError(f"{place}: {type(error).__name__}: {first_line(error)}") from error


def first_line(error):
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]


def place(preset):
    """Return (path, where) of a preset's code, as `explained` takes them."""
    if kind(preset) in ("file", "fresh"):
        return path_of(preset), str(path_of(preset))
    code = inspect.unwrap(getattr(builder(preset), "func", builder(preset))).__code__
    name = f"the function {code.co_name} of a cell" if kind(preset) == "cell" else shown(code.co_filename)
    return code.co_filename, f"{name}, line {code.co_firstlineno} ({code.co_name})"


def code(preset):
    """Return what a run keeps of a network's code, to load it again and to show it: dict of file and source."""
    if kind(preset) == "mine":
        return {"file": shown(MINE), "source": read(MINE)}
    if kind(preset) == "cell":
        return {"file": "", "source": "".join(inspect.getsourcelines(FUNCTIONS[preset])[0])}
    return {"file": shown(MINE), "source": read(MINE)} if MINE.is_file() else {"file": "", "source": ""}


def kept(preset):
    """Return what run.json says besides of a network of one's own: its code."""
    return {"code": code(preset)} if kind(preset) else {}


def classes(kept, preset=""):
    """Return the classes that code defines: dict of name -> class, for Keras' `custom_objects`."""
    if preset in FUNCTIONS:
        found = getattr(FUNCTIONS[preset], "__globals__", {})
    else:
        found = vars(executed(str(KIT / kept["file"]), kept["source"])) if kept["file"] else {}
    return {name: value for name, value in found.items() if isinstance(value, type)}
