"""What a code cell displayed -> Typst source.

Every function returns a list of parts: strings of Typst source, and Pieces whose Typst is filled in later, when pandoc
has seen all pieces of the notebook at once.
"""

import base64
import hashlib
import re

from .literal import literal
from .markdown import Piece

PICTURES = {"application/pdf": "pdf", "image/svg+xml": "svg", "image/png": "png", "image/jpeg": "jpg"}
ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-_]")
LIVE_HTML = re.compile(r"<(script|iframe|canvas|video|audio)\b", re.I)
TEX_FRAME = re.compile(r"^\s*\$+\s*(\\displaystyle)?|\$+\s*$")


def terminal(text, max_lines=60):
    """What a terminal would show of a stream: carriage returns, backspaces and colour codes resolved.

    Args:
        text: str, the stream as it was written.
        max_lines: the middle of a longer text is left out; 0 keeps everything.

    Returns:
        str without trailing blank lines.

    >>> terminal("1/2 [=>  ]\\r2/2 [====]\\ndone")
    '2/2 [====]\\ndone'
    """
    screen = []
    for line in ANSI.sub("", text).split("\n"):
        shown, column = [], 0
        for character in line:
            if character in "\r\b":
                column = 0 if character == "\r" else max(0, column - 1)
                continue
            shown[column : column + 1] = character
            column += 1
        screen.append("".join(shown).rstrip())
    while screen and not screen[-1]:
        screen.pop()
    if max_lines and len(screen) > max_lines:
        head, tail = max_lines * 2 // 3, max_lines // 3
        screen[head : len(screen) - tail] = [f"… {len(screen) - head - tail} lines left out …"]
    return "\n".join(screen)


def merged_streams(outputs):
    """Joins neighbouring outputs of the same stream, which a runner cuts wherever the kernel flushed."""
    merged = []
    for output in outputs:
        if output.output_type == "stream" and merged and merged[-1].get("name") == output.name:
            merged[-1] = {**merged[-1], "text": merged[-1]["text"] + output.text}
        else:
            merged.append(output)
    return merged


def stream(output):
    """Text that a cell printed."""
    text = terminal(output["text"])
    return [f"#printed({literal(text)})"] if text else []


def error(output):
    """The exception that stopped a cell: its name in front, the way to it below."""
    trace = terminal("\n".join(output["traceback"]), max_lines=30)
    return [f"#exception({literal(output['ename'])}, {literal(output['evalue'])}, {literal(trace)})"]


def said(meta, cell, lang):
    """A sentence that code wrote, in the language of the report."""
    return [Piece(cell, in_language(meta["text"], lang))]


def figure(output, meta, cell, lang, prefix, media):
    """A numbered figure with a caption."""
    path = next((stored(output["data"], mime, media) for mime in PICTURES if mime in output["data"]), None)
    settings = {"name": prefix + meta["name"], "path": path, "wide": meta.get("width") == "text"}
    return [f"#numbered-figure(..{literal(settings)}, [", Piece(cell, in_language(meta["caption"], lang)), "])"]


def table(meta, cell, lang, prefix):
    """A numbered table with a caption."""

    def texts(cells):
        return [in_language(text, lang) for text in cells]

    settings = {
        "name": prefix + meta["name"],
        "header": texts(meta["header"]),
        "align": meta["align"],
        "rows": [texts(row) for row in meta["rows"]],
    }
    return [f"#numbered-table(..{literal(settings)}, [", Piece(cell, in_language(meta["caption"], lang)), "])"]


def bundle(output, cell, media):
    """An output of a plain notebook: the richest of its forms that paper can show; None where that is bare text."""
    data = output["data"]
    for mime in PICTURES:
        if mime in data:
            pixels = output["metadata"].get(mime, {}).get("width")  # what the notebook shows, at 96 pixels an inch
            width = f", width: {float(pixels) * 0.75:.1f}pt" if pixels else ""
            return [f"#picture({literal(stored(data, mime, media))}{width})"]
    if "<table" in data.get("text/html", ""):
        return ["#plain-table[\n", Piece(cell, data["text/html"], html=True), "\n]"]
    if "text/markdown" in data:
        return [Piece(cell, data["text/markdown"])]
    if "text/latex" in data:
        tex = TEX_FRAME.sub("", data["text/latex"].strip()).strip()
        return [Piece(cell, tex if tex.startswith("\\begin") else f"$${tex}$$")]
    if "text/html" in data and not LIVE_HTML.search(data["text/html"]):
        return [Piece(cell, data["text/html"], html=True)]
    return None


def stored(data, mime, media):
    """Puts a picture among the report's files, under a name made from its content; returns that name."""
    content = "".join(data[mime])
    blob = content.encode() if mime == "image/svg+xml" else base64.b64decode(content)
    path = f"media/{hashlib.sha256(blob).hexdigest()[:16]}.{PICTURES[mime]}"
    media[path] = blob
    return path


def in_language(text, lang):
    """The text of a language, of {"en": …, "zh-TW": …} or of a str that serves both."""
    return text if isinstance(text, str) else text.get(lang) or next(iter(text.values()), "")
