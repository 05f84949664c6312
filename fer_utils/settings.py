"""Settings as people type them: `name=value` words -> typed values, checked against defaults.

The parameters of a notebook, the settings of a run and those of a hand-in are all read here.
"""

import ast
import contextlib
import json
import os
import re

BETWEEN = re.compile(r"\s+(?=[A-Za-z_]\w*=(?!=))")  # the space in front of the next `name=`


class SettingsError(ValueError):
    """A setting that cannot be read, does not exist or has the wrong type; the message is one line."""


def parse(words, defaults=None):
    """Read settings such as `preset=E epochs=3 layers=[64, 32]`.

    Args:
        words: str, or a list of str as a command line gives them. Values are Python literals; `true` and `false` are
            bool, and everything else is a string. A value may hold spaces. A path in `file:my.keras` is made absolute.
        defaults: dict from name to default value: where the default is a string, `007` stays "007".

    Returns:
        Dict from name to value.

    Raises:
        SettingsError: for a word that is not `name=value`.

    >>> parse("preset=E epochs=3 layers=[64, 32]")
    {'preset': 'E', 'epochs': 3, 'layers': [64, 32]}
    """
    text = (words if isinstance(words, str) else " ".join(words)).strip()
    settings = {}
    for word in BETWEEN.split(text) if text else []:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise SettingsError(f"settings are written name=value, with spaces between them; this is not: {word!r}")
        settings[name] = _typed(value, isinstance((defaults or {}).get(name), str))
    return settings


def check(settings, defaults, owner):
    """Check the names and the types of settings.

    Args:
        settings: dict from name to value.
        defaults: dict from name to default value. Its types are those expected; a default of None accepts any.
        owner: what the settings belong to, for messages: "notebook cnn".

    Returns:
        Dict of the same settings: where a float is expected an int becomes one, and so for lists and tuples.

    Raises:
        SettingsError: for a name that is not among the defaults, or a value of another type.
    """
    if unknown := sorted(set(settings) - set(defaults)):
        known = ", ".join(f"{name}={value!r}" for name, value in defaults.items())
        raise SettingsError(f"{owner} has no parameter {', '.join(unknown)}; it has {known or 'none'}")
    return {name: _fitted(name, value, defaults[name], owner) for name, value in settings.items()}


def _typed(text, is_text):
    """The value that a word stands for; `is_text` keeps what is no quoted string as it is."""
    value = text
    for read in (json.loads, ast.literal_eval):  # as `run.json` has it, or as notebooks do
        with contextlib.suppress(ValueError, SyntaxError):
            value = read(text)
            break
    if text.startswith("file:") and len(text) > 5:  # notebooks and jobs work in other folders
        return f"file:{os.path.abspath(os.path.expanduser(text[5:]))}"
    return text if is_text and not isinstance(value, str) else value


def _fitted(name, value, default, owner):
    expected, given = type(default), type(value)
    if default is None or given is expected:
        return value
    if expected is float and given in (int, str):
        with contextlib.suppress(ValueError):
            return float(value)  # YAML reads 1e-3 as a string
    if expected in (list, tuple) and given in (list, tuple):
        return expected(value)
    raise SettingsError(
        f"parameter {name} of {owner} is of type {expected.__name__} (default {default!r}); "
        f"{value!r} is of type {given.__name__}"
    )
