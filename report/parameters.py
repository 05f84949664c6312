"""The parameters of a notebook: the defaults in its cell, and the values that a question is run with."""

import ast
from dataclasses import replace

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


OF_NETWORK = ("layer", "layers")  # parameters that name parts of a network: another preset has others


def with_given(edition, project, given):
    """Return an edition all of whose questions are asked with the settings that are given.

    Args:
        edition: the Edition. Questions that it calls `fixed` keep their parameters: they are about another system.
        project: the Project.
        given: settings such as "preset=E seed=1"; a question takes those that its notebook has.

    Raises:
        SettingsError: for a setting that no notebook of the edition has.
    """
    if not given.strip():
        return edition
    known = {q.notebook: defaults(project.read_notebook(q.notebook)) for q in edition.questions}
    every = {name: value for values in known.values() for name, value in values.items()}
    wanted = settings.parse(given, every)
    settings.check({name: every.get(name) for name in wanted}, every, f"edition {edition.name}")
    return replace(edition, questions=tuple(_asked_with(q, wanted, known[q.notebook]) for q in edition.questions))


def _asked_with(question, wanted, default_values):
    """A question with other parameters."""
    taken = {name: value for name, value in wanted.items() if name in default_values}
    if question.fixed or not taken:
        return question
    preset = question.parameters.get("preset", default_values.get("preset"))
    lost = OF_NETWORK if taken.get("preset", preset) != preset else ()
    kept = {name: value for name, value in question.parameters.items() if name not in lost}
    return replace(question, parameters=kept | taken)
