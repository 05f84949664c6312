"""The source of a function or class as a listing shows it."""

import ast
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]  # of the kit
PARSING = threading.Lock()  # in Python 3.11, threads that parse at the same time can fail


def listing_of(path, name):
    """Return the source of a definition in a file, with its docstring cut to the first line; nothing is run.

    Args:
        path: of the Python file.
        name: of a function or class in it, or of a method: "Class.method".

    Returns:
        str, as it stands in the file, without decorators and common indentation.

    Raises:
        LookupError: there is no such definition; the message names the file.
    """
    text = Path(path).read_text("utf-8")
    with PARSING:
        node, lines = ast.parse(text), text.splitlines()
    for part in name.split("."):
        inside = (n for n in node.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == part)
        node = next(inside, None)
        if node is None:
            raise LookupError(f"{path} defines no {name}")
    if ast.get_docstring(node) and (docstring := node.body[0]).end_lineno > docstring.lineno:
        lines[docstring.lineno - 1] += '"""'
        lines[docstring.lineno : docstring.end_lineno] = [None] * (docstring.end_lineno - docstring.lineno)
    shown = [line for line in lines[node.lineno - 1 : node.end_lineno] if line is not None]
    return "\n".join(line[node.col_offset :] for line in shown)
