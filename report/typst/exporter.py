"""Two nbconvert exporters: `jupyter nbconvert --to typst` writes Typst source, `--to typst-pdf` a PDF."""

import json
import tempfile

from nbconvert.exporters import Exporter
from traitlets import Enum, Unicode, default

from fer_utils import words

from .. import translations
from .compile import KIT, TypesettingError, refused_cells, typeset, write_files
from .literal import literal
from .source import compose


class TypstExporter(Exporter):
    """A notebook as Typst source, with its images, kit.typ and words.json beside it."""

    export_from_notebook = "Typst"
    output_mimetype = "text/x-typst"

    lang = Unicode("en", help="language of the words around the notebook, and of its letters").tag(config=True)
    code = Enum(("inline", "none"), "inline", help="whether code is printed, other than of lessons").tag(config=True)

    @default("file_extension")
    def _file_extension_default(self):
        return ".typ"

    def from_notebook_node(self, nb, resources=None, **kwargs):
        nb, resources = super().from_notebook_node(nb, resources, **kwargs)
        name, folder = (resources["metadata"].get(part) for part in ("name", "path"))
        log = self.code == "inline"
        made = compose(nb, name or "notebook", folder or ".", self.lang, self.code, log)
        for warning in made.warnings:
            self.log.warning("%s", warning)
        frame = translations.frame(words.catalog(self.lang, [translations.REPORT]))
        resources["outputs"] = {**made.media, KIT.name: KIT.read_bytes(), "words.json": json.dumps(frame).encode()}
        settings = literal({"lang": self.lang, "cover": False})
        head = f'#import "{KIT.name}": *\n#show: report.with(..{settings}, title: [{made.title}])\n'
        return head + made.parts["chapter"], resources


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
