"""Every layout gives the same images, every bad input a message that says where; the cache is complete or absent."""

import bz2
import gzip
import lzma
import os
import signal
import subprocess
import sys
import tarfile
import types
import zipfile
from collections import Counter

import numpy as np
import pytest
from sources import (
    ANSWERS,
    COURSE,
    COURSE_TEST,
    COURSE_TRAIN,
    FER2013,
    ICML,
    IMAGES,
    KAGGLE_TEST,
    KAGGLE_TRAIN,
    LABELS,
    NUMBERED,
    PIXELS,
    SPELLINGS,
    TRAIN,
    USAGE,
    arrays,
    blank_image,
    class_folders,
    encoded,
    folder_of,
    inside,
    put,
    table,
    tarred,
    zipped,
)

from fer_utils import data, download
from fer_utils.data import DataError

pytestmark = pytest.mark.usefixtures("own_folders")


# --- the layouts ------------------------------------------------------------------------------------------------------


# the splits expected, and whether the test set is labelled
ALL = ("train", "val", "public", "private"), True
MERGED = ("train", "val", "test"), True
UNLABELLED = ("train", "val", "test"), False
LAYOUTS = {
    "fer2013": (put({"fer2013.csv": FER2013}), *ALL),
    "under another name": (put({"faces.dat": FER2013}), *ALL),
    "gz": (put({"fer2013.csv.gz": gzip.compress(FER2013.encode())}), *ALL),
    "bz2": (put({"fer2013.csv.bz2": bz2.compress(FER2013.encode())}), *ALL),
    "xz": (put({"fer2013.csv.xz": lzma.compress(FER2013.encode())}), *ALL),
    "icml_face_data": (put({"icml_face_data.csv": ICML}), *ALL),
    "windows line ends": (put({"a.csv": FER2013.replace("\n", "\r\n")}), *ALL),
    "old mac line ends": (put({"a.csv": FER2013.replace("\n", "\r")}), *ALL),
    "bom": (put({"a.csv": FER2013.encode("utf-8-sig")}), *ALL),
    "utf-16": (put({"a.csv": FER2013.encode("utf-16")}), *ALL),
    "utf-16 big-endian, no bom": (put({"a.csv": FER2013.encode("utf-16-be")}), *ALL),
    "latin-1": (put({"a.csv": FER2013.replace("\n", ",é\n").encode("latin-1")}), *ALL),
    "big5": (put({"a.csv": FER2013.replace("\n", ",備註\n").encode("big5")}), *ALL),
    "quoted": (put({"a.csv": table(cells=lambda i: (LABELS[i], f'"{PIXELS[i]}"', f'"{USAGE[i]}"'))}), *ALL),
    "semicolons": (put({"a.csv": FER2013.replace(",", ";")}), *ALL),
    "blank lines, blanks, no last line end": (put({"a.csv": FER2013.replace("\n", " \n\n").rstrip()}), *ALL),
    "folder of fer2013": (folder_of(put({"fer2013.csv": FER2013})), *ALL),
    "folder in folder": (put({"a/fer2013/fer2013.csv": FER2013, "a/fer2013/README": "words"}), *ALL),
    "all of the competition's files": (
        put({"icml_face_data.csv": ICML, "train.csv": KAGGLE_TRAIN, "test.csv": KAGGLE_TEST, "fer2013.bib": "@book"}),
        *ALL,
    ),
    "course": (inside("train.csv", put(COURSE)), *UNLABELLED),
    "course, packed": (
        inside("train.csv.gz", put({"train.csv.gz": gzip.compress(COURSE_TRAIN.encode()), "test.csv": COURSE_TEST})),
        *UNLABELLED,
    ),
    "course folder": (put(COURSE | {"sampleSubmission.csv": ANSWERS}), *UNLABELLED),
    "competition's train and test": (put({"train.csv": KAGGLE_TRAIN, "test.csv": KAGGLE_TEST}), *UNLABELLED),
    **{f"folders, {how}": (put(class_folders(classes)), *MERGED) for how, classes in SPELLINGS.items()},
    "folders of jpg": (put(class_folders(form="JPEG")), *MERGED),
    "folders of grey stored as rgb": (put(class_folders(mode="RGB")), *MERGED),
    "folders Training and validation": (put(class_folders(train="Training", test="validation")), *MERGED),
    "folders Train, Val and Test": (put(class_folders(train="Train", test="Val")), *MERGED),
    "folders below folders": (put(class_folders(train="images/images/train", test="images/images/test")), *MERGED),
    "folders and a submission": (put(class_folders() | {"submission.csv": ANSWERS}), *MERGED),
    "numbered": (put(NUMBERED), *UNLABELLED),
    "numbered, zip": (zipped(NUMBERED), *UNLABELLED),
    "zip of csv": (zipped({"fer2013/fer2013.csv": FER2013}), *ALL),
    "zip of course": (zipped(COURSE), *UNLABELLED),
    "zip of folders": (zipped(class_folders() | {"__MACOSX/train/angry/._0.png": b"junk"}), *MERGED),
    "zip with backslashes": (zipped({k.replace("/", "\\"): v for k, v in class_folders().items()}), *MERGED),
    "zip of npz": (zipped({"fer.npz": arrays()}), *ALL),
    "folder of zip": (folder_of(zipped({"fer2013.csv": FER2013})), *ALL),
    "tar of csv": (tarred({"./fer2013.csv": FER2013}), *ALL),
    "tar.gz of packed csv": (tarred({"fer.csv.xz": lzma.compress(FER2013.encode())}, "fer.tgz", "w:gz"), *ALL),
    "tar.bz2 of folders": (tarred(class_folders(), "fer.tar.bz2", "w:bz2"), *MERGED),
    "tar.xz of folders": (tarred(class_folders(), "fer.tar.xz", "w:xz"), *MERGED),
    "npz": (put({"fer.npz": arrays()}), *ALL),
    "npz in Fortran's order": (put({"a.npz": arrays(images=np.asfortranarray(IMAGES))}), *ALL),
    "npz without channel axis": (put({"a.npz": arrays(images=IMAGES)}), *ALL),
}


def contents(images, labels, sides):
    """Count images with their labels and sides (train, test), in no order."""
    rows = zip(images, labels, sides, strict=True)
    return Counter((image.tobytes(), int(label), str(side)) for image, label, side in rows)


@pytest.mark.parametrize(("write", "splits", "labelled"), LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_gives_the_same_images(folder, write, splits, labelled):
    dataset = data.load(write(folder))
    sides = np.where(np.isin(dataset.split, ["train", "val"]), "train", "test")
    labels = np.where((USAGE == "Training") | labelled, LABELS, -1)
    assert contents(dataset.images, dataset.labels, sides) == contents(
        IMAGES, labels, np.where(USAGE == "Training", "train", "test")
    )
    assert dataset.splits == splits
    assert dataset.images.shape == (35, 48, 48, 1) and dataset.images.dtype == np.uint8
    assert dataset.labels.dtype == np.int64 and not dataset.drawn and dataset.regions is None
    assert dataset.test_split == ("public" if "public" in splits else "test" if labelled else "val")


def test_rows_keep_the_order_of_the_file(folder):
    dataset = data.load(put({"fer2013.csv": FER2013})(folder))
    np.testing.assert_array_equal(dataset.images[..., 0], IMAGES)
    np.testing.assert_array_equal(dataset.where("private"), np.flatnonzero(USAGE == "PrivateTest"))
    images, labels = dataset.part("public")
    np.testing.assert_array_equal(images[..., 0], IMAGES[USAGE == "PublicTest"])
    np.testing.assert_array_equal(labels, LABELS[USAGE == "PublicTest"])
    assert dataset.name == "FER2013 (fer2013.csv)"
    with pytest.raises(DataError, match="no split 'test'; it has train, val, public, private"):
        dataset.where("test")


# --- bad input --------------------------------------------------------------------------------------------------------


def spoiled(row, old=None, new="", text=FER2013):
    """Change one line (counted from 1) of fer2013.csv, or replace it where `old` is None."""
    lines = text.split("\n")
    lines[row - 1] = new if old is None else lines[row - 1].replace(old, new, 1)
    return put({"fer2013.csv": "\n".join(lines)})


def pixel(row, value):
    """Change one pixel of fer2013.csv."""
    values = PIXELS[row - 2].split()
    values[99] = value
    return spoiled(row, PIXELS[row - 2], " ".join(values))


def linked(folder):
    with tarfile.open(folder / "fer.tar", "w") as archive:
        info = tarfile.TarInfo("fer2013.csv")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    return folder / "fer.tar"


def zip_linked(folder):
    with zipfile.ZipFile(folder / "fer.zip", "w") as archive:
        info = zipfile.ZipInfo("fer2013.csv")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    return folder / "fer.zip"


def cut(write, share=0.6):
    """Keep the first part of a file."""

    def write_cut(folder):
        path = write(folder)
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
        return path

    return write_cut


def with_image(content):
    return put(class_folders() | {"train/happy/odd.png": content})


BAD = {
    "short row": (spoiled(4, PIXELS[2], PIXELS[2][:99]), "fer2013.csv, row 4", f"{len(PIXELS[2][:99].split())} pixels"),
    "long row": (spoiled(4, PIXELS[2], PIXELS[2] + " 17"), "row 4", "2,305 pixels", "'17'"),
    "not a number": (pixel(5, "x7"), "row 5", "pixel 100 is 'x7'", "Correct the row"),
    "not whole": (pixel(5, "7.5"), "row 5", "pixel 100 is '7.5'"),
    "nan pixel": (pixel(6, "nan"), "row 6", "'nan'"),
    "above 255": (pixel(7, "256"), "row 7", "pixel 100 is '256'", "0 to 255"),
    "far above 255": (pixel(7, "99999999999999999999999"), "row 7", "'99999999999999999999999'"),
    "negative": (pixel(36, "-1"), "row 36", "'-1'"),
    "empty pixels": (spoiled(3, PIXELS[1], ""), "row 3", "pixels are empty"),
    "nan for an image": (spoiled(3, PIXELS[1], "NaN"), "row 3", "'NaN'"),
    "line numbers count blank lines": (spoiled(9, None, "\n\n7,1 2,Training"), "row 11", "'2'"),
    "label 7": (spoiled(2, "0,", "7,"), "row 2", "label '7'", "0 to 6"),
    "label -1": (spoiled(2, "0,", "-1,"), "row 2", "label '-1'"),
    "label in words": (spoiled(2, "0,", "angry,"), "row 2", "label 'angry'"),
    "empty label": (spoiled(2, "0,", ","), "row 2", "label ''"),
    "unknown Usage": (spoiled(8, "Training", "Testing"), "row 8", "Usage 'Testing'", "PublicTest"),
    "empty Usage": (spoiled(8, "Training", ""), "row 8", "Usage ''"),
    "too few cells": (spoiled(8, ",Training", ""), "row 8", "2 cells where the header has 3"),
    "too many cells": (spoiled(8, ",", ",,"), "row 8", "4 cells where the header has 3"),
    "utf-16 row": (put({"a.csv": FER2013.replace("PrivateTest", "Privat", 1).encode("utf-16")}), "row 30", "'Privat'"),
    "no pixels column": (put({"a.csv": "emotion,Usage\n0,Training\n"}), "a.csv, row 1", "no column pixels ", "n,Usage"),
    "no label column": (put({"a.csv": f"pixels,Usage\n{PIXELS[0]},Training\n"}), "row 1", "no column emotion "),
    "no header": (put({"a.csv": FER2013.split("\n", 1)[1]}), "row 1", "no column emotion, pixels, Usage", "'0,"),
    "another csv": (put({"a.csv": "a,b\n1,2\n"}), "row 1", "'a,b'", "FER2013 is read from"),
    "not a csv": (put({"a.csv": bytes(range(128, 256)) * 99}), "a.csv, row 1", "no column emotion, pixels, Usage"),
    "no rows": (put({"a.csv": "emotion,pixels,Usage\n\n"}), "a.csv", "no rows"),
    "empty file": (put({"a.csv": b""}), "a.csv", "is empty"),
    "empty gz": (put({"a.csv.gz": gzip.compress(b"")}), "a.csv.gz", "is empty"),
    "csv cut short": (cut(put({"a.csv": FER2013})), "a.csv, row 23", "2 cells"),
    "gz cut short": (cut(put({"a.gz": gzip.compress(FER2013.encode())})), "a.gz", "cut short", "download it again"),
    "bz2 cut short": (cut(put({"a.bz2": bz2.compress(FER2013.encode())})), "a.bz2", "cut short"),
    "xz cut short": (cut(put({"a.xz": lzma.compress(FER2013.encode())})), "a.xz", "cut short"),
    "gz damaged": (put({"a.gz": gzip.compress(FER2013.encode())[:-8] + b"12345678"}), "a.gz", "damaged"),
    "zip cut short": (cut(zipped({"fer2013.csv": FER2013})), "fer.zip", "cut short"),
    "tar cut short": (cut(tarred({"fer2013.csv": FER2013})), "fer.tar", "cut short"),
    "tar.gz cut short": (cut(tarred(class_folders(), "fer.tgz", "w:gz")), "fer.tgz", "cut short"),
    "empty zip": (zipped({}), "fer.zip", "nothing in it"),
    "empty tar": (tarred({}), "fer.tar", "FER2013 is read from"),
    "zip of other things": (zipped({"a.txt": "words"}), "fer.zip/a.txt", "no column emotion, pixels, Usage"),
    "zip leading out": (zipped({"../fer2013.csv": FER2013}), "fer.zip", "'../fer2013.csv'", "refused"),
    "zip leading out of Windows": (zipped({"a\\..\\..\\b.csv": FER2013}), "refused"),
    "zip with absolute name": (zipped({"/etc/fer2013.csv": FER2013}), "'/etc/fer2013.csv'", "refused"),
    "zip with drive": (zipped({"C:/fer2013.csv": FER2013}), "'C:/fer2013.csv'", "refused"),
    "tar leading out": (tarred({"a/../../fer2013.csv": FER2013}), "refused"),
    "tar with absolute name": (tarred({"/fer2013.csv": FER2013}, "fer.tgz", "w:gz"), "'/fer2013.csv'", "refused"),
    "tar with a link": (linked, "fer.tar", "'fer2013.csv'", "link"),
    "zip with a link": (zip_linked, "fer.zip", "'fer2013.csv'", "link"),
    "zip row": (zipped({"a/fer2013.csv": FER2013.replace("Training", "Trainin", 1)}), "fer.zip/a/fer2013.csv, row 2"),
    "16-bit image": (with_image(blank_image(mode="I;16")), "odd.png", "mode I;16"),
    "image of words": (with_image(b"words"), "odd.png", "unreadable"),
    "empty image": (with_image(b""), "odd.png", "unreadable"),
    "image cut short": (with_image(encoded(0)[:100]), "odd.png", "unreadable"),
    "jpg cut short": (with_image(encoded(0, "JPEG")[:-200]), "odd.png", "unreadable"),
    "gif": (with_image(blank_image(form="GIF")), "odd.png", "unreadable"),
    "unknown class": (put(class_folders() | {"train/contempt/1.png": encoded(0)}), "train/contempt/1.png", "Rename"),
    "no classes": (put({"1.png": encoded(0), "2.png": encoded(1)}), "1.png", "train/<class>/"),
    "empty folder": (put({}), "source", "nothing in it", "FER2013 is read from"),
    "a lone csv of answers": (put({"labels.csv": ANSWERS}), "labels.csv", "cannot be used alone"),
    "numbered without a row": (put(NUMBERED | {"train_img/00099.jpg": encoded(0)}), "00099.jpg", "has no row in"),
    "row without an image": (put(NUMBERED | {"train.csv": ANSWERS + "77,1\n"}), "train.csv", "id 77 has no image"),
    "the same id twice": (put(NUMBERED | {"train.csv": ANSWERS + "3,1\n"}), "train.csv, row 23", "'3'", "twice"),
    "an id in words": (put(NUMBERED | {"train.csv": ANSWERS + "three,1\n"}), "train.csv, row 23", "'three'"),
    "answer outside 0 to 6": (put(NUMBERED | {"train.csv": ANSWERS.replace("1,1", "1,8")}), "row 3", "label '8'"),
    "two sources": (put({"a.csv": FER2013, "b.csv": FER2013}), "more than one source", "a.csv", "b.csv"),
    "npz of 28x28": (put({"a.npz": arrays(images=IMAGES[:, :28, :28])}), "a.npz", "(35, 28, 28)"),
    "npz of unequal lengths": (put({"a.npz": arrays(labels=LABELS[:9])}), "a.npz", "35 images", "(9,)"),
    "npz with label 7": (put({"a.npz": arrays(labels=LABELS + 1)}), "a.npz", "row 6", "label 7"),
    "npz with unlabelled training": (put({"a.npz": arrays(labels=LABELS - 1)}), "a.npz", "row 0", "label -1"),
    "npz with another split": (put({"a.npz": arrays(split=np.array(["train"] * 34 + ["dev"]))}), "row 34", "'dev'"),
    "npz of pickles": (put({"a.npz": arrays(labels=np.array([None] * 35))}), "a.npz", "plain arrays"),
    "no such file": (lambda folder: folder / "fer2013.csv", "fer2013.csv", "no such file", "FER_DATA"),
}


@pytest.mark.parametrize(("write", "words"), [(write, words) for write, *words in BAD.values()], ids=BAD)
def test_bad_input_is_named(folder, tmp_path, write, words):
    with pytest.raises(DataError) as caught:
        data.load(write(folder))
    for word in words:
        assert word in str(caught.value)
    assert not list((tmp_path / "cache").glob("*-*"))


def test_a_home_folder_is_not_read(folder, monkeypatch):
    monkeypatch.setattr(data.readers.files, "MAX_FILES", 10)
    with pytest.raises(DataError, match="more than 10 files"):
        data.load(put(class_folders())(folder))


# --- notes on a source ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (put({"a.csv": FER2013}), ("md5", "none of the official files")),
        (put({"train.csv": COURSE_TRAIN}), ("no PublicTest and no PrivateTest", "train, val")),
        (put(COURSE), ("14 test images have no label",)),
        (put({"test.csv": COURSE_TEST}), ("No training image shows Angry", "no validation split")),
        (put(class_folders(mode="RGB")), ("35 grey images are stored as RGB",)),
        (put(class_folders() | {"cover.png": encoded(0)}), ("1 images outside train/ and test/ were not read",)),
        (put({"fer2013.csv": FER2013, "copy.zip": arrays(), "b.csv": "a,b"}), ("not read: b.csv, copy.zip.",)),
        (
            put(class_folders() | {f"{f}/Thumbs.db": b"\xd0" for f in ("test", "train", "test/sad")} | {"a.ini": "x"}),
            ("not read: Thumbs.db (3 files), a.ini.",),
        ),
        (put({"a.npz": arrays()} | {f"{i}.txt": "words" for i in range(9)}), ("1.txt, 2.txt, 3.txt, 4.txt, ….",)),
        (
            put({"a.csv": FER2013 + f"0,{PIXELS[0]},Training\n0,{PIXELS[1]},PublicTest\n"}),
            ("4 images are exact copies", "2 groups", "1 of these groups are"),
        ),
    ],
)
def test_notes(folder, write, words):
    notes = "\n".join(data.load(write(folder)).notes)
    assert all(hasattr(note, "template") for note in data.load(folder).notes), "can be said in another language"
    for word in words:
        assert word in notes


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_official_md5_is_recognised_through_packing(folder, monkeypatch, pack):
    import hashlib

    monkeypatch.setitem(data.readers.official.OFFICIAL_MD5, hashlib.md5(FER2013.encode()).hexdigest(), "fer2013.csv")
    dataset = data.load(put({"faces": pack(FER2013.encode())})(folder))
    assert "this is the official fer2013.csv" in dataset.notes[0]


# --- fingerprint and cache --------------------------------------------------------------------------------------------


def test_the_fingerprint_is_of_pixels_labels_and_split(folder):
    write = lambda name, text: put({name: text})(folder)  # noqa: E731
    same = {data.load(write(name, text)).fingerprint for name, text in [("a.csv", FER2013), ("b.csv", ICML)]}
    changed = [
        FER2013.replace(PIXELS[0][:9], PIXELS[0][:8] + "0", 1),
        FER2013.replace("\n0,", "\n1,", 1),
        FER2013.replace("PublicTest", "PrivateTest", 1),
    ]
    others = {data.load(write(f"{i}.csv", text)).fingerprint for i, text in enumerate(changed)}
    assert len(same) == 1 and len(others) == 3 and not same & others
    assert all(len(code) == 16 and int(code, 16) >= 0 for code in same | others)


def test_later_loads_map_the_cache(folder, monkeypatch):
    path = put({"a.csv": FER2013})(folder)
    first = data.load(path)
    monkeypatch.setattr(data.readers, "read", lambda path: pytest.fail("was parsed again"))
    again = data.load(path)
    np.testing.assert_array_equal(first.images, again.images)
    assert isinstance(again.images, np.memmap) and not again.images.flags.writeable
    assert (again.name, again.source, again.notes) == (first.name, str(path), first.notes)
    assert data.fingerprint(path) == again.fingerprint == first.fingerprint


def test_fingerprint_builds_what_is_not_there(folder):
    path = put({"a.csv": FER2013})(folder)
    assert data.fingerprint(path) == data.load(path).fingerprint


@pytest.mark.parametrize("change", ["file", "sibling", "image", "validation"])
def test_what_changed_is_read_again(folder, change):
    write = put(class_folders()) if change == "image" else put({"train.csv": COURSE_TRAIN})
    path = write(folder)
    before = data.fingerprint(path)
    if change == "file":
        path.write_text(COURSE_TRAIN.replace("\n0,", "\n1,", 1))
        os.utime(path, (1, 1))
    elif change == "sibling":
        put({"test.csv": COURSE_TEST})(folder)
    elif change == "image":
        (folder / "train/angry/0.png").write_bytes(encoded(1))
    assert data.fingerprint(path, val_seed=1 if change == "validation" else 0) != before


@pytest.mark.parametrize("damage", ["meta.json", "images.npy", "labels.npy", "gone"])
def test_a_damaged_cache_is_built_again(folder, tmp_path, damage):
    path = put({"a.csv": FER2013})(folder)
    before = data.fingerprint(path)
    (cache,) = (tmp_path / "cache").glob("a.csv-*")
    if damage == "gone":
        (cache / "split.npy").unlink()
    else:
        (cache / damage).write_bytes((cache / damage).read_bytes()[:50])
    assert data.load(path).fingerprint == data.fingerprint(path) == before


def test_the_cache_is_not_read_as_data(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "source" / "kept"))
    path = put({"source/fer2013.csv": FER2013})(tmp_path).parent
    before = data.cache_folder(path, 0.1, 0)
    data.load(path)
    assert data.cache_folder(path, 0.1, 0) == before


def run(code, *arguments, **environment):
    """Start another Python with the environment of this test."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=data.ROOT, env=os.environ | environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


KILLED = """
import os, signal, sys
import numpy as np
from fer_utils import data, download
save = np.save
def save_one_and_die(file, array):
    save(file, array[: len(array) // 2])
    os.kill(os.getpid(), signal.{signal})
np.save = save_one_and_die
data.load(sys.argv[1])
"""


@pytest.mark.parametrize("by", ["SIGKILL", "SIGINT"])
def test_an_interrupted_load_leaves_nothing_that_is_used(folder, tmp_path, by):
    path = put({"a.csv": FER2013})(folder)
    process = run(KILLED.replace("{signal}", by), path)
    process.communicate(timeout=60)
    assert process.returncode == -getattr(signal, by)
    assert not list((tmp_path / "cache").glob("a.csv*"))
    np.testing.assert_array_equal(data.load(path).images[..., 0], IMAGES)
    hidden = [entry for entry in (tmp_path / "cache").iterdir() if entry.name.startswith(".")]
    assert len(hidden) == (by == "SIGKILL")  # only a killed process cannot remove its unfinished folder
    assert len(list((tmp_path / "cache").iterdir())) == 2 + len(hidden)  # the dataset and the tag


def test_two_processes_at_once(folder, tmp_path):
    path = put({"a.csv": FER2013})(folder)
    code = "import sys; from fer_utils import data; print(data.load(sys.argv[1]).fingerprint)"
    both = [process.communicate(timeout=60) for process in [run(code, path), run(code, path)]]
    assert both == [(f"{data.fingerprint(path)}\n", "")] * 2
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_the_second_writer_discards_its_cache(folder, tmp_path):
    path = put({"a.csv": FER2013})(folder)
    dataset = data.load(path)
    data.write_cache(data.cache_folder(path, 0.1, 0), data.build(path, 0.1, 0))
    assert len(list((tmp_path / "cache").iterdir())) == 2
    np.testing.assert_array_equal(dataset.images[..., 0], IMAGES)


def test_a_cache_that_cannot_be_written_is_reported(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="cannot be written.*FER_CACHE"):
        data.load(put({"a.csv": FER2013})(folder))


# --- validation -------------------------------------------------------------------------------------------------------


def some_labels(n=3000):
    """Classes as uneven as FER2013's, and groups of up to four copies for every fifth image."""
    rng = np.random.default_rng(1)
    labels = rng.choice(7, n, p=np.array([3995, 436, 4097, 7215, 4830, 3171, 4965]) / 28709)
    groups = np.arange(n)
    groups[rng.random(n) < 0.2] //= 4
    return labels, groups


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.5])
def test_validation_is_stratified_and_splits_no_group(share):
    labels, groups = some_labels()
    chosen = data.choose_validation(labels, groups, share, 0)
    assert not set(groups[chosen]) & set(groups[~chosen])
    for label in range(7):
        assert abs(chosen[labels == label].sum() - share * (labels == label).sum()) <= 1


def test_validation_is_seeded():
    labels, groups = some_labels()
    chosen = [data.choose_validation(labels, groups, 0.1, seed) for seed in (0, 0, 1)]
    assert (chosen[0] == chosen[1]).all() and (chosen[0] != chosen[2]).any()


@pytest.mark.parametrize(("share", "n", "expected"), [(0, 50, 0), (0.1, 50, 5), (0.1, 3, 1), (0.1, 1, 0), (0.9, 2, 1)])
def test_size_of_validation(share, n, expected):
    assert data.choose_validation(np.zeros(n, int), np.arange(n), share, 0).sum() == expected


def test_copies_stay_together(folder):
    rows = [*range(35), *TRAIN, *TRAIN[:7]]  # two or three copies of each training image
    dataset = data.load(put({"a.csv": table(rows=rows)})(folder), val_share=0.3)
    train, val = ({image.tobytes() for image in dataset.part(split)[0]} for split in ("train", "val"))
    assert train and val and not train & val


def test_a_source_with_its_own_validation_keeps_it(folder):
    split = np.array(["train"] * 20 + ["val"] + ["public"] * 14)
    dataset = data.load(put({"a.npz": arrays(split=split)})(folder))
    np.testing.assert_array_equal(dataset.split, split)


@pytest.mark.parametrize("share", [-0.1, 1, 10])
def test_a_share_is_a_share(share):
    with pytest.raises(ValueError, match="val_share"):
        data.load("drawn", val_share=share)


# --- which source -----------------------------------------------------------------------------------------------------


@pytest.fixture
def drawn_faces(monkeypatch):
    """Replace faces.draw(), which takes seconds."""
    split = np.array(["train"] * 21 + ["public"] * 7 + ["private"] * 7)
    faces = types.SimpleNamespace(
        images=IMAGES[..., None], labels=LABELS, split=split, regions=np.ones((35, 48, 48), np.uint8), drawn_as=LABELS
    )
    monkeypatch.setitem(sys.modules, "fer_utils.faces", types.SimpleNamespace(draw=lambda: faces))
    monkeypatch.setattr("fer_utils.faces", sys.modules["fer_utils.faces"], raising=False)


def test_drawn_faces(drawn_faces):
    for dataset in (data.load(), data.load("drawn"), data.load("auto")):
        assert dataset.drawn and (dataset.name, dataset.source) == ("drawn faces", "drawn")
        assert dataset.regions.shape == (35, 48, 48) and dataset.splits == ("train", "val", "public", "private")
        assert dataset.fingerprint == data.fingerprint()


def test_auto_prefers_the_environment_then_the_data_folder(folder, monkeypatch, drawn_faces):
    (data.DATA / "cache").mkdir(parents=True)
    (data.DATA / ".gitkeep").touch()
    assert data.load().drawn
    put({"icml_face_data.csv": ICML})(data.DATA)
    assert data.load().name == "FER2013 (icml_face_data.csv)"
    path = put({"mine.csv": FER2013})(folder)
    monkeypatch.setenv("FER_DATA", str(path))
    assert data.load().source == str(path)
    monkeypatch.setenv("FER_DATA", "drawn")
    assert data.load().drawn
    monkeypatch.setenv("FER_DATA", "")
    assert not data.load().drawn


def test_wrong_data_in_the_data_folder_are_reported(drawn_faces):
    (data.DATA).mkdir()
    spoiled(3, PIXELS[1], "1 2 3")(data.DATA)
    with pytest.raises(DataError, match="fer2013.csv, row 3"):
        data.load()


# --- the command line -------------------------------------------------------------------------------------------------


def test_main_shows_a_table(folder, capsys):
    assert data.main([str(put({"fer2013.csv": FER2013})(folder))]) == 0
    words = capsys.readouterr().out.split()
    assert words[words.index("val") : words.index("val") + 9] == ["val", *["1"] * 7, "7"]
    assert "Disgust" in words and "FER2013" in words


def test_main_reports_an_error_in_one_message(tmp_path):
    command = [sys.executable, "-m", "fer_utils.data", str(tmp_path / "nothing.csv")]
    done = subprocess.run(command, cwd=data.ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: ") and "nothing.csv" in done.stderr and "Traceback" not in done.stderr


def kagglehub(monkeypatch, competition, folders):
    """Replace kagglehub: each download returns a path or raises an exception."""

    def give(result):
        def function(*arguments):
            if isinstance(result, Exception):
                raise result
            return str(result)

        return function

    module = types.SimpleNamespace(competition_download=give(competition), dataset_download=give(folders))
    monkeypatch.setitem(sys.modules, "kagglehub", module)


def test_download_puts_the_file_into_data(folder, monkeypatch, capsys):
    kagglehub(monkeypatch, put({"icml_face_data.csv": ICML})(folder), RuntimeError("not asked"))
    assert download.main() == 0
    assert "FER2013 (icml_face_data.csv)" in capsys.readouterr().out
    assert [entry.name for entry in data.DATA.iterdir()] == ["icml_face_data.csv"]
    assert not data.load().drawn
    kagglehub(monkeypatch, RuntimeError("asked again"), RuntimeError("asked again"))
    assert download.main() == 0
    assert "nothing was downloaded" in capsys.readouterr().out


def test_download_without_token_uses_the_folders(folder, monkeypatch, capsys):
    kagglehub(monkeypatch, RuntimeError("User is not authenticated"), put(class_folders())(folder))
    assert download.main() == 0
    assert "no PublicTest and no PrivateTest" in capsys.readouterr().out
    assert data.load().splits == MERGED[0]


def test_download_offline_says_what_to_do(monkeypatch, capsys):
    kagglehub(monkeypatch, RuntimeError("User is not authenticated"), ConnectionError("no route to kaggle.com"))
    assert download.main() == 1
    message = capsys.readouterr().err
    for word in ("not authenticated", "no route", "by hand", "icml_face_data.csv", "make data", "KAGGLE_API_TOKEN"):
        assert word in message
    assert not data.DATA.exists()


def test_a_wrong_download_is_not_copied(folder, monkeypatch, capsys):
    kagglehub(monkeypatch, spoiled(3, PIXELS[1], "1 2")(folder), RuntimeError("not asked"))
    assert download.main() == 1
    assert "row 3" in capsys.readouterr().err
    assert not data.DATA.exists()


def test_importing_it_is_cheap():
    slow = {"keras", "tensorflow", "matplotlib", "IPython", "pandas", "sklearn", "scipy", "PIL", "tqdm", "kagglehub"}
    process = run(f"import sys, fer_utils.data; print({slow!r} & set(sys.modules))")
    assert process.communicate(timeout=60)[0] == "set()\n"


# --- the real FER2013 -------------------------------------------------------------------------------------------------


def test_real_counts(real):
    is_test = real.split == "public"
    assert np.bincount(real.labels[~is_test]).tolist() == [3995, 436, 4097, 7215, 4830, 3171, 4965]
    assert np.bincount(real.labels[is_test]).tolist() == [467, 56, 496, 895, 653, 415, 607]
    assert real.splits == ("train", "val", "public") and "no PrivateTest" in "\n".join(real.notes)
    pixels = real.images[~is_test] / np.float32(255)
    assert (round(float(pixels.mean()), 5), round(float(pixels.std()), 5)) == (0.50774, 0.25501)


def test_real_validation(real):
    (train, labels), (val, val_labels) = real.part("train"), real.part("val")
    shares = np.bincount(val_labels) / (np.bincount(labels) + np.bincount(val_labels))
    assert np.abs(shares - 0.1).max() < 0.01
    assert not {image.tobytes() for image in train} & {image.tobytes() for image in val}
