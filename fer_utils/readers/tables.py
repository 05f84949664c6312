"""Read tables with an image in each row: csv in one pass, Excel, Parquet, Feather and JSON through pandas."""

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from fer_utils.readers.classes import labels_of
from fer_utils.readers.files import BLOCK, Ahead, Files, unpacked
from fer_utils.readers.kinds import Kind, identify, kind_of, roles_of
from fer_utils.readers.official import SIZES, note_md5
from fer_utils.readers.pixels import Cells
from fer_utils.readers.rows import DataError, Rows, at, joined, progress, shown
from fer_utils.readers.splits import usage

LONGEST = 1 << 18  # characters of a row whose quotes are not closed yet
PANDAS = {"parquet": "read_parquet", "feather": "read_feather", "excel": "read_excel", "json": "read_json"}


def read_tables(files: Files, names: list[str]) -> Rows:
    """Read fer2013.csv, icml_face_data.csv, train.csv and test.csv, or a table of a course-mate."""
    return joined([read_table(name, files[name]) for name in names])


def read_table(name: str, opener: Callable) -> Rows:
    """Read a csv with one image per row."""
    kind, md5 = identify(name, opener), hashlib.md5(usedforsecurity=False)
    last = [0]  # row that was begun
    try:
        rows = collected(name, kind, rows_of(name, opener, kind, md5, last))
    except DataError as error:
        if ends_within(name, opener, kind, last[0]):
            error = DataError(
                f"{error} The file ends within this row, and fer2013.csv has {sum(SIZES.values()) + 1:,}: "
                "if its download was cut, download it again; to use what is there, remove this row."
            )
        raise error from None
    return rows._replace(notes=(note_md5(name, md5), *rows.notes))


def collected(name: str, kind: Kind, rows: Iterable[tuple[int, list[str]]]) -> Rows:
    """Parse the cells of all rows of a table.

    Args:
        kind: says which column is what.
        rows: row number, as messages show it, and cells.
    """
    columns = {role: [i for i, other in enumerate(kind.roles) if other == role] for role in set(kind.roles)}
    first, *more = columns["pixels"]
    (label_at,), (usage_at,) = columns.get("label", [None]), columns.get("usage", [None])
    pixels, numbers, labels, usages = Cells(name), [], [], []
    for row, cells in rows:
        pixels.add(row, " ".join([cells[i] for i in (first, *more)]) if more else cells[first].strip())
        numbers.append(row)
        labels.append("" if label_at is None else cells[label_at].strip())
        usages.append("" if usage_at is None else cells[usage_at].strip())
    if not numbers:
        raise DataError(f"{name}: has a header and no rows. Copy or download it again.")
    images, notes = pixels.images()
    where = lambda place: at(name, numbers[place])  # noqa: E731
    classes, numbered = labels_of(labels, where, unknown="" if label_at is None else None)
    split = splits_of(usages, where) if usage_at is not None else np.repeat(kind.name, len(images))
    return Rows(images, classes, None if kind.name == "unsplit" else split, notes, numbered)


def splits_of(usages: list[str], where: Callable) -> np.ndarray:
    """Return the split (N,) of each row by its cell in the column Usage."""
    meaning = {}
    for word in dict.fromkeys(usages):
        try:
            meaning[word] = usage(word)
        except ValueError:
            with where(usages.index(word)):
                raise
    return np.array([meaning[word] for word in usages])


def rows_of(name: str, opener: Callable, kind: Kind, md5=None, last=None) -> Iterator[tuple[int, list[str]]]:
    """Yield line number (from 1) and cells of every row below the header, without blank lines."""
    with (
        unpacked(name, opener) as stream,
        Ahead(stream, md5) as ahead,
        io.TextIOWrapper(io.BufferedReader(ahead, BLOCK), kind.encoding, errors="backslashreplace") as lines,
    ):
        numbered = enumerate(progress(lines, "rows"), start=1)
        for row, line in numbered:
            if row <= kind.header_row or not line.strip():
                continue
            if last:
                last[0] = row
            with at(name, row):
                cells = cells_of(line, kind, numbered)
            yield row, cells


def cells_of(line: str, kind: Kind, following: Iterator[tuple[int, str]]) -> list[str]:
    """Split a line into its cells, one per column of the header; quoted cells may go on in the following lines."""
    quoted = '"' in line  # rare; str.split is much faster than csv.reader
    while quoted and line.count('"') % 2 and len(line) < LONGEST and (more := next(following, None)):
        line += more[1]
    if quoted and line.count('"') % 2:
        raise ValueError(f"a quote is opened and not closed: {shown(line.strip())}")
    cells = next(csv.reader(io.StringIO(line), delimiter=kind.delimiter)) if quoted else line.split(kind.delimiter)
    if len(cells) != len(kind.roles):
        raise ValueError(f"{len(cells)} cells where the header has {len(kind.roles)}: {shown(line.strip())}")
    return cells


def ends_within(name: str, opener: Callable, kind: Kind, row: int) -> bool:
    """Return whether a row is the last one of a file and has no line end."""
    try:
        with unpacked(name, opener) as stream, io.TextIOWrapper(stream, kind.encoding, errors="replace") as lines:
            count, line = 0, "\n"
            for count, line in enumerate(lines, start=1):  # noqa: B007
                pass
        return 0 < row == count and not line.endswith("\n")
    except DataError:
        return False


# --- tables that pandas reads -----------------------------------------------------------------------------------------


def read_frame(files: Files, names: list[str]) -> Rows:
    """Read an Excel, Parquet, Feather or JSON table with the columns of a csv."""
    name = names[0]
    frame = frame_of(name, files[name])
    columns = [str(column) for column in frame.columns]
    roles = roles_of(columns)
    kind = kind_of(name, roles, columns)
    if kind not in ("complete", "train", "val", "test", "unsplit"):
        raise DataError(
            f"{name}: its columns are {shown(', '.join(columns))}, not emotion, pixels, Usage. Rename them."
        )
    rows = enumerate(frame.itertuples(index=False, name=None), start=1)
    return collected(name, Kind(kind, roles=roles), ((row, list(map(cell_text, cells))) for row, cells in rows))


def frame_of(name: str, opener: Callable):
    """Return a table as a pandas.DataFrame."""
    import pandas as pd

    kind = identify(name, opener).name
    advice = f"Convert it where it opens: pandas.{PANDAS[kind]}(…).to_csv('fer2013.csv', index=False)."
    with unpacked(name, opener) as stream:
        content = stream.read()
    try:
        if kind != "json":
            return getattr(pd, PANDAS[kind])(io.BytesIO(content))
        text = io.StringIO(content.decode("utf-8-sig"))
        by_lines = text.readline().rstrip().endswith("}") and "{" in text.readline()[:5]  # an object in each line
        text.seek(0)
        return pd.read_json(text, lines=by_lines, dtype=False, convert_dates=False)
    except ImportError as error:
        package = str(error.name or "pyarrow")
        raise DataError(f"{name}: pandas needs the package {package} to read it, which is not here. {advice}") from None
    except Exception as error:  # pandas raises many types for a damaged file
        raise DataError(f"{name}: damaged or not a table ({str(error)[:200]}). Copy it again. {advice}") from error


def cell_text(value) -> str:
    """Return a cell as it would stand in a csv: lists and arrays as their numbers."""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple, np.ndarray)):
        try:
            return " ".join(map(str, np.ravel(np.asarray(value)).tolist()))
        except ValueError:  # lists of different lengths
            return str(value)
    return str(value)
