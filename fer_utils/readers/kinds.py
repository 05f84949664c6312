"""Identify a file by its content: first bytes, the header of a table, the members of an archive; not by its name."""

import codecs
import csv
import io
import re
import zipfile
from collections.abc import Callable
from pathlib import PurePath
from typing import NamedTuple

from fer_utils.readers.files import reading, unpacked
from fer_utils.readers.rows import EXPECTED, PIXELS, DataError, at, shown

ROLES = {
    **dict.fromkeys(("emotion", "emotions", "label", "labels", "class", "target", "expression", "y"), "label"),
    **dict.fromkeys(("pixels", "pixel", "pixel_values", "feature", "features"), "pixels"),
    **dict.fromkeys(("usage", "split", "set", "subset"), "usage"),
    **dict.fromkeys(("id", "image_id", "filename", "file_name", "file", "filepath", "path", "image_path", "img"), "id"),
    **dict.fromkeys(("image", "image_name", "img_name", "img_path", "name"), "id"),
}
SHOWN = {"label": "emotion", "pixels": "pixels", "usage": "Usage"}  # the official names, as messages show them
PIXEL_COLUMN = re.compile(r"[a-z_. ]*[0-9]+(x[0-9]+)?")  # pixel0, p_1, 2303, 48x48

SAVE = "np.savez_compressed('fer2013.npz', x_train=…, y_train=…, x_test=…, y_test=…)"
PICKLE = f"is a pickle, which may run any code and is not read. Open it where it comes from, and save: {SAVE}."
BALLOTS = (
    "is FERPlus' label.csv: ten people's votes on each image, but not FER2013's labels, and numbers that are not its "
    "rows. Use fer2013.csv, with FERPlus' fer2013new.csv beside it for the votes."
)
REFUSED = {  # first bytes -> what the file is, and what to do
    b"\x89HDF": f"is an HDF5 file. Open it with h5py or pandas, and save its arrays: {SAVE}.",
    **dict.fromkeys((b"\x80\2", b"\x80\3", b"\x80\4", b"\x80\5"), PICKLE),
    b"MATLAB": f"is a MATLAB file. Open it with scipy.io.loadmat, and save its arrays: {SAVE}.",
    b"SQLite": "is a database. Write its table as fer2013.csv with pandas' to_csv.",
    b"Rar!": "is a RAR archive. Unpack it and name its folder, or pack it as a zip.",
    b"7z\xbc\xaf": "is a 7z archive. Unpack it and name its folder, or pack it as a zip.",
    **dict.fromkeys((b"<!doctype", b"<html"), "is a web page, such as a login. Log in, and download the file itself."),
    b"version https://git-lfs": "is Git LFS' pointer to the file. Fetch the file itself: git lfs pull.",
}


class Kind(NamedTuple):
    """What a file contains and, for a table, how to split its rows into cells."""

    name: str  # "complete", "train", "val", "test", "unsplit", "answers" (tables of text); "npz", "npy"; "archive";
    # "parquet", "feather", "excel", "json" (tables that pandas reads); "votes", "ballots" (FERPlus); "" = unknown
    problem: str = ""  # why the file cannot be used
    encoding: str = ""
    delimiter: str = ""
    roles: tuple[str, ...] = ()  # values of ROLES, one per column; "" = ignored
    header_row: int = 0  # counted from 1


def identify(name: str, opener: Callable) -> Kind:
    """Identify a file by its first bytes."""
    try:
        with unpacked(name, opener) as stream:
            head = stream.read(1 << 16)
            if head.startswith((b"PK\3\4", b"PK\5\6")):
                stream.seek(0)
                with reading(name):
                    return identify_zip(name, zipfile.ZipFile(stream).namelist())
        if not head:
            return Kind("", f"{name}: is empty. Copy or download it again.")
        return identify_binary(name, head) or identify_table(name, head)
    except DataError as error:
        return Kind("", str(error))


def identify_zip(name: str, members: list[str]) -> Kind:
    """Tell an archive from the file formats that are zips themselves."""
    if any(member.endswith(".npy") for member in members):
        return Kind("npz")
    if "xl/workbook.xml" in members:
        return Kind("excel")
    if any(member.endswith("data.pkl") for member in members):
        return Kind("", f"{name}: is a file of PyTorch. Open it with torch.load, and save its arrays: {SAVE}.")
    return Kind("archive")


def identify_binary(name: str, head: bytes) -> Kind | None:
    """Identify a file that is not a table of text."""
    if head[257:262] == b"ustar":
        return Kind("archive")
    if head.startswith(b"\x93NUMPY"):
        return Kind("npy")
    if head.startswith(b"PAR1"):
        return Kind("parquet")
    if head.startswith((b"ARROW1", b"FEA1")):
        return Kind("feather")
    if head.startswith(b"\xd0\xcf\x11\xe0") and name.lower().endswith(".xls"):
        return Kind("excel")
    begins = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if begins[:1] in (b"{", b"[") and re.search(rb'"(pixels?|features?|emotion)"\s*:', head):
        return Kind("json")
    what = next((what for magic, what in REFUSED.items() if begins[:30].lower().startswith(magic.lower())), "")
    return Kind("", f"{name}: {what}") if what else None


def identify_table(name: str, head: bytes) -> Kind:
    """Find encoding, delimiter and columns of a csv; its columns say which of FER2013's files it is."""
    encoding = encoding_of(head)
    lines = io.StringIO(head.decode(encoding, "backslashreplace"), newline=None)
    row, header = next(((row, line) for row, line in enumerate(lines, start=1) if line.strip()), (1, ""))
    delimiter = max(",;\t|", key=header.count)
    with at(name, row):
        columns = next(csv.reader([header], delimiter=delimiter), [])
    if {"contempt", "nf"} <= {column.strip().lower() for column in columns}:  # FERPlus: see ferplus.py
        return Kind("votes", f"{name}: contains people's votes, but no images. Put fer2013.csv beside it.")
    if re.fullmatch(r"[^,]+\.png,\"?\([0-9, ]+\)\"?(,[0-9]+){10}", header.strip()):
        return Kind("ballots", f"{name}: {BALLOTS}")
    roles = roles_of(columns)
    if kind := kind_of(name, roles, columns):
        return Kind(kind, "", encoding, delimiter, roles, row)
    missing = [shown for role, shown in SHOWN.items() if role not in roles]
    problem = f"{name}, row {row}: no column {', '.join(missing)} in the header {shown(header.strip())}."
    return Kind("", f"{problem} {what_now(columns)}")


def what_now(columns: list[str]) -> str:
    """Say what to do about a header that does not name the columns."""
    numbers = sum(cell.strip().replace(".", "", 1).isdecimal() for cell in columns)
    if numbers > PIXELS - 1:
        names = f"emotion,p0,…,p{PIXELS - 1}" if numbers == PIXELS + 1 else f"p0,…,p{PIXELS - 1} with emotion"
        return f"It has {numbers:,} numbers and no names: write a first row that names the columns ({names})."
    return "Restore the header."


def roles_of(columns: list[str]) -> tuple[str, ...]:
    """Return the role of each column; of several with the same role the first has it, but pixels may be in 2,304."""
    names = [column.strip().lower() for column in columns]
    roles = [ROLES.get(name, "") for name in names]
    roles = [role if roles.index(role) == i else "" for i, role in enumerate(roles)]
    single = [i for i, name in enumerate(names) if not ROLES.get(name) and PIXEL_COLUMN.fullmatch(name)]
    if len(single) == PIXELS:
        roles = ["pixels" if i in set(single) else role.replace("pixels", "") for i, role in enumerate(roles)]
    return tuple(roles)


def kind_of(name: str, roles: tuple[str, ...], columns: list[str]) -> str:
    """Return which of FER2013's tables has these columns; "" for none."""
    named = re.search(r"(?:^|[^a-z])(train|test|val(?=id|[^a-z]))|$", PurePath(name).name.lower())[1] or ""
    match [role in roles for role in ("label", "pixels", "usage", "id")]:  # Kaggle's two files may have one header
        case [True, True, True, _]:
            return "complete"
        case [True, True, False, _]:
            return named or ("train" if "feature" in [column.strip().lower() for column in columns] else "unsplit")
        case [False, True, False, has_id] if has_id or named == "test":
            return "test"
        case [True, False, _, True] if "submission" not in name.lower():
            return "answers"
    return ""


def encoding_of(head: bytes) -> str:
    """Tell UTF-16 by its first bytes; every other encoding has its digits and commas where UTF-8 has them."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if 0 in head[:2]:
        return "utf-16-be" if head[0] == 0 else "utf-16-le"
    return "utf-8-sig"


def only(kinds: dict[str, Kind], path, *wanted: str) -> list[str]:
    """Return the names of the files of these kinds, of each at most one.

    Raises:
        DataError: there are more.
    """
    found = []
    for kind in wanted:
        names = sorted(name for name in kinds if kinds[name].name == kind)
        if len(names) > 1:
            raise DataError(f"{path}: there is more than one source: {', '.join(names)}. Name the one to use.")
        found += names
    return found


def nothing_readable(path, kinds: dict[str, Kind]) -> DataError:
    """Return the error that says why none of the files can be used."""
    problems = [kind.problem or f"{name}: cannot be used alone." for name, kind in sorted(kinds.items())]
    problems = [kind.problem for _, kind in sorted(kinds.items()) if kind.name == "ballots"][:1] or problems
    return DataError("\n".join([*(problems[:3] or [f"{path}: there is nothing in it."]), EXPECTED]))
