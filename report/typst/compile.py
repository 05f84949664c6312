"""Typst source -> PDF, with an error traced back to the notebook's cell."""

import json
import re
from pathlib import Path

from . import fonts
from .literal import literal

KIT = Path(__file__).with_name("kit.typ")
CELL = re.compile(r"^//@ cell (\S+)$")  # written in front of every cell by the exporter


class TypesettingError(ValueError):
    """Typst refused the source. `file`, `line` and `cell` (id) say where, each None where that is not known."""

    def __init__(self, message, file=None, line=None, cell=None):
        super().__init__(message)
        self.file, self.line, self.cell = file, line, cell


def typeset(folder, main="main.typ"):
    """Compiles a folder of Typst files to a PDF.

    Nothing is read from outside of the folder, and nothing is downloaded. The same files give the same bytes.

    Args:
        folder: path with `main`, kit.typ and all that they include.
        main: name of the file to start from.

    Returns:
        The PDF as bytes, and a tuple of Typst's warnings.

    Raises:
        TypesettingError: with the cell that the offending line came from.
    """
    import typst

    folder = Path(folder)
    with fonts.folder() as font_folder:
        book = typst.Fonts(include_system_fonts=fonts.use_system_fonts(), font_paths=[font_folder])
        no_packages = str(folder / "no-packages")  # an import of a package must fail, not download
        compiler = typst.Compiler(str(folder / main), root=str(folder), font_paths=book, package_path=no_packages)
        try:
            return _settled(compiler)
        except typst.TypstError as error:
            raise _located(error, folder) from None


def _settled(compiler, attempts=8):
    """Typst sets a document five times at most; where the places of figures need more, it goes on from where it was."""
    floating = []
    for _ in range(attempts):
        inputs = {"floating": json.dumps(floating)}
        pdf, warnings = compiler.compile_with_warnings(format="pdf", sys_inputs=inputs)
        messages = dict.fromkeys(w.message for w in warnings if "unknown font family" not in w.message)
        if not any("did not converge" in message for message in messages):
            break
        floating = json.loads(compiler.query("<floats>", field="value"))
    return pdf, tuple(messages)


def _located(error, folder):
    place = re.search(r"┌─ (\S+?):(\d+):\d+", error.diagnostic)
    if not place:
        return TypesettingError(error.message)
    file, line = place[1], int(place[2])
    above = (folder / file).read_text("utf-8").splitlines()[:line] if (folder / file).is_file() else []
    cell = next((found[1] for text in reversed(above) if (found := CELL.match(text))), None)
    return TypesettingError(error.message, file, line, cell)


def without_cell(source, cell, message):
    """The source with one cell replaced by a note that it cannot be typeset, so that the rest still can."""
    lines, inside = [], False
    for line in source.splitlines():
        if found := CELL.match(line):
            inside = found[1] == cell
            lines += [line, f"#failed({literal(f'{cell}: {message}')})"] if inside else []
        if not inside:
            lines.append(line)
    return "\n".join(lines) + "\n"


def write_files(folder, files):
    """Writes {path: bytes or str} below a folder, together with the kit; a file that is the same is left alone."""
    for name, content in {**files, KIT.name: KIT.read_bytes()}.items():
        path = Path(folder, name)
        content = content.encode() if isinstance(content, str) else content
        if not (path.is_file() and path.read_bytes() == content):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
