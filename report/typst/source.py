"""A notebook -> Typst source: its items in their places, with the texts that one run of pandoc converts."""

from dataclasses import dataclass
from itertools import pairwise

from .. import cells, texts
from . import fonts
from .literal import literal
from .outputs import SUFFIXES, pieces

PLACES = ("chapter", "further", "listings")  # a report prints the last two behind its chapters


@dataclass(frozen=True)
class Source:
    """A notebook in Typst.

    Attributes:
        title: markup.
        parts: dict from each of PLACES to source; a mark before every cell leads an error of Typst to it.
        answer: (id of a cell, the answer in short), or None.
        warnings: list of str: links to nowhere, TeX that is not understood, images and glyphs that are not there.
        media: dict of the images: path -> bytes.
    """

    title: str
    parts: dict
    answer: tuple | None
    warnings: list
    media: dict


def compose(notebook, name, folder=".", lang="en", code="inline", log=False, apart=False, prefix="", works=None):
    """Return the Source of a notebook.

    Args:
        notebook: as nbformat reads it, with outputs; its cells get ids that fit into labels.
        name: the title of a notebook without one.
        folder: where the images are that its Markdown names.
        lang: "en", "zh-TW", …
        code: "inline" leaves code in its place; else ("appendix" or "none") it is left out, but for lessons.
        log: whether what went to stderr is printed as well.
        apart: whether what is tagged `appendix`, and listings with code="appendix", come behind all chapters.
        prefix: put before the labels of figures, tables and headings.
        works: dict from address to key in the report's bibliography; a link to it becomes a citation.
    """
    view, notebook.cells = cells.View(tuple(SUFFIXES), code == "inline", log), cells.shown(notebook)
    items = {cell.id: list(cells.items(cell, view)) for cell in notebook.cells}
    everything = [item for of_cell in items.values() for item in of_cell]
    names = {item.name: item.name for item in cells.numbered(everything)}
    found = texts.convert(cells.texts(everything), "typst", lang, names, folder, prefix, works)
    behind = cells.in_appendix(notebook) if apart else set()
    places = {item: _place(item, cell in behind, code, apart) for cell, of in items.items() for item in of}
    media = dict(found.media)
    printed = {place: _printed(items, places, place, prefix, media) for place in PLACES}
    title = found.title.shown if found.title else "#" + literal(name)
    answers = [(item.answer.cell, item.answer.shown) for item in everything if isinstance(item, cells.Short)]
    return Source(
        title,
        {place: "".join(f"//@ cell {cell}\n{text}\n\n" for cell, text in of.items()) for place, of in printed.items()},
        answers[-1] if answers else None,
        [*dict.fromkeys(f"cell {cell}: {message}" for cell, message in found.warnings), *_glyphs(title, printed)],
        media,
    )


def _place(item, is_behind, code, apart):
    """Return where an item is printed, one of PLACES, or None; `is_behind`: its section is tagged `appendix`."""
    if isinstance(item, cells.Code) and code != "inline" and not item.lesson:
        return None
    if apart and code == "appendix" and isinstance(item, cells.Listing):
        return "listings"
    return "further" if is_behind and not isinstance(item, cells.Short) else "chapter"


def _printed(items, places, wanted, prefix, media):
    """Return what is printed in a place, with the texts that pandoc has filled in: dict of id of a cell -> Typst.

    An answer in short is set together with what is before it in the chapter.
    """
    here = [item for item, place in places.items() if place == wanted]
    follows = {before: item.text for before, item in pairwise(here) if isinstance(item, cells.Short)}
    alone = {item for item in here if getattr(item, "text", None) not in follows.values()}
    printed = {}
    for cell, of_cell in items.items():
        for item in filter(alone.__contains__, of_cell):
            parts = pieces(item, prefix, media, follows.get(item))
            text = "".join(part if isinstance(part, str) else part.shown for part in parts)
            printed[cell] = f"{printed[cell]}\n\n{text}" if cell in printed else text
    return printed


def _glyphs(title, printed):
    """Yield a warning for every character that no font has, each with its cell."""
    for cell, text in [("title", title), *(pair for of_place in printed.values() for pair in of_place.items())]:
        yield from (f"cell {cell}: {complaint}" for complaint in fonts.complaints(text))
