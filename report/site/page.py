"""A woven notebook -> the parts of its page, in order: dicts that the templates turn into HTML."""

import base64
from functools import cache

from markupsafe import Markup

from ..project import LANGUAGES
from ..typst.outputs import TEX_FRAME, in_language, merged_streams, terminal
from .markdown import Text, convert

HIDDEN_INPUT = {"hide-input", "remove-input"}
PICTURES = ("image/svg+xml", "image/png", "image/jpeg", "image/gif")


def shown_cells(notebook, lang):
    """The cells that are for a language and not tagged away."""
    others = {f"lang-{other}" for other in LANGUAGES if other != lang}
    return [cell for cell in notebook.cells if not _tags(cell) & {*others, "remove-cell", "papermill-error-cell-tag"}]


def shown_outputs(cell):
    """What a cell shows, each stream in one piece."""
    return [] if cell.cell_type != "code" or "remove-output" in _tags(cell) else merged_streams(cell.outputs)


def figures(cells):
    """Yields kind ("figure" or "table") and name of what has a caption, in order."""
    for output in [output for cell in cells for output in shown_outputs(cell)]:
        meta = _fer(output)
        if meta.get("kind") in ("figure", "table"):
            yield meta["kind"], meta["name"]


def parts(cells, lang, code, numbers, folder):
    """Everything on a page.

    Args:
        cells: list of cells, as `shown_cells` returns them.
        lang: "en" or "zh-TW".
        code: "appendix" folds the code away, "inline" shows it, "none" leaves it out.
        numbers: dict from the names of figures and tables to their numbers in words: "Figure 3".
        folder: where the pictures are that the Markdown names.

    Returns:
        Dict of `blocks` (list of dicts with a `kind`), and of what `markdown.convert` returns.
    """
    blocks = _joined_code([block for cell in cells for block in _blocks(cell, lang, code)])
    texts = [value for block in blocks for value in block.values() if isinstance(value, Text)]
    for block in blocks:
        block["number"] = numbers.get(block.get("name"))
    return {"blocks": blocks, **convert(texts, lang, numbers, folder)}


def _blocks(cell, lang, code):
    tags = _tags(cell)
    if cell.cell_type == "markdown":
        yield {"kind": "question" if "question" in tags else "text", "text": Text(cell.id, _with_attachments(cell))}
    if cell.cell_type == "code" and code != "none" and cell.source.strip() and not tags & HIDDEN_INPUT:
        yield {"kind": "code", "code": _highlighted(cell.source)}
    for output in shown_outputs(cell):
        if block := _output(output, cell.id, lang, "show-output" in tags, code == "inline"):
            yield block


def _joined_code(blocks):
    """Cells that show nothing between them are read as one piece of code."""
    joined = []
    for block in blocks:
        if joined and block["kind"] == joined[-1]["kind"] == "code":
            joined[-1] = {"kind": "code", "code": joined[-1]["code"] + "\n" + block["code"]}
        else:
            joined.append(block)
    return joined


def _output(output, cell, lang, asked_for, inline):
    """An output as a block; None for what a page does not show: bare text that nobody asked for, captions twice."""
    if output["output_type"] == "error":
        trace = terminal("\n".join(output["traceback"]), max_lines=30)
        return {"kind": "exception", "name": output["ename"], "message": output["evalue"], "trace": trace}
    if output["output_type"] == "stream":
        wanted = asked_for or (inline and output["name"] != "stderr")  # progress bars go to stderr
        return _printed(output["text"]) if wanted else None
    meta = _fer(output)
    if meta.get("kind") == "caption":  # for Jupyter; the figure before it carries it as well
        return None
    if meta.get("kind") == "say":
        return {"kind": "text", "text": Text(cell, in_language(meta["text"], lang))}
    if meta.get("kind") == "figure":
        return {**_captioned(meta, cell, lang), "picture": _picture(output["data"])}
    if meta.get("kind") == "table":
        rows = [[in_language(text, lang) for text in row] for row in [meta["header"], *meta["rows"]]]
        return {**_captioned(meta, cell, lang), "align": meta["align"], "header": rows[0], "rows": rows[1:]}
    bare = output["data"].get("text/plain", "")
    return _bundle(output["data"], cell) or (_printed(bare) if asked_for or inline else None)


def _captioned(meta, cell, lang):
    return {"kind": meta["kind"], "name": meta["name"], "caption": Text(cell, in_language(meta["caption"], lang))}


def _bundle(data, cell):
    """An output of a plain notebook: the richest of its forms that a page can show."""
    if picture := _picture(data):
        return {"kind": "picture", "picture": picture}
    if "text/html" in data:
        return {"kind": "text", "text": Text(cell, data["text/html"], is_html=True)}
    if "text/markdown" in data:
        return {"kind": "text", "text": Text(cell, data["text/markdown"])}
    if "text/latex" in data:
        return {"kind": "text", "text": Text(cell, f"$${TEX_FRAME.sub('', data['text/latex'].strip())}$$")}


def _printed(text):
    text = terminal(text)
    return {"kind": "printed", "printed": text} if text else None


def _picture(data):
    """A picture as an address for <img>, where an SVG runs no script and loads nothing; None where there is none."""
    for mime in PICTURES:
        if mime in data:
            content = "".join(data[mime])
            in_base64 = base64.b64encode(content.encode()).decode() if mime == PICTURES[0] else content.strip()
            return f"data:{mime};base64,{in_base64}"


def _with_attachments(cell):
    source = cell.source
    for name, bundle in (cell.get("attachments") or {}).items():
        source = source.replace(f"attachment:{name}", _picture(bundle) or name)
    return source


@cache  # the same in every language
def _highlighted(source):
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return Markup(highlight(source, PythonLexer(), HtmlFormatter(nowrap=True)))


def _tags(cell):
    return set(cell.metadata.get("tags", []))


def _fer(output):
    return output.get("metadata", {}).get("fer", {})
