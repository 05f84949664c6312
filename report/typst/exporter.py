"""Two nbconvert exporters: `jupyter nbconvert --to typst` writes Typst source, `--to typst-pdf` a PDF."""

import json
import tempfile
from itertools import pairwise
from pathlib import Path

from nbconvert.exporters import TemplateExporter
from nbconvert.preprocessors import Preprocessor
from traitlets import Bool, Dict, Enum, Unicode, default

from fer_utils import words

from .. import cells, texts, translations
from . import fonts
from .compile import KIT, TypesettingError, refused_cells, typeset, write_files
from .literal import literal
from .outputs import SUFFIXES, pieces


class ToTypst(Preprocessor):
    """Put the Typst source of every cell into `cell.typst`, and into `resources` what else a report needs.

    resources["typst"]: title (Typst markup), answer (id of a cell and the answer in short as Typst, or None),
    further and listings (Typst of what a report prints behind its chapters), warnings (list of str), document
    (arguments of kit.typ's `report`, or None in a fragment);
    resources["outputs"]: the images, {path: bytes}.
    """

    enabled = True

    def preprocess(self, nb, resources):
        exporter, inline = self.parent, self.parent.code == "inline"
        view = cells.View(tuple(SUFFIXES), printed=inline, log=inline and not exporter.fragment)
        nb.cells = cells.shown(nb)
        items = {cell.id: list(cells.items(cell, view)) for cell in nb.cells}
        everything = [item for of_cell in items.values() for item in of_cell]
        found = texts.convert(
            cells.texts(everything),
            "typst",
            exporter.lang,
            figures={item.name: item.name for item in cells.numbered(everything)},
            folder=resources["metadata"].get("path") or ".",
            prefix=exporter.label_prefix,
            works=exporter.works,
        )
        media = dict(found.media)
        in_text = [item for item in everything if inline or not isinstance(item, cells.Code) or item.lesson]
        places = self.places(nb, items)
        in_chapter = [item for item in in_text if places[item] == "chapter"]
        follows = {  # an answer in short is set together with what is before it
            before: item.text for before, item in pairwise(in_chapter) if isinstance(item, cells.Short)
        }
        with_it = set(follows.values())

        def source(cell, place):
            shown = [item for item in items[cell.id] if item in in_text and places[item] == place]
            shown = [item for item in shown if getattr(item, "text", None) not in with_it]
            return "\n\n".join(self.source(item, media, follows.get(item)) for item in shown)

        behind = {
            place: "".join(f"//@ cell {cell.id}\n{text}\n\n" for cell in nb.cells if (text := source(cell, place)))
            for place in ("further", "listings")
        }
        for cell in nb.cells:
            cell["typst"] = source(cell, "chapter")
        title = found.title.shown if found.title else "#" + literal(resources["metadata"].get("name") or "notebook")
        answers = [(item.answer.cell, item.answer.shown) for item in everything if isinstance(item, cells.Short)]
        answer = answers[-1] if answers else None
        sources = {"title": title} | {cell.id: cell["typst"] for cell in nb.cells} | behind
        warnings = list(dict.fromkeys(f"cell {cell}: {message}" for cell, message in found.warnings))
        document = None if exporter.fragment else literal({"lang": exporter.lang, "cover": False})
        resources["typst"] = {"title": title, "answer": answer, "document": document, **behind}
        resources["typst"] |= {"warnings": [*warnings, *self.glyph_warnings(sources)]}
        resources["outputs"] = {**(resources.get("outputs") or {}), **media}
        return nb, resources

    def places(self, nb, items):
        """Return where each item is printed: dict of item -> "chapter", or behind it "further" or "listings".

        Args:
            nb: the notebook.
            items: dict of id of a cell -> its items.
        """
        apart = cells.in_appendix(nb) if self.parent.apart else set()

        def place(cell, item):
            if self.parent.apart and self.parent.code == "appendix" and isinstance(item, cells.Listing):
                return "listings"
            return "further" if cell in apart and not isinstance(item, cells.Short) else "chapter"

        return {item: place(cell, item) for cell, of_cell in items.items() for item in of_cell}

    def source(self, item, media, follow=None):
        """Return an item's Typst source, with the texts that pandoc has filled in."""
        parts = pieces(item, self.parent.label_prefix, media, follow)
        return "".join(part if isinstance(part, str) else part.shown for part in parts)

    def glyph_warnings(self, sources):
        """Return a warning for every character that no font has, each with its cell; `sources`: cell -> Typst."""
        found = {cell: fonts.complaints(text) for cell, text in sources.items()}
        return [f"cell {cell}: {complaint}" for cell, complaints in found.items() for complaint in complaints]


class TypstExporter(TemplateExporter):
    """A notebook as Typst source, with its images, kit.typ and words.json beside it."""

    export_from_notebook = "Typst"
    output_mimetype = "text/x-typst"

    lang = Unicode("en", help="language of the words around the notebook, and of its letters").tag(config=True)
    code = Enum(
        ("inline", "appendix", "none"),
        "inline",
        help="whether code stands in its place; else (two words for the same here) it does not, but for lessons",
    ).tag(config=True)
    fragment = Bool(False, help="no document around it: a chapter of a larger report").tag(config=True)
    apart = Bool(
        False,
        help="a chapter of a report: what is tagged `appendix`, and listings with code=appendix, come behind all",
    ).tag(config=True)
    label_prefix = Unicode("", help="put before the labels of figures, tables and headings").tag(config=True)
    works = Dict(help="address -> key in the report's bibliography; a link to it becomes a citation").tag(config=True)

    @default("file_extension")
    def _file_extension_default(self):
        return ".typ"

    @default("template_name")
    def _template_name_default(self):
        return "typst"

    @default("template_extension")
    def _template_extension_default(self):
        return ".typ.j2"

    @default("extra_template_basedirs")
    def _extra_template_basedirs_default(self):
        return [str(Path(__file__).parent / "templates")]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.register_preprocessor(ToTypst(parent=self), enabled=True)

    def from_notebook_node(self, nb, resources=None, **kwargs):
        source, resources = super().from_notebook_node(nb, resources, **kwargs)
        for warning in [] if self.fragment else resources["typst"]["warnings"]:
            self.log.warning("%s", warning)
        if not self.fragment:
            frame = translations.frame(words.catalog(self.lang, [translations.REPORT]))
            resources["outputs"] |= {KIT.name: KIT.read_bytes(), "words.json": json.dumps(frame).encode()}
        return source, resources


class TypstPDFExporter(TypstExporter):
    """A notebook as a PDF."""

    export_from_notebook = "PDF via Typst"
    output_mimetype = "application/pdf"

    @default("file_extension")
    def _file_extension_default(self):
        return ".pdf"

    def from_notebook_node(self, nb, resources=None, **kwargs):
        source, resources = super().from_notebook_node(nb, resources, **kwargs)
        with tempfile.TemporaryDirectory() as folder:
            write_files(folder, {"main.typ": source, **resources["outputs"]})
            try:
                pdf, warnings = typeset(folder)
            except TypesettingError as error:
                cells = ", ".join(refused_cells(folder, "main.typ", str(error)))
                raise TypesettingError(f"cell {cells or '?'}: {error}") from None
        for warning in warnings:
            self.log.warning("typst: %s", warning)
        resources["outputs"], resources["output_extension"] = {}, ".pdf"
        return pdf, resources
