"""Which fonts a report may use, and which characters none of them has (Typst prints an empty box and says nothing)."""

import importlib.util
import os
import tempfile
import unicodedata
from contextlib import contextmanager
from functools import cache
from pathlib import Path

SUFFIXES = (".otf", ".ttf", ".otc", ".ttc")


def files():
    """The font files of a report: the wheel with Noto TC, matplotlib's DejaVu (arrows, bars), then those in $FER_FONTS.

    The machine's own fonts stay out, so that a report looks the same everywhere; FER_FONTS=system lets them in.
    """
    noto, dejavu = _package("pylopdf_fonts_zh_tw"), _package("matplotlib", "mpl-data/fonts/ttf")
    found = sorted(noto.iterdir()) if noto else []
    # By name: beside them lies LastResort, which claims every character and draws it as a box.
    found += [dejavu / name for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")] if dejavu else []
    extra = os.environ.get("FER_FONTS", "")
    if extra and extra != "system":
        found += sorted(Path(extra).expanduser().rglob("*"))
    return [path for path in found if path.suffix.lower() in SUFFIXES]


def use_system_fonts():
    """Whether the machine's fonts are used: when asked for, and when the wheel with the Han glyphs is not there."""
    return os.environ.get("FER_FONTS") == "system" or _package("pylopdf_fonts_zh_tw") is None


@contextmanager
def folder():
    """A folder with just these files, as Typst searches folders; it must live as long as Typst reads from it."""
    with tempfile.TemporaryDirectory() as name:
        for i, path in enumerate(files()):
            os.symlink(path.absolute(), Path(name, f"{i:03}{path.suffix}"))
        yield name


def _package(name, below="."):
    spec = importlib.util.find_spec(name)  # does not import it
    return Path(spec.origin).parent / below if spec else None


@cache
def coverage():
    """The set of code points that some font file has."""
    from fontTools.ttLib import TTCollection, TTFont

    points = set()
    for path in files():
        fonts = TTCollection(path, lazy=True) if path.suffix.lower() in (".otc", ".ttc") else [TTFont(path, lazy=True)]
        points.update(*(font.getBestCmap() or () for font in fonts))
    return points


def missing(text):
    """The characters of a text that would be printed as empty boxes, each once, in order.

    Marks that have no glyph of their own (joiners, variation selectors, spaces) do not count, and nothing does where
    the machine's own fonts are used: Typst then looks in files that are not known here.

    >>> missing("學號 student → ∂L/∂x")
    []
    """
    if use_system_fonts():
        return []
    unknown = dict.fromkeys(c for c in text if ord(c) > 126 and ord(c) not in coverage())
    return [c for c in unknown if unicodedata.category(c) not in ("Cc", "Cf", "Mn", "Zs", "Zl", "Zp")]


def complaints(text):
    """A warning for every character that `missing` finds."""
    return [f"no font has U+{ord(character):04X} {character}" for character in missing(text)]
