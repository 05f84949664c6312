"""The walk over a notebook's cells: what a reader is shown, in order, as items.

Which cells, code and outputs are shown is decided here; `typst/outputs.py` sets the items in Typst, the templates of
`site/` in HTML.
"""

import base64
import re
from dataclasses import dataclass, replace

from fer_utils.words import Catalog

from .terminal import screen
from .texts import Text

HIDDEN_CELL = {"remove-cell", "papermill-error-cell-tag"}
HIDDEN_CODE = {"hide-input", "remove-input"}
APPENDIX = "appendix"  # tag of a heading: a report prints its section behind the chapters
OBSERVATION = "observation"  # tag of a cell with what the author sees; empty behind its words in bold at first
LIVE_HTML = re.compile(r"<(script|iframe|canvas|video|audio)\b", re.I)
IN_SHORT = "**In short:**"  # the English text of a paragraph that answers its notebook's question begins with it
LEAD = re.compile(r"\*\*[^*]+\*\*\s*")  # … and in every language with a word or two in bold
COMMENT = re.compile(r"<!--.*?-->", re.S)
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`*])|(?<=[。！？])(?=.)")
TEX_FRAME = re.compile(r"^\s*\$+\s*(\\displaystyle)?|\$+\s*$")


@dataclass(frozen=True)
class View:
    """What of a notebook is shown.

    Attributes:
        images: MIME types that can be shown, the best first.
        printed: whether text is shown that cells print; cells tagged `show-output` show theirs in any case.
        log: whether that on stderr is shown as well: progress bars and log lines.
    """

    images: tuple[str, ...]
    printed: bool = False
    log: bool = False


@dataclass(eq=False)
class Wording:
    """The wording of the question."""

    text: Text


@dataclass(eq=False)
class Short:
    """The paragraph that answers the question; `answer` is what of it stands in the table of all answers."""

    text: Text
    answer: Text


@dataclass(eq=False)
class Observation:
    """What the author of the report has written of their own, in whatever language."""

    text: Text


@dataclass(eq=False)
class Code:
    """The code of a cell; `lesson` is set where it belongs to the text and is shown wherever that is."""

    source: str
    lesson: bool = False


@dataclass(eq=False)
class Printed:
    """Text that a cell printed."""

    text: str


@dataclass(eq=False)
class Raised:
    """The exception that stopped a cell."""

    name: str
    message: str
    trace: str


@dataclass(eq=False)
class Image:
    """An image without a number or a caption.

    Attributes:
        mime: its MIME type.
        content: SVG, or base64.
        pixels: the width that the notebook gives it, or None.
    """

    mime: str
    content: str
    pixels: int | None = None

    @property
    def blob(self):
        return self.content.encode() if self.mime == "image/svg+xml" else base64.b64decode(self.content)

    @property
    def uri(self):
        """The image as an address: an SVG behind it runs no script and loads nothing."""
        is_text = self.mime == "image/svg+xml"
        return f"data:{self.mime};base64,{base64.b64encode(self.blob).decode() if is_text else self.content.strip()}"


@dataclass(eq=False)
class Figure:
    """A numbered figure; `image` is None where there is none that can be shown."""

    name: str
    caption: Text
    image: Image | None
    wide: bool


@dataclass(eq=False)
class Table:
    """A numbered table of strings."""

    name: str
    caption: Text
    header: list
    align: list
    rows: list


@dataclass(eq=False)
class Listing:
    """Numbered code of the kit; `files` are those that it stands in."""

    name: str
    caption: Text
    source: str
    files: list


def shown(notebook):
    """Return the cells that are not tagged away, each with an id that fits into a label."""
    cells = [cell for cell in notebook.cells if not tags_of(cell) & HIDDEN_CELL]
    for number, cell in enumerate(cells, start=1):
        cell.id = re.sub(r"[^\w-]", "-", cell.get("id") or f"cell-{number}")
    return cells


def in_appendix(notebook):
    """Return the ids of the cells in sections (from `## …` to the next) whose heading is tagged `appendix`."""
    inside, found = False, set()
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            inside = APPENDIX in tags_of(cell)
        found |= {cell.id} if inside else set()
    return found


def is_observation(cell):
    """Return whether a cell, as a dict, is one for what the author sees."""
    return OBSERVATION in cell["metadata"].get("tags", [])


def observed(cell):
    """Return what the author has written into a cell for an observation, without its first words and hints."""
    return LEAD.sub("", COMMENT.sub("", cell["source"]).strip(), count=1).strip()


def items(cell, view):
    """Yield what is shown of a cell: Text, Wording, Observation, Short, Code, Printed, Raised, Image, Figure, Table,
    Listing."""
    tags = tags_of(cell)
    if is_observation(cell):
        if observed(cell):
            yield Observation(Text(cell.id, observed(cell)))
    elif cell.cell_type == "markdown":
        text = Text(cell.id, _with_attachments(cell, view.images), leads="note" in tags)
        yield Wording(text) if "question" in tags else text
    elif cell.cell_type == "code":
        if cell.source.strip() and not tags & HIDDEN_CODE:
            yield Code(cell.source, "show-code" in tags)
        if "show-output" in tags:
            view = replace(view, printed=True, log=True)
        for output in [] if "remove-output" in tags else merged_streams(cell.outputs):
            if (item := _item(output, cell.id, view)) is not None:
                yield item


def texts(shown_items):
    """Return the texts of items, in order, for `texts.convert`."""
    return [value for item in shown_items for value in (item, *vars(item).values()) if isinstance(value, Text)]


def numbered(shown_items):
    """Return those items that have a number: figures, tables, listings."""
    return [item for item in shown_items if isinstance(item, Figure | Table | Listing)]


def tags_of(cell):
    return set(cell.metadata.get("tags", []))


def answers(meta):
    """Return whether a paragraph, as `prose.say` keeps it, is the answer in short; told by its English text."""
    return _english(meta["text"]).startswith(IN_SHORT)


def answer_of(paragraph, sentences=2):
    """Return the first sentences of an answer in short, without the words in bold that it begins with.

    >>> answer_of("**In short:** it is 0.5 % (n = 7). So it is. And more.")
    'It is 0.5 % (n = 7). So it is.'
    """
    parts = SENTENCE_END.split(LEAD.sub("", paragraph, count=1))
    joint = "" if parts[0].endswith(("。", "！", "？")) else " "
    text = joint.join(parts[:sentences])
    return text[:1].upper() + text[1:]


def merged_streams(outputs):
    """Return outputs with neighbours of the same stream joined: a runner cuts it wherever the kernel flushed."""
    merged = []
    for output in outputs:
        if output.output_type == "stream" and merged and merged[-1].get("name") == output.name:
            merged[-1] = output | {"text": merged[-1]["text"] + output.text}
        else:
            merged.append(output)
    return merged


def _with_attachments(cell, mimes):
    source = cell.source
    for name, bundle in (cell.get("attachments") or {}).items():
        image = _image(bundle, {}, mimes)
        source = source.replace(f"attachment:{name}", image.uri if image else name)
    return source


def _item(output, cell, view):
    """Return an output as an item; None for what is not shown."""
    if output["output_type"] == "error":
        trace = screen("\n".join(output["traceback"]), max_lines=30)
        return Raised(output["ename"], output["evalue"], trace)
    if output["output_type"] == "stream":
        return _printed(output["text"], view.log if output["name"] == "stderr" else view.printed)
    data, metadata = output["data"], output["metadata"]
    meta = metadata.get("fer", {})  # what fer_utils.prose tells of it
    match meta.get("kind"):
        case "caption":  # for Jupyter; the figure before it carries it as well
            return None
        case "say":
            text = Text(cell, _english(meta["text"]))
            return Short(text, Text(cell, answer_of(text.source))) if meta.get("answers", answers(meta)) else text
        case "figure":
            image = _image(data, metadata, view.images)
            return Figure(meta["name"], _caption(meta, cell), image, meta.get("width") == "text")
        case "table":
            header, *rows = (list(map(_english, row)) for row in [meta["header"], *meta["rows"]])
            return Table(meta["name"], _caption(meta, cell), header, meta["align"], rows)
        case "listing":
            files = list(dict.fromkeys(file for file, _ in meta["places"]))
            return Listing(meta["name"], _caption(meta, cell), meta["source"], files)
    return _plain(data, metadata, cell, view)


def _plain(data, metadata, cell, view):
    """Return an output that fer_utils did not make: the richest of its forms that can be shown."""
    html = data.get("text/html", "")
    if image := _image(data, metadata, view.images):
        return image
    if "<table" in html:
        return Text(cell, html, is_html=True)
    if "text/markdown" in data:
        return Text(cell, data["text/markdown"])
    if "text/latex" in data:
        return Text(cell, f"$${TEX_FRAME.sub('', data['text/latex'].strip()).strip()}$$")
    if html and not LIVE_HTML.search(html):
        return Text(cell, html, is_html=True)
    return _printed(data.get("text/plain", ""), view.printed)


def _printed(text, wanted):
    text = screen(text) if wanted else ""
    return Printed(text) if text else None


def _image(data, metadata, mimes):
    mime = next((mime for mime in mimes if mime in data), None)
    return Image(mime, "".join(data[mime]), metadata.get(mime, {}).get("width")) if mime else None


def _caption(meta, cell):
    return Text(cell, _english(meta["caption"]))


def _english(text):
    """Return a text that no catalog has translated (see `translations`) in English, and any other as it is."""
    return Catalog().say(text)
