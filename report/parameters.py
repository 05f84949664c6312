"""A notebook's parameters: the defaults in its cell, values given for them, and whether the two fit."""

import ast
import re

from .project import UserError

ASSIGNMENT = re.compile(r"\s+(?=[A-Za-z_]\w*=(?!=))")  # between `name=value` and the next one


def defaults(notebook):
    """The parameters of a notebook and their default values.

    Args:
        notebook: dict as `Project.read_notebook` returns it.

    Returns:
        Dict from name to value, in order; empty without a cell tagged `parameters`.

    Raises:
        UserError: where a default is not a literal.
    """
    tagged = [c for c in notebook["cells"] if "parameters" in c["metadata"].get("tags", [])]
    found = {}
    for statement in ast.parse(tagged[0]["source"]).body if tagged else []:
        target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        try:
            found[target.id] = ast.literal_eval(statement.value)
        except (AttributeError, ValueError):
            code = ast.unparse(statement)
            raise UserError(f"parameters are lines `name = literal`; this one is not: {code}") from None
    return found


def from_text(text, default_values):
    """Reads `"preset=E passes=3"`.

    Args:
        text: str; values are Python literals, and what is none is a string. A value may hold spaces.
        default_values: dict of `defaults`; where the default is a string, `sid=007` stays "007".

    Returns:
        Dict from name to value.

    >>> from_text("preset=E passes=3 layers=[64, 32]", {"preset": "A", "passes": 1, "layers": []})
    {'preset': 'E', 'passes': 3, 'layers': [64, 32]}
    """
    values = {}
    for assignment in ASSIGNMENT.split(text.strip()) if text.strip() else []:
        name, equals, raw = assignment.partition("=")
        if not equals or not name.isidentifier():
            raise UserError(f"parameters are written name=value, with spaces between them; this is not: {assignment!r}")
        value = _literal(raw)
        bare_text = isinstance(default_values.get(name), str) and not isinstance(value, str)
        values[name] = raw if bare_text else value
    return values


def _literal(raw):
    try:
        return ast.literal_eval(raw)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False}.get(raw, raw)


def checked(given, default_values, notebook):
    """The values with the types that the notebook expects.

    Args:
        given: dict from name to value.
        default_values: dict of `defaults`; its types are what is expected, and None expects anything.
        notebook: its name, for messages.

    Raises:
        UserError: for a name that the notebook does not have, or a value of another type.
    """
    unknown = sorted(set(given) - set(default_values))
    if unknown:
        known = ", ".join(f"{name}={value!r}" for name, value in default_values.items())
        raise UserError(f"notebook {notebook} has no parameter {', '.join(unknown)}; it has {known or 'none'}")
    return {name: _fitted(name, value, default_values[name], notebook) for name, value in given.items()}


def _fitted(name, value, default, notebook):
    expected, given = type(default), type(value)
    if default is None or given is expected:
        return value
    if expected is float and (given is int or (given is str and _is_number(value))):  # YAML reads 1e-3 as text
        return float(value)
    if expected in (list, tuple) and given in (list, tuple):
        return expected(value)
    raise UserError(
        f"parameter {name} of notebook {notebook} is of type {expected.__name__} (default {default!r}); "
        f"{value!r} is of type {given.__name__}"
    )


def _is_number(text):
    try:
        return float(text) is not None
    except ValueError:
        return False
