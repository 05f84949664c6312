"""What a notebook shows: sentences with computed numbers, figures, tables and listings, each with a caption.

A text is a template in English. Its fields are keyword arguments or, without one, the caller's own variables:

    prose.say("{score.value:.1%} of {score.n:,} images are recognised, {best} best.", best=labels.CLASSES[best])

The output's metadata (key `fer`) keep template and values, so that a report says the same in every language that has a
catalog (`words`), without running anything. FER_LANG=zh-TW shows a notebook's outputs in that language. This is the
only module that imports IPython.
"""

import contextlib
import html
import inspect
import io
import numbers
import os
from collections import ChainMap
from pathlib import Path

from IPython.display import display

from fer_utils.listings import ROOT, listing_of
from fer_utils.words import catalog, filled, joined, languages, marked, message, number, words

__all__ = ["figure", "joined", "listing", "marked", "number", "say", "table", "words"]


def say(*sentences, **fields):
    """Display a paragraph of Markdown.

    Args:
        sentences: templates, whole sentences; one that is None or False is left out: `"…" if it_holds else None`.
        fields: values for the templates.
    """
    known = _known(fields)
    text = joined([_filled(sentence, known) for sentence in sentences if sentence], sentences=True)
    shown = _catalog().say(text)
    _display({"text/markdown": shown, "text/plain": shown}, kind="say", text=message(text))


def figure(fig, caption, /, name, **fields):
    """Display a matplotlib Figure as vector graphics, with its caption.

    It is drawn once for every language, its labels translated as far as the catalogs have them.

    Args:
        fig: matplotlib Figure.
        caption: a template, Markdown.
        name: `fig-…`; text refers to it by `[Figure](#fig-…)`.
        fields: values for the caption.
    """
    from fer_utils.plots.style import texts_of

    catalogs = {lang: catalog(lang) for lang in languages()}
    images = {"en": _svg(fig, catalogs["en"])}
    drawn = list(map(message, texts_of(fig)))
    labels = {lang: list(map(known.say, drawn)) for lang, known in catalogs.items()}
    images |= {lang: _svg(fig, catalogs[lang]) for lang in labels if labels[lang] != labels["en"]}
    shown = images.get(_catalog().lang, images["en"])
    translated = {lang: svg for lang, svg in images.items() if svg is not shown}
    details = {"labels": drawn, "said": labels, "images": translated}
    _captioned({"image/svg+xml": shown}, _filled(caption, _known(fields)), name, kind="figure", **details)


def _svg(fig, known):
    """Return a Figure as SVG, in the language of a Catalog."""
    from fer_utils.plots.style import relabelled

    buffer = io.StringIO()
    with relabelled(fig, known.say) if known.lang != "en" else contextlib.nullcontext():
        fig.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def table(rows, caption, /, name, header=None, form=None, **fields):
    """Display a typeset table, with its caption.

    Cells: integers get thousands commas, other numbers and Estimates three decimals unless `form` says otherwise, None
    and NaN are a dash, and everything else is its `str`; `words` and class names are translated.

    Args:
        rows: dict of column name -> values, list of dicts, list of rows, or DataFrame (its index becomes the first
            column if it has a name).
        caption: a template, Markdown.
        name: `tab-…`; text refers to it by `[Table](#tab-…)`.
        header: list of the column names to print; by default those of `rows`.
        form: format of what is no integer, such as ".1%": dict of column name -> format, or one for all columns.
        fields: values for the caption.
    """
    import pandas as pd

    named = None if len(rows) else header  # a list of no rows does not know its columns
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows, columns=named, dtype=object)
    if frame.index.name:
        frame = frame.reset_index()
    forms = form if isinstance(form, dict) else dict.fromkeys(frame.columns, form)
    columns = [[_cell(value, forms.get(column)) for value in frame[column]] for column in frame.columns]
    header = [_filled(str(name), {}) for name in header or frame.columns]  # words stay what they are
    align = ["right" if i and _are_numbers(cells) else "left" for i, cells in enumerate(columns)]
    lines = [list(line) for line in zip(*columns, strict=True)]
    details = {"header": list(map(message, header)), "rows": [list(map(message, line)) for line in lines]}
    bundle = {"text/html": _html_table(header, lines, align)}
    _captioned(bundle, _filled(caption, _known(fields)), name, kind="table", align=align, **details)


def _cell(value, form):
    if value is None or value != value:  # NaN is not equal to itself
        return "–"
    if isinstance(value, str | bool):
        return str(value)
    if isinstance(value, numbers.Integral):
        return number(value, ",d")
    return number(value, form or (".3f" if isinstance(value, numbers.Number) else ""))


def _are_numbers(cells):
    """Return whether all cells are formatted numbers ("0.61 [0.59, 0.63]", "1,234", "–"), which are right-aligned."""
    return all(not cell or cell[0] in "0123456789+-−–<." for cell in cells)


def _html_table(header, rows, align):
    """Return the HTML of a table, in the language that the notebook shows."""

    def line(texts, tag):
        cells = zip(map(_catalog().say, texts), align, strict=True)
        return "".join(f'<{tag} style="text-align: {side}">{html.escape(text)}</{tag}>' for text, side in cells)

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return f"<table><thead><tr>{line(header, 'th')}</tr></thead><tbody>{body}</tbody></table>"


def listing(things, caption, /, name, **fields):
    """Display the source of functions or classes of the kit, with its caption; docstrings are cut to one line.

    Args:
        things: a function, method or class, or a list of them.
        caption: a template, Markdown.
        name: `lst-…`; text refers to it by `[Listing](#lst-…)`.
        fields: values for the caption.
    """
    things = things if isinstance(things, list) else [things]
    places = [(Path(inspect.getsourcefile(thing)).resolve(), inspect.unwrap(thing).__qualname__) for thing in things]
    source = "\n\n\n".join(listing_of(*place) for place in places)
    files = [path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path) for path, _ in places]
    details = {"source": source, "places": [[file, thing] for file, (_, thing) in zip(files, places, strict=True)]}
    bundle = {"text/markdown": f"```python\n{source}\n```"}
    _captioned(bundle, _filled(caption, _known(fields)), name, kind="listing", **details)


# -- texts -------------------------------------------------------------------------------------------------------------


def _known(fields):
    """Return what names in a template stand for: arguments first, then the variables where prose was called."""
    caller = inspect.currentframe().f_back.f_back
    return ChainMap(fields, caller.f_locals, caller.f_globals)


def _filled(template, known):
    return template if hasattr(template, "template") else filled(template, known)


def _catalog():
    """Return the catalog of the language that outputs are shown in: `$FER_LANG`, else English."""
    return catalog(os.environ.get("FER_LANG") or "en")


def _captioned(bundle, caption, name, **fer):
    """Display something and its caption; the report typesets the caption from the metadata of the former."""
    shown = _catalog().say(caption)
    _display({**bundle, "text/plain": f"[{name}] {shown}"}, name=name, caption=message(caption), **fer)
    _display({"text/markdown": f"*{shown}*"}, kind="caption")


def _display(bundle, **fer):
    """Display a MIME bundle with the report's metadata."""
    display(bundle, raw=True, metadata={"fer": fer})
