"""All Markdown, HTML and TeX of a notebook -> Typst source, in one pandoc run (a start costs more than the work)."""

import hashlib
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
# Raw Typst, YAML blocks and :emoji: are off: text of a notebook is text. `smart` makes typographic quotes, for English.
READER = (
    "gfm+tex_math_dollars+footnotes+attributes+east_asian_line_breaks"
    "-tex_math_gfm-raw_attribute-yaml_metadata_block-emoji"
)
READERS = {"en": READER + "+smart", "zh-TW": READER}

ENVIRONMENTS = r"(?:align|alignat|aligned|cases|eqnarray|equation|gather|multline|split)\*?"
BARE_TEX = re.compile(rf"\\begin\{{(?P<name>{ENVIRONMENTS})\}}.*?\\end\{{(?P=name)\}}", re.S)
VERBATIM = re.compile(r"(```.*?```|~~~.*?~~~|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]+\$)", re.S)
EMPHASIS = re.compile(
    r"(?<![\\*])(?P<stars>\*\*?)(?![\s*])(?P<inside>(?:[^*\n]|\n(?!\n))+?)(?<![\s\\])(?P=stars)(?!\*)"
)
FILLER = "\u3164"  # an invisible letter, taken out again after pandoc


@dataclass
class Piece:
    """A text of a notebook that pandoc shall turn into Typst.

    Attributes:
        cell: id of the cell that it comes from.
        source: Markdown, or HTML where `html` is set.
        html: whether `source` is HTML.
        typst: the result.
    """

    cell: str
    source: str
    html: bool = False
    typst: str = ""


def convert(pieces, lang="en", prefix="", figures=(), works=(), folder=".", warn=lambda cell, message: None):
    """Fills in `typst` of every piece.

    Args:
        pieces: list of Piece, in the order of the notebook: macros and footnotes reach over cells, as in Jupyter.
        lang: "en" or "zh-TW".
        prefix: put before every label, so that several notebooks fit into one document.
        figures: names of the figures and tables that a link `[Figure](#name)` may refer to.
        works: dict of address -> key in a bibliography; a link to such an address becomes a citation.
        folder: where the pictures are that the Markdown names.
        warn: called with a cell id and a message for everything that could not be converted.

    Returns:
        Dict from "media/<name>" to bytes: the pictures of the Markdown.
    """
    nonce = "fer" + hashlib.sha256(repr([p.source for p in pieces]).encode()).hexdigest()[:12]  # no text contains it
    with tempfile.TemporaryDirectory() as media:
        arguments = ["--resource-path", str(folder), "--extract-media", media]
        known = " ".join(f"{address} {key}" for address, key in dict(works).items())
        for key, value in {"nonce": nonce, "prefix": prefix, "figures": " ".join(figures), "works": known}.items():
            arguments += ["--metadata", f"{key}={value}"]
        marked = "".join(f"\n\n{nonce}n{i}\n\n{readable(p, nonce)}\n" for i, p in enumerate(pieces))
        typst, log = _pandoc(marked, lang, arguments)
        found = re.split(rf"//@{nonce}:\d+\n", typst + "\n")[1:]
        if len(found) != len(pieces):
            return _convert_one_by_one(pieces, lang, prefix, figures, works, folder, warn)
        for piece, text in zip(pieces, found, strict=True):
            piece.typst = text.strip().replace(FILLER, "").replace(f"{media}/", "media/")
        _report(log, pieces, nonce, warn)
        return {f"media/{f.relative_to(media)}": f.read_bytes() for f in Path(media).rglob("*") if f.is_file()}


def _convert_one_by_one(pieces, *settings):
    """For a notebook with a cell that swallows what follows it, such as a code fence that is never closed."""
    if len(pieces) == 1:  # swallowed by itself: show it as it is
        from .literal import literal

        settings[-1](pieces[0].cell, "Markdown that is not closed, printed as it is")
        pieces[0].typst = f"#raw({literal(pieces[0].source)}, block: true)"
        return {}
    return {name: blob for piece in pieces for name, blob in convert([piece], *settings).items()}


def _pandoc(text, lang, arguments):
    import pypandoc

    command = [pypandoc.get_pandoc_path(), "-f", READERS[lang], "-t", "typst", "--wrap=none"]
    command += ["-L", str(HERE / "filters.lua"), *arguments]
    done = subprocess.run(command, input=text, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        raise RuntimeError(f"pandoc: {done.stderr.strip()}")
    return done.stdout, done.stderr


def readable(piece, nonce):
    """The piece as the Markdown that pandoc reads rightly."""
    if piece.html:
        fence = "`" * (3 + max(map(len, re.findall("`+", piece.source)), default=0))
        return f"{fence}{nonce}html\n{re.sub(r'<style.*?</style>', '', piece.source, flags=re.S)}\n{fence}"
    parts = VERBATIM.split(piece.source)
    parts[::2] = (BARE_TEX.sub(lambda m: f"\n$${m[0]}$$\n", _han_bold(part)) for part in parts[::2])
    return "".join(parts)


def _han_bold(text):
    """`字**「重點」**字` is not bold by CommonMark's rules (marks by the stars); letters between them make it so."""

    def filled(match):
        stars, inside = match["stars"], match["inside"]
        return match[0] if inside[0].isalnum() and inside[-1].isalnum() else f"{stars}{FILLER}{inside}{FILLER}{stars}"

    return EMPHASIS.sub(filled, text)


def _report(log, pieces, nonce, warn):
    """Hands on what filters.lua wrote, and pandoc's own word on pictures that are not there."""
    for number, message in re.findall(rf"\[{nonce} (\d+)\] (.*)", log):
        warn(pieces[int(number)].cell, message)
    for name in re.findall(r"Could not fetch resource (\S+?):? ", log + " "):
        cell = next((p.cell for p in pieces if name in p.source), "?")
        warn(cell, f"picture {name} is not there")
