"""All Markdown and HTML of a page -> HTML, in one run of pandoc."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from ..typst.markdown import FILLER, READERS, Piece, readable

SCRIPT = Path(__file__).with_name("to_html.lua")


@dataclass
class Text:
    """A text of a page.

    Attributes:
        cell: id of the cell that it comes from.
        source: Markdown, or HTML where `is_html` is set.
        is_html: whether `source` is HTML.
        html: the result, safe to be put into a page.
        plain: the same without any markup.
    """

    cell: str
    source: str
    is_html: bool = False
    html: str = ""
    plain: str = ""


def convert(texts, lang="en", figures=(), folder="."):
    """Fills in `html` and `plain` of every text.

    Args:
        texts: list of Text, in the order of the page; its first heading `# …` is taken out as the page's title.
        lang: "en" or "zh-TW".
        figures: dict from the name that a link `[Figure](#name)` may refer to, to the words of the link: "Figure 3".
        folder: where the pictures are that the Markdown names.

    Returns:
        Dict of `title` (Text, or None), `sections` (list of (id, HTML) of the headings `## …`) and `warnings` (list of
        (cell, message): what could not be shown as it was written).
    """
    task = {"reader": READERS[lang], "figures": dict(figures), "folder": str(folder)}
    task["texts"] = [{"cell": t.cell, "source": _readable(t), "is_html": t.is_html} for t in texts]
    answer = _pandoc(task)
    for text, done in zip(texts, answer["texts"], strict=True):
        _fill(text, done)
    title = answer.get("title")
    return {
        "title": _fill(Text("", ""), title) if title else None,
        "sections": [(section["id"], _trusted(section["html"])) for section in answer["sections"]],
        "warnings": [tuple(warning) for warning in answer["warnings"]],
    }


def _readable(text):
    return text.source if text.is_html else readable(Piece(text.cell, text.source), "") + "\n"


def _fill(text, done):
    text.html, text.plain = _trusted(done["html"]), done["plain"].replace(FILLER, "")
    return text


def _trusted(html):
    """What pandoc's writer made, which is the only HTML that goes into a page as it is."""
    return Markup(html.replace(FILLER, ""))


def _pandoc(task):
    import pypandoc

    command = [pypandoc.get_pandoc_path(), "lua", str(SCRIPT)]
    text = json.dumps(task, ensure_ascii=False).encode("utf-8", "replace")  # half a surrogate pair is no character
    done = subprocess.run(command, input=text, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"pandoc: {done.stderr.decode('utf-8', 'replace').strip()}")
    return json.loads(done.stdout)
