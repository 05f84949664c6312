"""Display sentences with computed numbers, figures and tables in two languages, from a notebook.

Jupyter shows both languages. The report picks one of them from the output's metadata (key `fer`), so a notebook is
executed once for all languages. This is the only module that imports IPython.
"""

import html
import io

from IPython.display import display

LANGUAGES = ("en", "zh-TW")


def say(en, zh_TW):
    """Display a paragraph of Markdown, written by code from the results."""
    text = {"en": en, "zh-TW": zh_TW}
    _display({"text/markdown": f"{en}\n\n{zh_TW}", "text/plain": f"{en}\n{zh_TW}"}, kind="say", text=text)


def figure(fig, en, zh_TW, name):
    """Display a matplotlib Figure as vector graphics, with its caption.

    Args:
        fig: matplotlib Figure.
        en, zh_TW: the caption, in Markdown.
        name: `fig-…`; text refers to it by `[Figure](#fig-…)`.
    """
    buffer = io.StringIO()
    fig.savefig(buffer, format="svg", metadata={"Date": None})
    caption = {"en": en, "zh-TW": zh_TW}
    bundle = {"image/svg+xml": buffer.getvalue(), "text/plain": f"[{name}] {en}\n{zh_TW}"}
    _display(bundle, kind="figure", name=name, caption=caption)
    _display_caption(caption)


def table(frame, en, zh_TW, name, header=None):
    """Display a DataFrame as a typeset table, with its caption; cells are converted by `str`.

    Args:
        frame: DataFrame; its index becomes the first column.
        en, zh_TW: the caption, in Markdown.
        name: `tab-…`; text refers to it by `[Table](#tab-…)`.
        header: dict of column name -> {"en": …, "zh-TW": …} for the columns to translate.
    """
    import pandas as pd

    caption, header = {"en": en, "zh-TW": zh_TW}, header or {}
    columns = [frame.index.name or "", *map(str, frame.columns)]
    rows = [[str(index), *map(str, row)] for index, row in zip(frame.index, frame.itertuples(index=False), strict=True)]
    numbers = [pd.api.types.is_numeric_dtype(frame[c]) or _looks_numeric(frame[c]) for c in frame.columns]
    bundle = {"text/html": _html_table(columns, rows), "text/plain": f"[{name}] {en}\n{zh_TW}\n{frame.to_string()}"}
    _display(
        bundle,
        kind="table",
        name=name,
        caption=caption,
        header=[header.get(column, column) for column in columns],
        align=["left", *("right" if number else "left" for number in numbers)],
        rows=rows,
    )
    _display_caption(caption)


def _looks_numeric(column):
    """Return whether all cells are formatted numbers ("0.61 [0.59, 0.63]", "1,234", "–"), which are right-aligned."""
    return all(not cell or cell[0] in "0123456789+-−–<." for cell in map(str, column))


def _html_table(columns, rows):
    """Return the HTML of a table from its column names and rows of strings."""

    def cells(words, tag):
        return "".join(f"<{tag}>{html.escape(word)}</{tag}>" for word in words)

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f"<table><thead><tr>{cells(columns, 'th')}</tr></thead><tbody>{body}</tbody></table>"


def _display_caption(caption):
    """Display the caption in Jupyter; the report typesets it from the metadata of the figure or table instead."""
    _display({"text/markdown": f"*{caption['en']}*  \n{caption['zh-TW']}"}, kind="caption")


def _display(bundle, **fer):
    """Display a MIME bundle with the report's metadata."""
    display(bundle, raw=True, metadata={"fer": fer})
