"""Python values -> Typst literals: the one door through which data (names, code, outputs) enters Typst source."""

import math

# What a Typst string cannot hold as it is; the other control characters have no place in a document.
ESCAPES = dict.fromkeys((*range(32), *range(127, 160)))
ESCAPES |= str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "    "})


def literal(value):
    """Writes a value as a Typst literal, which Typst reads back as the same value and never as markup or code.

    Args:
        value: None, bool, int, float, str, or lists, tuples and dicts (with str keys) of these. Anything else is
            written as the string that `str` makes of it. Strings lose their control characters.

    Returns:
        One line of Typst source.

    >>> print(literal({"author": 'a "b" #c', "points": (1, None)}))
    ("author": "a \\"b\\" #c", "points": (1, none,))
    """
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "(" + ", ".join(map(literal, value)) + ("," if value else "") + ")"
    if isinstance(value, dict):
        return "(" + (", ".join(f"{literal(str(k))}: {literal(v)}" for k, v in value.items()) or ":") + ")"
    text = str(value).encode("utf-8", "replace").decode()  # a lone surrogate cannot be written to a file
    return f'"{text.translate(ESCAPES)}"'
