"""Two nbconvert exporters: `jupyter nbconvert --to typst` writes Typst source, `--to typst-pdf` a PDF."""

import base64
import re
import tempfile
from pathlib import Path

from nbconvert.exporters import TemplateExporter
from nbconvert.preprocessors import Preprocessor
from traitlets import Bool, Dict, Enum, Unicode, default

from . import fonts, markdown, outputs
from .compile import KIT, TypesettingError, refused_cells, typeset, write_files
from .literal import literal
from .markdown import Piece

LANGUAGES = ("en", "zh-TW")
HEADING = re.compile(r"= (.+)\n<[^>]+>\s*")  # how pandoc writes `# …`
HIDDEN_INPUT = {"hide-input", "remove-input"}


class ToTypst(Preprocessor):
    """Puts the finished Typst source of every cell into `cell.typst`, and into `resources` what else a report needs.

    resources["typst"]: title (Typst markup), code (list of sources for an appendix), warnings (list of str), document
    (arguments of kit.typ's `report`, or None in a fragment); resources["outputs"]: the pictures, {path: bytes}.
    """

    enabled = True

    def preprocess(self, nb, resources):
        exporter = self.parent
        self.media, self.code, self.warnings = {}, [], []
        nb.cells = [cell for cell in nb.cells if self.is_shown(cell)]
        for i, cell in enumerate(nb.cells):
            cell.id = re.sub(r"[^\w-]", "-", cell.get("id") or f"cell-{i + 1}")
        parts = {cell.id: self.parts(cell) for cell in nb.cells}
        self.convert([p for ps in parts.values() for p in ps if isinstance(p, Piece)], nb, resources)
        for cell in nb.cells:
            cell["typst"] = "".join(p.typst if isinstance(p, Piece) else p for p in parts[cell.id])
        title = self.take_title(nb) or "#" + literal(resources["metadata"].get("name") or "notebook")
        self.check_glyphs(nb, title)
        document = {"lang": exporter.lang, "cover": False}
        resources["typst"] = {"title": title, "document": None if exporter.fragment else literal(document)}
        resources["typst"] |= {"code": self.code, "warnings": self.warnings}
        resources["outputs"] = {**(resources.get("outputs") or {}), **self.media}
        return nb, resources

    def warn(self, cell, message):
        self.warnings.append(f"cell {cell}: {message}")

    def is_shown(self, cell):
        """Whether a cell is for this language and not tagged away."""
        tags = set(cell.metadata.get("tags", []))
        languages = {f"lang-{lang}" for lang in LANGUAGES} & tags
        return not languages - {f"lang-{self.parent.lang}"} and not tags & {"remove-cell", "papermill-error-cell-tag"}

    def parts(self, cell):
        """A cell as Typst source and Pieces."""
        if cell.cell_type == "markdown":
            body = [Piece(cell.id, self.with_attachments(cell))]
            return ["#wording[\n", *body, "\n]"] if "question" in cell.metadata.get("tags", []) else body
        return self.code_parts(cell) if cell.cell_type == "code" else []

    def code_parts(self, cell):
        tags, parts = set(cell.metadata.get("tags", [])), []
        if cell.source.strip() and not tags & HIDDEN_INPUT:
            if self.parent.code == "inline":
                parts.append(f"#code({literal(cell.source)})\n")
            else:
                self.code.append(cell.source)
        for output in [] if "remove-output" in tags else outputs.merged_streams(cell.outputs):
            parts += ["\n", *self.output_parts(output, cell.id, "show-output" in tags), "\n"]
        return parts

    def output_parts(self, output, cell, asked_for):
        """An output as Typst source and Pieces; of bare text only what the reader asked for."""
        exporter = self.parent
        text_shown = asked_for or exporter.code == "inline"
        if output["output_type"] == "error":
            return outputs.error(output)
        if output["output_type"] == "stream":
            # Progress bars and log lines go to stderr: they are no part of a report.
            quiet = output["name"] == "stderr" and exporter.fragment and not asked_for
            return outputs.stream(output) if text_shown and not quiet else []
        meta = output["metadata"].get("fer", {})
        if meta.get("kind") == "caption":  # for Jupyter; the figure before it carries it as well
            return []
        if meta.get("kind") == "say":
            return outputs.said(meta, cell, exporter.lang)
        if meta.get("kind") == "figure":
            return outputs.figure(output, meta, cell, exporter.lang, exporter.label_prefix, self.media)
        if meta.get("kind") == "table":
            return outputs.table(meta, cell, exporter.lang, exporter.label_prefix)
        parts = outputs.bundle(output, cell, self.media)
        if parts is None and text_shown:
            return outputs.stream({"text": output["data"].get("text/plain", "")})
        return parts or []

    def convert(self, pieces, nb, resources):
        """Runs pandoc over all pieces of the notebook."""
        shown = [o.metadata.get("fer", {}) for c in nb.cells for o in c.get("outputs", []) if "metadata" in o]
        names = [meta["name"] for meta in shown if "name" in meta]
        folder = resources["metadata"].get("path") or "."
        with tempfile.TemporaryDirectory() as attachments:
            for name, blob in self.attachments(nb):
                Path(attachments, name).write_bytes(blob)
            self.media |= markdown.convert(
                pieces,
                self.parent.lang,
                self.parent.label_prefix,
                names,
                self.parent.works,
                f"{folder}:{attachments}",
                self.warn,
            )

    def attachments(self, nb):
        """Yields name and bytes of the pictures that were pasted into Markdown cells."""
        for cell in nb.cells:
            for name, bundle in (cell.get("attachments") or {}).items():
                yield f"{cell.id}-{Path(name).name}", base64.b64decode(next(iter(bundle.values())))

    def with_attachments(self, cell):
        source = cell.source
        for name in cell.get("attachments") or {}:
            source = source.replace(f"attachment:{name}", f"{cell.id}-{Path(name).name}")
        return source

    def take_title(self, nb):
        """Cuts the notebook's `# title` out of its first Markdown cell; returns it as Typst markup."""
        first = next((cell for cell in nb.cells if cell.cell_type == "markdown"), None)
        found = HEADING.match(first["typst"]) if first else None
        if found:
            first["typst"] = first["typst"][found.end() :]
            return found[1]

    def check_glyphs(self, nb, title):
        """Warns of characters that would be printed as empty boxes, in the text and in the code of an appendix."""
        in_appendix = self.parent.code == "appendix"
        texts = {cell.id: cell["typst"] + (cell.source if in_appendix else "") for cell in nb.cells}
        for cell, text in {"title": title, **texts}.items():
            for complaint in fonts.complaints(text):
                self.warn(cell, complaint)


class TypstExporter(TemplateExporter):
    """A notebook as Typst source, with the pictures and kit.typ beside it."""

    export_from_notebook = "Typst"
    output_mimetype = "text/x-typst"

    lang = Enum(LANGUAGES, "en", help="language of the report: en or zh-TW").tag(config=True)
    code = Enum(
        ("inline", "appendix", "none"),
        "inline",
        help="where code goes: in its place, handed to the caller for an appendix (resources.typst.code), or nowhere",
    ).tag(config=True)
    fragment = Bool(False, help="no document around it: a chapter of a larger report").tag(config=True)
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
            resources["outputs"][KIT.name] = KIT.read_bytes()
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
