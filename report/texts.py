"""All Markdown, HTML and TeX of a notebook -> HTML or Typst, in one pandoc run (a start costs more than the work)."""

import base64
import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote_to_bytes

SCRIPT = Path(__file__).with_name("texts.lua")
# Raw HTML or Typst, YAML blocks and :emoji: are off: text of a notebook is text. `smart` makes typographic quotes.
READER = (
    "gfm+tex_math_dollars+footnotes+attributes+east_asian_line_breaks"
    "-tex_math_gfm-raw_attribute-yaml_metadata_block-emoji"
)
STRAIGHT = ("zh", "ja", "ko")  # languages whose own quotes are no curly ones

ENVIRONMENTS = r"(?:align|alignat|aligned|cases|eqnarray|equation|gather|multline|split)\*?"
BARE_TEX = re.compile(rf"\\begin\{{(?P<name>{ENVIRONMENTS})\}}.*?\\end\{{(?P=name)\}}", re.S)
VERBATIM = re.compile(r"(```.*?```|~~~.*?~~~|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]+\$)", re.S)
EMPHASIS = re.compile(
    r"(?<![\\*])(?P<stars>\*\*?)(?![\s*])(?P<inside>(?:[^*\n]|\n(?!\n))+?)(?<![\s\\])(?P=stars)(?!\*)"
)
FILLER = "\u3164"  # an invisible letter, taken out again after pandoc


@dataclass(eq=False)
class Text:
    """A text of a notebook.

    Attributes:
        cell: id of the cell that it comes from.
        source: Markdown, or HTML where `is_html` is set.
        is_html: whether `source` is HTML.
        shown: what `convert` makes of it, HTML or Typst.
        plain: the same without any markup.
        leads: whether it stays on the page of what follows it.
    """

    cell: str
    source: str
    is_html: bool = False
    shown: str = ""
    plain: str = ""
    leads: bool = False


@dataclass
class Converted:
    """What a notebook's texts hold besides the texts themselves.

    Attributes:
        title: its first heading `# …`, which is taken out of its text, as a Text; None without one.
        sections: list of (id, HTML or Typst) of the headings `## …`.
        warnings: list of (cell, message): links to nowhere, TeX that is not understood, images that are not there.
        media: dict from "media/<name>" to bytes: the images that the Typst names.
    """

    title: Text | None
    sections: list = field(default_factory=list)
    warnings: list = field(default_factory=list)
    media: dict = field(default_factory=dict)


def convert(texts, form, lang="en", figures=None, folder=".", prefix="", works=None):
    """Fill in `shown` and `plain` of every text.

    Args:
        texts: list of Text, in the order of the notebook: TeX macros hold in all texts that follow.
        form: "site" or "typst", the folder that has the rules.
        lang: "en", "zh-TW", …
        figures: dict from the name that a link `[Figure](#name)` may refer to, to the words of the link on a page.
        folder: where the images are that the Markdown names.
        prefix: put before every label of Typst, so that several notebooks fit into one document.
        works: dict from address to key in a bibliography; in Typst, a link to the address becomes a citation.

    Returns:
        Converted.
    """
    task = {
        "form": form,
        "reader": READER + ("" if lang.startswith(STRAIGHT) else "+smart"),
        "prefix": prefix,
        "folder": str(folder),
    }
    task |= {"figures": figures or {}, "works": works or {}}
    task["texts"] = [{"cell": text.cell, "source": _readable(text), "is_html": text.is_html} for text in texts]
    answer = _pandoc(task)
    for text, done in zip(texts, answer["texts"], strict=True):
        _fill(text, done)
    return Converted(
        title=_fill(Text("", ""), answer["title"]) if "title" in answer else None,
        sections=[(section["id"], _without_filler(section["shown"])) for section in answer["sections"]],
        warnings=[tuple(warning) for warning in answer["warnings"]],
        media={name: _content(uri) for name, uri in dict(answer["media"]).items()},
    )


def _fill(text, done):
    text.shown, text.plain = _without_filler(done["shown"]), _without_filler(done["plain"])
    return text


def _without_filler(text):
    return text.replace(FILLER, "")


def _pandoc(task):
    import pypandoc

    command = [pypandoc.get_pandoc_path(), "lua", str(SCRIPT)]
    text = json.dumps(task, ensure_ascii=False).encode("utf-8", "replace")  # half a surrogate pair is no character
    done = subprocess.run(command, input=text, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"pandoc: {done.stderr.decode('utf-8', 'replace').strip()}")
    return json.loads(done.stdout)


def _content(uri):
    """Return the bytes of a data URI."""
    head, _, body = uri.partition(",")
    return base64.b64decode(body) if head.endswith(";base64") else unquote_to_bytes(body)


def _readable(text):
    """Return a text as pandoc reads it rightly: TeX environments as formulas, bold Han as bold."""
    if text.is_html:
        return text.source
    parts = VERBATIM.split(text.source)
    parts[::2] = (BARE_TEX.sub(lambda m: f"\n$${m[0]}$$\n", _han_bold(part)) for part in parts[::2])
    return "".join(parts) + "\n"


def _han_bold(text):
    """`字**「重點」**字` is not bold by CommonMark's rules (marks by the stars); letters between them make it so."""

    def filled(match):
        stars, inside = match["stars"], match["inside"]
        return match[0] if inside[0].isalnum() and inside[-1].isalnum() else f"{stars}{FILLER}{inside}{FILLER}{stars}"

    return EMPHASIS.sub(filled, text)
