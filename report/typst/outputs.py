"""The items of a notebook (see `cells`) -> Typst source, in pieces: strings, and Texts that pandoc fills in later."""

import hashlib
import re

from ..cells import Code, Figure, Image, Listing, Observation, Printed, Raised, Short, Table, Wording
from ..texts import Text
from .literal import literal

APOSTROPHE = re.compile(r"(?<=[^\W\d_])'(?=[^\W\d_])")  # between letters
SUFFIXES = {"application/pdf": "pdf", "image/svg+xml": "svg", "image/png": "png", "image/jpeg": "jpg"}


def pieces(item, prefix, media, follow=None):
    """Return the pieces of an item.

    Args:
        item: of `cells.items`.
        prefix: put before the label of a figure or table.
        media: dict that gets the item's image: path -> bytes.
        follow: Text of the answer in short that comes behind it and stays with it, or None.
    """
    if follow and not isinstance(item, Figure | Table):
        return ["#held[\n", *pieces(item, prefix, media), "\n]\n#in-short[\n", follow, "\n]"]
    behind = [", follow: [\n", follow, "\n], ["] if follow else [", ["]
    match item:
        case Text(is_html=True) if "<table" in item.source:
            return ["#plain-table[\n", item, "\n]"]
        case Text(leads=True):
            return ["#held[\n", item, "\n]"]
        case Text():
            return [item]
        case Wording(text=text):
            return ["#wording[\n", text, "\n]"]
        case Observation(text=text):
            return ["#observation[\n", text, "\n]"]
        case Short(text=text):
            return ["#in-short[\n", text, "\n]"]
        case Code(source=source):
            return [f"#code({literal(source)})\n"]
        case Printed(text=text):
            return [f"#printed({literal(text)})"]
        case Raised():
            return [f"#exception({literal(item.name)}, {literal(item.message)}, {literal(item.trace)})"]
        case Image():
            width = f", width: {float(item.pixels) * 0.75:.1f}pt" if item.pixels else ""  # 96 pixels an inch
            return [f"#picture({literal(stored(item, media))}{width})"]
        case Figure():
            path = stored(item.image, media) if item.image else None
            settings = {"name": prefix + item.name, "path": path, "alt": item.caption.plain, "wide": item.wide}
            return [f"#numbered-figure(..{literal(settings)}", *behind, item.caption, "])"]
        case Table():
            header, *rows = ([APOSTROPHE.sub("’", text) for text in row] for row in (item.header, *item.rows))
            settings = {"name": prefix + item.name, "header": header, "align": item.align, "rows": rows}
            return [f"#numbered-table(..{literal(settings)}", *behind, item.caption, "])"]
        case Listing():
            settings = {"name": prefix + item.name, "source": item.source, "files": item.files}
            return [f"#numbered-listing(..{literal(settings)}, [", item.caption, "])"]
    raise TypeError(f"nothing prints {item!r}")


def stored(image, media):
    """Put an image among the report's files, under a name made from its content; return that name."""
    blob = image.blob
    path = f"media/{hashlib.sha256(blob).hexdigest()[:16]}.{SUFFIXES[image.mime]}"
    media[path] = blob
    return path
