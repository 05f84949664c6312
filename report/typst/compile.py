"""Typst source -> PDF, and which cell of a notebook it was that Typst refused."""

import io
import json
import re
from pathlib import Path

from . import fonts
from .literal import literal

KIT = Path(__file__).with_name("kit.typ")
STANDARD = ["ua-1"]  # PDF/UA-1, accessible: Typst refuses an image or a formula without an alternative text
PPI = 12  # of the pictures of pages that are looked at
TOP, BOTTOM = 2.3, 2.1  # cm: the margins in kit.typ
CELL = re.compile(r"^//@ cell (\S+)\n", re.M)  # written in front of every cell by source.py


class TypesettingError(ValueError):
    """Typst refused the source."""


def typeset(folder, main="main.typ", report=False):
    """Compiles a folder of Typst files to a PDF.

    Nothing is read from outside of the folder, and nothing is downloaded. The same files give the same bytes.

    Args:
        folder: path with `main`, kit.typ and all that they include.
        main: name of the file to start from.
        report: whether it is a whole report: made accessible (`STANDARD`), with warnings where that cannot be, and of
            pages that are mostly blank.

    Returns:
        The PDF as bytes, and a tuple of warnings.

    Raises:
        TypesettingError: with Typst's message; `refused_cells` finds the cell.
    """
    import typst

    folder = Path(folder)
    with fonts.folder() as font_folder:
        book = typst.Fonts(include_system_fonts=fonts.use_system_fonts(), font_paths=[font_folder])
        no_packages = str(folder / "no-packages")  # an import of a package must fail, not download
        compiler = typst.Compiler(str(folder / main), root=str(folder), font_paths=book, package_path=no_packages)
        try:
            return _settled(compiler, report)
        except typst.TypstError as error:
            raise TypesettingError(error.message) from None


def _settled(compiler, report, attempts=8, free=2):
    """Typst sets a document five times at most; where the places of figures need more, it goes on from where it was.

    After `free` attempts, figures stay where they were: the places of two can depend on each other without an end.
    """
    import typst

    floating, standard, complaints = [], STANDARD if report else [], []
    for attempt in range(attempts):
        inputs = {"floating": json.dumps(floating)} | ({"settled": "yes"} if attempt >= free else {})
        try:
            pdf, warnings = compiler.compile_with_warnings(format="pdf", sys_inputs=inputs, pdf_standards=standard)
        except typst.TypstError as error:
            if not error.message.startswith("PDF/UA"):
                raise
            complaints, standard = [f"the PDF is not accessible: {error.message}"], []
            pdf, warnings = compiler.compile_with_warnings(format="pdf", sys_inputs=inputs)
        messages = dict.fromkeys(w.message for w in warnings if "unknown font family" not in w.message)
        if not any("did not converge" in message for message in messages):
            break
        floating = json.loads(compiler.query("<floats>", field="value"))
    blank = _blank_pages(compiler, inputs) if report else {}
    return pdf, (*complaints, *messages, *(f"page {page} is blank by {share:.0%}" for page, share in blank.items()))


def _blank_pages(compiler, inputs, at_most=0.6):
    """The pages of which more than this share is blank at their foot, though no page begins behind them on purpose.

    Typst draws small pictures of all pages, which costs less than reading the PDF back.

    Returns:
        Dict from the number of a page to that share (0…1) of the room for text.
    """
    from PIL import Image

    pages, _ = compiler.compile_with_warnings(format="png", ppi=PPI, sys_inputs=inputs)
    pages = pages if isinstance(pages, list) else [pages]
    begins = json.loads(compiler.query("<begins>", field="value"))
    ends = {len(pages), *(page - 1 for page in begins)}
    shares = {number: blank_share(Image.open(io.BytesIO(page))) for number, page in enumerate(pages, start=1)}
    return {number: share for number, share in shares.items() if share > at_most and number not in ends}


def blank_share(page):
    """The share (0…1) of the room for text that is blank below the last ink, on a picture of a page of `PPI`."""
    inch = 2.54 / PPI  # of a pixel, in cm
    top, bottom = round(TOP / inch), round(page.height - BOTTOM / inch)
    room = page.convert("L").crop((0, top, page.width, bottom))
    box = room.point(lambda grey: 255 * (grey < 250)).getbbox()
    return 1 - (box[3] if box else 0) / room.height


def refused_cells(folder, file, message):
    """Ids of the cells that Typst refuses with this message when each is typeset by itself.

    Typst's own word on the place is of no use where a figure fails: it names the line in kit.typ that draws it.
    """
    _, *parts = CELL.split(Path(folder, file).read_text("utf-8"))
    refused = []
    for cell, source in zip(parts[::2], parts[1::2], strict=True):
        write_files(folder, {"probe.typ": f'#import "{KIT.name}": *\n{source}'})
        try:
            typeset(folder, "probe.typ")
        except TypesettingError as error:
            refused += [cell] if str(error) == message else []
    return refused


def replace_cell(folder, file, cell, message):
    """Puts a note in place of a cell, so that the rest of the file can be typeset."""
    before, *parts = CELL.split(Path(folder, file).read_text("utf-8"))
    source = before
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        note = f"#failed({literal(f'{cell}: {message}')})\n\n"
        source += f"//@ cell {name}\n" + (note if name == cell else body)
    write_files(folder, {file: source})


def write_files(folder, files):
    """Write {path: bytes or str} below a folder, together with the kit; a file that is the same is left alone."""
    for name, content in {**files, KIT.name: KIT.read_bytes()}.items():
        path = Path(folder, name)
        content = content.encode() if isinstance(content, str) else content
        if not (path.is_file() and path.read_bytes() == content):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
