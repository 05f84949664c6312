"""The parameters of a notebook: the defaults in its cell, and the values that a question is run with."""

import ast

from fer_utils import settings

from .project import UserError


def defaults(notebook):
    """Return the parameters of a notebook and their default values.

    Args:
        notebook: dict as `Project.read_notebook` returns it.

    Returns:
        Dict from name to value, in order; empty without a cell tagged `parameters`.

    Raises:
        UserError: where a default is not a literal.
    """
    tagged = [cell for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", [])]
    found = {}
    for statement in ast.parse(tagged[0]["source"]).body if tagged else []:
        target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        try:
            found[target.id] = ast.literal_eval(statement.value)
        except (AttributeError, ValueError):
            code = ast.unparse(statement)
            raise UserError(f"parameters are lines `name = literal`; this one is not: {code}") from None
    return found


def chosen(question, default_values, profile=None, given=""):
    """Return the parameters of a question that are set; all others keep their defaults.

    Args:
        question: the Question, whose own parameters win over `profile`.
        default_values: dict of `defaults`.
        profile: value for the parameter `profile`, where the notebook has one.
        given: settings such as "preset=E epochs=3", which win over the edition's.

    Raises:
        SettingsError: for a name that the notebook does not have, or a value of another type.
    """
    profiled = {"profile": profile} if profile is not None and "profile" in default_values else {}
    values = {**profiled, **question.parameters, **settings.parse(given, default_values)}
    return settings.check(values, default_values, f"notebook {question.notebook}")
