"""FER2013 as course-mates send it: their conversions are read, what is doubtful is said, and damage is a DataError."""

import gzip
import io
import json
import lzma
import os
import random
import shutil
import time
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from sources import (
    FER2013,
    IMAGES,
    KAGGLE_TRAIN,
    LABELS,
    PIXELS,
    SPELLINGS,
    TEST,
    TRAIN,
    USAGE,
    arrays,
    blank_image,
    class_folders,
    encoded,
    inside,
    put,
    table,
    tarred,
    zipped,
)

from fer_utils import data, predict
from fer_utils.data import DataError
from fer_utils.readers import official

NAMES = SPELLINGS["names"].split()
WORDS = [NAMES[label] for label in LABELS]
SIDES = np.where(USAGE == "Training", "train", "test")


pytestmark = pytest.mark.usefixtures("own_folders")


def images_with_labels(dataset):
    return Counter((image.tobytes(), int(label)) for image, label in zip(dataset.images, dataset.labels, strict=True))


# --- conversions ------------------------------------------------------------------------------------------------------


def saved(**content):
    stream = io.BytesIO()
    np.savez(stream, **content)
    return stream.getvalue()


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def written(image, how):
    """A cell of pixels in another notation."""
    numbers = image.ravel()
    with np.printoptions(threshold=10_000):
        return {
            "json": json.dumps(numbers.tolist()),
            "json, nested": json.dumps(image.tolist()),
            "commas": ",".join(map(str, numbers)),
            "numpy's str": str(numbers),
            "numpy's repr": repr(image),
            "list of numpy's": repr(list(numbers)),
            "floats": " ".join(map(str, numbers.astype(float))),
            "exponents": " ".join(f"{value:.18e}" for value in numbers),
            "shares": " ".join(f"{value / 255:.6f}" for value in numbers),
            "tabs": "\t".join(map(str, numbers)),
            "leading zeros": " ".join(f"{value:04}" for value in numbers),
        }[how]


NOTATIONS = ("json", "json, nested", "commas", "numpy's str", "numpy's repr", "list of numpy's", "floats", "exponents")
NOTATIONS += ("shares", "tabs", "leading zeros")


def quoted(how):
    return put({"a.csv": table(cells=lambda i: (LABELS[i], f'"{written(IMAGES[i], how)}"', USAGE[i]))})


def wide(header, cells):
    return put({"a.csv": table(header, cells=cells)})


COLUMNS = ",".join(f"pixel{i}" for i in range(2304))
NUMBERS = [pixels.replace(" ", ",") for pixels in PIXELS]
PARTS = {"x_train": IMAGES[TRAIN], "y_train": LABELS[TRAIN], "x_test": IMAGES[TEST], "y_test": LABELS[TEST]}
RECORDS = [{"emotion": int(LABELS[i]), "pixels": PIXELS[i], "Usage": USAGE[i]} for i in range(35)]
LISTS = [{"label": WORDS[i], "pixels": IMAGES[i].ravel().tolist(), "split": SIDES[i]} for i in range(35)]
GUESSED, MADE = "assumed to be the official one", "chosen at random (seed 0) as the test set"
COLOUR = np.stack([IMAGES] * 3, axis=-1)
NAMED = {f"{side}/{WORDS[i]}/{USAGE[i]}_{i}.png": encoded(i) for i, side in enumerate(SIDES)}

LABELLED_TEST = table("emotion,pixels", TEST, lambda i: (LABELS[i], PIXELS[i]))

# what is there, the splits that it gives, words of its notes
READ = {
    "labels in words": (put({"a.csv": table(cells=lambda i: (WORDS[i], PIXELS[i], USAGE[i]))}), "public private"),
    "labels as 2.0": (
        put({"a.csv": table(cells=lambda i: (f"{LABELS[i]}.0", PIXELS[i], USAGE[i]))}), "public private", GUESSED,
    ),
    "index of pandas": (
        put({"a.csv": table(",emotion,pixels,Usage", cells=lambda i: (i, LABELS[i], PIXELS[i], USAGE[i]))}),
        "public private", GUESSED,
    ),
    "no Usage column": (put({"a.csv": table("emotion,pixels", cells=lambda i: (LABELS[i], PIXELS[i]))}), "test", MADE),
    "split in words": (put({"a.csv": table(cells=lambda i: (LABELS[i], PIXELS[i], SIDES[i]))}), "test"),
    "labelled train and test": (put({"fer_train.csv": KAGGLE_TRAIN, "fer_test.csv": LABELLED_TEST}), "test"),
    **{f"pixels: {how}": (quoted(how), "public private") for how in NOTATIONS},
    "pixels from 0 to 1": (quoted("shares"), "public private", "multiplied by 255"),
    "pixels in columns": (
        wide(f"emotion,{COLUMNS},Usage", lambda i: (LABELS[i], NUMBERS[i], USAGE[i])), "public private",
    ),
    "pixels in numbered columns, no Usage": (
        wide(f"{','.join(map(str, range(2304)))},label", lambda i: (NUMBERS[i], WORDS[i])), "test", MADE,
    ),
    "json": (put({"a.json": json.dumps(RECORDS)}), "public private", GUESSED),
    "json lines": (put({"a.jsonl": "\n".join(map(json.dumps, RECORDS))}), "public private"),
    "json of lists": (put({"a.json": json.dumps(LISTS)}), "test"),
    "npz of parts": (put({"a.npz": saved(**PARTS)}), "test", GUESSED),
    "npz of Keras": (
        put({"a.npz": saved(
            train_images=IMAGES[TRAIN, ..., None], train_labels=LABELS[TRAIN, None].astype(float),
            test_images=IMAGES[TEST, ..., None], test_labels=LABELS[TEST, None].astype(float),
        )}),
        "test",
    ),
    "npz of floats": (put({"a.npz": arrays(images=(IMAGES / 255).astype(np.float32))}), "public private", "by 255"),
    "npz of whole floats": (put({"a.npz": arrays(images=IMAGES.astype(float))}), "public private"),
    "npz of rows": (put({"a.npz": saved(X=IMAGES.reshape(35, -1), y=LABELS)}), "test", MADE),
    "npz in colour": (put({"a.npz": arrays(images=COLOUR)}), "public private", "35 images with three channels"),
    "npz, channels first": (put({"a.npz": arrays(images=COLOUR.transpose(0, 3, 1, 2) / 255)}), "public private"),
    "npz of torch": (put({"a.npz": arrays(images=IMAGES[:, None])}), "public private"),
    "npz of one-hot labels": (put({"a.npz": arrays(labels=np.eye(7)[LABELS])}), "public private", GUESSED),
    "npz of words": (put({"a.npz": saved(data=IMAGES, target=np.array(WORDS))}), "test", MADE),
    "npz without names": (put({"a.npz": saved(arr_0=IMAGES, arr_1=LABELS)}), "test", MADE),
    "npz of official words": (put({"a.npz": arrays(split=USAGE)}), "public private"),
    "npz and more": (put({"a.npz": saved(**PARTS, mean=np.zeros(3))}), "test", "The array mean was not read"),
    "npy in a folder": (put({f"{name}.npy": npy(array) for name, array in PARTS.items()}), "test"),
    "npy, one of them named": (inside("X.npy", put({"X.npy": npy(IMAGES), "y.npy": npy(LABELS)})), "test", MADE),
    "npy in folders": (
        put({f"{name[2:]}/{name[0]}.npy": npy(array) for name, array in PARTS.items()}), "test",
    ),
    "names decide": (put(NAMED), "public private"),
    "names decide, zip": (zipped(NAMED), "public private"),
    "names decide, no split folders": (
        put({f"{WORDS[i]}/{USAGE[i]}_{i}.png": encoded(i) for i in range(35)}), "public private",
    ),
    "classes alone": (put({f"fer/{WORDS[i]}/{i}.png": encoded(i) for i in range(35)}), "test", MADE),
    "classes alone, numbered words": (put({f"{LABELS[i]}_{WORDS[i]}/{i}.png": encoded(i) for i in range(35)}), "test"),
    "classes above splits": (put({f"{WORDS[i]}/{SIDES[i]}/{i}.png": encoded(i) for i in range(35)}), "test"),
    "classes in file names": (put({f"{SIDES[i]}/{WORDS[i]}_{i}.png": encoded(i) for i in range(35)}), "test"),
    "classes in numbered folders": (put(class_folders(SPELLINGS["numbers"])), "test", GUESSED),
    "images named in a csv": (
        put({f"imgs/{i}.png": encoded(i) for i in range(35)}
            | {"a.csv": table("path,emotion,Usage", cells=lambda i: (rf".\imgs\{i}.png", WORDS[i], USAGE[i]))}),
        "public private",
    ),
    "images named in a csv, folders say the split": (
        put({"labels.csv": table("filename,label", cells=lambda i: (f"{SIDES[i]}/img{i}.png", LABELS[i]))}
            | {f"{side}/img{i}.png": encoded(i) for i, side in enumerate(SIDES)} | {"example 1.png": encoded(0)}),
        "test", GUESSED, "1 images that have no row in labels.csv were not read",
    ),
    "images named in a csv, without a split": (
        put({"labels.csv": table("image,label", cells=lambda i: (f"im{i}", LABELS[i]))}
            | {f"faces/im{i}.png": encoded(i) for i in range(35)}),
        "test", MADE,
    ),
    "other classes beside": (
        put({f"{WORDS[i]}/{i}.png": encoded(i) for i in range(35)} | {"contempt/1.png": encoded(0)}),
        "test", "1 images outside the folders of the classes",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("write", "splits", "words"), [(w, s, n) for w, s, *n in READ.values()], ids=READ)
def test_conversions_are_read(folder, write, splits, words):
    dataset = data.load(write(folder))
    assert images_with_labels(dataset) == Counter(zip((i.tobytes() for i in IMAGES), LABELS.tolist(), strict=True))
    assert dataset.splits == ("train", "val", *splits.split())
    notes = "\n".join(dataset.notes)
    assert [word for word in words if word not in notes] == []
    if "random" not in notes:  # the source's own split
        expected = {image.tobytes() for image in (IMAGES[TEST] if splits == "test" else IMAGES[USAGE == "PublicTest"])}
        assert {image.tobytes() for image in dataset.part(splits.split()[0])[0]} == expected
    else:
        assert np.bincount(dataset.part("test")[1]).tolist() == [1] * 7


def test_a_test_part_may_have_no_labels(folder):
    dataset = data.load(put({"a.npz": saved(**{key: PARTS[key] for key in ("x_train", "y_train", "x_test")})})(folder))
    assert set(dataset.part("test")[1].tolist()) == {-1}


def test_a_split_of_ones_own_is_seeded_and_keeps_copies_together(folder):
    rows = [*range(35), *range(35), *range(14)]
    write = put({"a.csv": table("emotion,pixels", rows, lambda i: (LABELS[i], PIXELS[i]))})
    dataset = data.load(write(folder))
    train, test = ({image.tobytes() for image in dataset.part(split)[0]} for split in ("train", "test"))
    assert train and test and not train & test
    shutil.rmtree(os.environ["FER_CACHE"])
    assert data.load(write(folder)).fingerprint == dataset.fingerprint


# --- images of other kinds --------------------------------------------------------------------------------------------


def with_image(content, name="odd.png"):
    return put(class_folders() | {f"train/happy/{name}": content})


PICTURES = {
    "smaller": (with_image(blank_image((32, 32), colour=90)), 90, "1 images of other sizes (32x32)"),
    "larger": (with_image(blank_image((224, 224), colour=90)), 90, "(224x224): their centre square was resized"),
    "wide": (with_image(blank_image((64, 48), colour=90)), 90, "(64x48)"),
    "colour": (with_image(blank_image(mode="RGB", colour=(255, 0, 0))), 76, "1 images in colour were converted"),
    "large colour jpg": (with_image(blank_image((99, 70), "RGB", (0, 0, 255), "JPEG"), "odd.jpg"), 29, "in colour"),
    "alpha": (with_image(blank_image(mode="RGBA", colour=(9, 9, 9, 255))), 9, "1 grey images are stored as RGB"),
    "bmp": (with_image(blank_image(colour=90, form="BMP"), "odd.bmp"), 90, ""),
    "palette": (with_image(blank_image(mode="P", colour=0)), 0, ""),
}


@pytest.mark.parametrize(("write", "grey", "note"), PICTURES.values(), ids=PICTURES)
def test_other_images_are_converted(folder, write, grey, note):
    dataset = data.load(write(folder))
    assert len(dataset.images) == 36 and note in "\n".join(dataset.notes)
    assert (dataset.images == grey).all(axis=(1, 2, 3)).any() or (abs(dataset.images.astype(int) - grey) <= 1).all(
        axis=(1, 2, 3)
    ).any()


def test_a_dataset_is_converted_as_a_prediction_is(folder):
    wide = np.zeros((96, 192, 3), np.uint8)  # a red square between black
    wide[:, 48:144, 0] = np.random.default_rng(0).integers(0, 256, (96, 96))
    stream = io.BytesIO()
    Image.fromarray(wide).save(stream, "PNG")
    path = put({"train/happy/1.png": stream.getvalue(), "test/happy/2.png": encoded(0)})(folder)
    np.testing.assert_array_equal(data.load(path).part("train")[0], predict.read(path / "train/happy").images)


# --- the order of the classes -----------------------------------------------------------------------------------------

COUNTS = np.array(official.COUNTS["train"])
ALPHABETICAL = [sorted(NAMES).index(name) for name in NAMES]  # class -> its number


def numbered(counts, numbers=range(7)):
    """Numbers of classes with these counts, and which class each is."""
    return np.repeat(list(numbers), counts), np.repeat(range(7), counts)


def blank_npz(labels):
    images, split = np.zeros((len(labels), 48, 48), np.uint8), np.repeat("train", len(labels))
    return put({"a.npz": saved(images=images, labels=labels, split=split)})


ORDERS = {  # counts, number of each class, ORDER; the error's words, or None and a note
    "official": (COUNTS, range(7), "", None, ""),
    "alphabetical": (COUNTS, ALPHABETICAL, "", "ORDER=alphabetical"),
    "alphabetical, said": (COUNTS, ALPHABETICAL, "alphabetical", None, "in the order of ORDER=alphabetical"),
    "alphabetical, mapped": (COUNTS, ALPHABETICAL, " ".join(sorted(NAMES)), None, "in the order of"),
    "alphabetical, half of it": (COUNTS // 2, ALPHABETICAL, "", "ORDER=alphabetical"),
    "alphabetical, half, said": (COUNTS // 2, ALPHABETICAL, "Alphabetical", None, "in the order of"),
    "official, half of it": (COUNTS // 2, range(7), "", None, ""),
    "all 35,887, alphabetical": (official.WHOLE, ALPHABETICAL, "", "ORDER=alphabetical"),
    "two exchanged": (COUNTS, [2, 1, 0, 3, 4, 5, 6], "", 'ORDER="fear disgust angry happy sad surprise neutral"'),
    "FERPlus' order": (COUNTS, [4, 5, 6, 1, 3, 2, 0], "", "ORDER=FERPlus"),
    "wrongly said": (COUNTS, range(7), "alphabetical", "ORDER=alphabetical (FER_ORDER) is wrong"),
    "too few to tell": (COUNTS // 200, ALPHABETICAL, "", None, "assumed to be the official one"),
    "balanced": ([400] * 7, range(7), "", None, "assumed to be the official one"),
    "relabelled": ([3111, 248, 819, 9355, 4371, 4462, 12906], range(7), "", None, "assumed to be the official one"),
    "from 1": (COUNTS, range(1, 8), "", "count from 1", "ORDER="),
    "from 1, said": (COUNTS, range(1, 8), "official", None, "in the order of"),
    "no order": (COUNTS, range(7), "by size", "'by size'", "official, alphabetical"),
    "six classes": (COUNTS, range(7), "angry fear happy sad surprise neutral", "no order of the classes"),
}  # fmt: skip


ORDER_CASES = [(*case[:3], case[3:]) for case in ORDERS.values()]


@pytest.mark.parametrize(("counts", "numbers", "order", "words"), ORDER_CASES, ids=ORDERS)
def test_the_counts_tell_the_order_of_the_classes(folder, monkeypatch, counts, numbers, order, words):
    labels, classes = numbered(counts, numbers)
    path = blank_npz(labels)(folder)
    monkeypatch.setenv("FER_ORDER", order)
    if words[0]:
        with pytest.raises(DataError) as caught:
            data.readers.read(path)
        assert [word for word in words if word not in str(caught.value)] == []
        return
    rows, _ = data.readers.read(path)
    assert words[1] in "\n".join(rows.notes) and (words[1] or "order" not in "\n".join(rows.notes))
    if "assumed" not in words[1]:
        np.testing.assert_array_equal(rows.labels, classes)


def test_the_order_is_part_of_the_cache_key(folder, monkeypatch):
    path = put({"a.csv": FER2013})(folder)
    labels = data.load(path).labels.tolist()
    monkeypatch.setenv("FER_ORDER", "alphabetical")
    other = [NAMES.index(sorted(NAMES)[label]) for label in LABELS]
    assert data.load(path).labels.tolist() == other != labels == LABELS.tolist()


def test_words_need_no_order(folder, monkeypatch):
    monkeypatch.setenv("FER_ORDER", "alphabetical")
    dataset = data.load(put(class_folders())(folder))
    assert images_with_labels(dataset) == Counter(zip((i.tobytes() for i in IMAGES), LABELS.tolist(), strict=True))
    assert "rder" not in "\n".join(dataset.notes)


# --- cut downloads ----------------------------------------------------------------------------------------------------


@pytest.fixture
def as_official(monkeypatch):
    """FER2013 is the 35 images."""
    import zlib

    beginnings = {n: (zlib.crc32(IMAGES[:n]), zlib.crc32(LABELS[:n].astype(np.uint8))) for n in (5, 10, 20, 30)}
    monkeypatch.setattr(official, "BEGINNINGS", beginnings)
    monkeypatch.setattr(official, "SIZES", {"train": 21, "public": 7, "private": 7})


CUTS = {
    "within Training": (13, "13/35", "only the first 13 of its 35 rows (13 of 21 train, 0 of 7 public"),
    "within PublicTest": (25, "25/35", "21 of 21 train, 4 of 7 public"),
    "within PrivateTest": (34, "34/35", "6 of 7 private"),
    "behind Training": (21, "", "no PublicTest and no PrivateTest"),
    "behind PublicTest": (28, "", "no PrivateTest"),
    "not at all": (35, "", ""),
    "too short to tell": (4, "", ""),
}


@pytest.mark.parametrize(("n", "name", "note"), CUTS.values(), ids=CUTS)
def test_a_cut_download_is_told(folder, as_official, n, name, note):
    dataset = data.load(put({"fer2013.csv": table(rows=range(n))})(folder))
    assert dataset.name == f"FER2013 (fer2013.csv{name and ', '}{name})"
    assert note in "\n".join(dataset.notes) and ("download was cut" in "\n".join(dataset.notes)) == bool(name)


def test_other_rows_are_no_cut_download(folder, as_official):
    for rows in (range(1, 14), [*range(9), *range(10, 15)]):  # another beginning; one row left out
        assert "cut" not in "\n".join(data.load(put({"a.csv": table(rows=rows)})(folder)).notes)


def test_a_train_csv_that_was_cut(folder, as_official):
    course = {
        "train.csv": table("label,feature", range(13), lambda i: (LABELS[i], PIXELS[i])),
        "test.csv": table("id,feature", TEST, lambda i: (i, PIXELS[i])),
    }
    assert data.load(put(course)(folder)).name == "FER2013 (train.csv, 13/35)"
    (folder / "test.csv").unlink()
    assert data.load(folder / "train.csv").name == "FER2013 (train.csv, 13/35)"


def test_the_official_order_tells_the_split(folder, as_official):
    dataset = data.load(put({"a.csv": table("emotion,pixels", cells=lambda i: (LABELS[i], PIXELS[i]))})(folder))
    np.testing.assert_array_equal(data.parts(dataset.split), np.repeat(["train", "public", "private"], [21, 7, 7]))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("text", [FER2013, KAGGLE_TRAIN], ids=["three columns", "two"])
def test_a_file_that_ends_within_a_row_says_so(folder, share, text):
    path = put({"fer2013.csv": text[: int(share * len(text))]})(folder)
    with pytest.raises(DataError, match="ends within this row, and fer2013.csv has 35,888:.*remove this row"):
        data.load(path)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    data.load(path)


# --- what is refused, with the way on ---------------------------------------------------------------------------------

BALLOT = 'fer0000000.png,"(0, 0, 48, 48)",4,0,0,1,3,2,0,0,0,0\n'
VOTES = (
    "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
    "Training,fer0000000.png,4,0,0,1,3,2,0,0,0,0\nTraining,,0,0,0,0,0,0,0,0,0,10\n"
)
LISTED = {f"faces/im{i}.png": encoded(i) for i in range(9)}


def misnamed(folder):
    path = zipped({"臉.csv": FER2013})(folder)
    path.write_bytes(path.read_bytes().replace("臉".encode(), b"\xff\xff\xff", 1))
    return path


REFUSED = {
    "zip with a damaged name": (misnamed, "臉.csv", "damaged"),
    "a row without its image": (put(LISTED | {"a.csv": "image,label\nim0,1\nim77,1\n"}), "row 3", "'im77' is not"),
    "an image in two rows": (put(LISTED | {"a.csv": "image,label\nim0,1\nim0.png,1\n"}), "row 3", "is there twice"),
    "an image in two folders": (
        put(LISTED | {"b/im0.png": encoded(0), "a.csv": "image,label\nim0,1\n"}), "row 2", "more than once",
    ),
    "name and folder disagree": (
        put(NAMED | {"test/happy/Training_99.png": encoded(0)}), "Training_99.png", "split train", "folder is test",
    ),
    "shortened by numpy": (put({"a.csv": table(cells=lambda i: (LABELS[i], f'"{IMAGES[i].ravel()}"', USAGE[i]))}),
                           "row 2", "shortened to '...'", "join"),
    "a quote that is not closed": (put({"a.csv": FER2013.replace("\n0,", '\n"0,', 1)}), "row 2", "not closed"),
    "words and numbers": (put({"a.csv": FER2013.replace("\n3,", "\nhappy,", 1)}), "row 5", "label 'happy'"),
    "another word": (put({"a.csv": table(cells=lambda i: ("smug", PIXELS[i], USAGE[i]))}), "'smug'", "one of angry"),
    "label 2.5": (put({"a.csv": FER2013.replace("\n2,", "\n2.5,", 1)}), "row 4", "label '2.5'"),
    "columns without names": (put({"a.csv": table(f"0,{NUMBERS[0]}", cells=lambda i: (LABELS[i], NUMBERS[i]))}),
                              "2,305 numbers and no names", "first row"),
    "2,303 columns": (wide("emotion,Usage," + COLUMNS.rsplit(",", 1)[0], lambda i: (0, "Training", NUMBERS[i])),
                      "no column pixels"),
    "shares above 1": (put({"a.csv": table(
        cells=lambda i: (LABELS[i], " ".join(f"{v / 100:.2f}" for v in IMAGES[i].ravel()), USAGE[i]))}),
        "row 2", "not a whole number"),
    "standardised floats": (put({"a.npz": arrays(images=IMAGES / 128 - 1.0)}), "float64 from -1", "Convert"),
    "nan": (put({"a.npz": arrays(images=np.full((35, 48, 48), np.nan))}), "nan"),
    "fractions above 1": (put({"a.npz": arrays(images=IMAGES / 2)}), "fractions up to", "whole"),
    "npz of 28x28": (put({"a.npz": arrays(images=IMAGES[:, :28, :28])}), "(35, 28, 28)"),
    "npz of two classes at once": (put({"a.npz": arrays(labels=np.ones((35, 7)))}), "row 0", "a 1 at its class"),
    "npz of other names": (put({"a.npz": saved(a=IMAGES, b=LABELS, c=LABELS)}), "a, b, c", "x_train"),
    "npz without labels": (put({"a.npz": saved(x_train=IMAGES, x_test=IMAGES)}), "no array of labels of train"),
    "npy alone": (put({"X.npy": npy(IMAGES)}), "no array of labels among X"),
    "npy of objects": (put({"X.npy": npy(np.array([None] * 3)), "y.npy": npy(LABELS)}), "X.npy", "plain arrays"),
    "only validation": (put({"val.csv": table("emotion,pixels", cells=lambda i: (LABELS[i], PIXELS[i]))}), "alone"),
    "parquet": (put({"a.parquet": b"PAR1" + bytes(99)}), "a.parquet", "to_csv"),
    "feather": (put({"a.feather": b"ARROW1" + bytes(99)}), "a.feather", "to_csv"),
    "excel": (zipped({"xl/workbook.xml": "<x/>"}, "a.xlsx"), "a.xlsx", "to_csv"),
    "old excel": (put({"a.xls": b"\xd0\xcf\x11\xe0" + bytes(99)}), "a.xls", "to_csv"),
    "json of other things": (put({"a.json": '[{"pixels": 3}]'}), "a.json", "emotion, pixels, Usage"),
    "damaged json": (put({"a.json": '[{"pixels": "1 2", "emotion": 3}, {'}), "a.json", "to_csv"),
    "FERPlus' own folders": (put({f"FER2013{part}/{name}": content for part in ("Train", "Valid", "Test")
                                  for name, content in {"label.csv": BALLOT, "fer0000000.png": encoded(0)}.items()}),
                             "FER2013Test/label.csv", "not FER2013's labels", "fer2013new.csv"),
    "votes alone": (put({"fer2013new.csv": VOTES}), "votes, but no images", "Put fer2013.csv beside"),
    "pickle": (put({"a.pkl": b"\x80\x04\x95" + bytes(99)}), "pickle", "savez"),
    "hdf5": (put({"a.h5": b"\x89HDF\r\n" + bytes(99)}), "HDF5", "savez"),
    "torch": (zipped({"archive/data.pkl": b"\x80\x02"}, "a.pt"), "PyTorch", "savez"),
    "rar": (put({"a.rar": b"Rar!\x1a\x07" + bytes(99)}), "RAR", "Unpack"),
    "login page": (put({"fer2013.csv": "<!DOCTYPE html><html><body>Log in</body></html>"}), "web page", "Log in"),
    "git lfs": (put({"fer2013.csv": "version https://git-lfs.github.com/spec/v1\noid sha256:0"}), "git lfs pull"),
}  # fmt: skip


@pytest.mark.parametrize(("write", "words"), [(write, words) for write, *words in REFUSED.values()], ids=REFUSED)
def test_what_is_refused_is_named(folder, write, words):
    with pytest.raises(DataError) as caught:
        data.load(write(folder))
    assert [word for word in words if word not in str(caught.value)] == []


def test_tables_that_pandas_reads_are_read_where_it_can(folder, monkeypatch):
    import pandas as pd

    monkeypatch.setattr(pd, "read_parquet", lambda stream: pd.DataFrame(LISTS))
    dataset = data.load(put({"a.parquet": b"PAR1"})(folder))
    assert images_with_labels(dataset) == Counter(zip((i.tobytes() for i in IMAGES), LABELS.tolist(), strict=True))


# --- damage of every kind ---------------------------------------------------------------------------------------------

FUZZED = {
    "images and csv": put({"a.csv": "image,label\nim0,1\nim3.png,4\n"} | {f"b/im{i}.png": encoded(i) for i in (0, 3)}),
    "csv": put({"a.csv": FER2013}),
    "quoted csv": quoted("json"),
    "wide csv": wide(f"emotion,{COLUMNS},Usage", lambda i: (LABELS[i], NUMBERS[i], USAGE[i])),
    "json": put({"a.json": json.dumps(RECORDS)}),
    "gz": put({"a.csv.gz": gzip.compress(FER2013.encode())}),
    "xz": put({"a.csv.xz": lzma.compress(FER2013.encode())}),
    "zip": zipped({"fer2013.csv": FER2013}),
    "zip of folders": zipped(class_folders()),
    "tar": tarred({"fer2013.csv": FER2013}),
    "tgz": tarred(class_folders(), "a.tgz", "w:gz"),
    "npz": put({"a.npz": saved(**PARTS)}),
    "packed npz": put({"a.npz": arrays()}),
    "npy": put({"X.npy": npy(IMAGES), "y.npy": npy(LABELS)}),
    "png folders": put({f"{side}/{WORDS[i]}/{i}.png": encoded(i) for i, side in list(enumerate(SIDES))[:28]}),
    "jpg folders": put({f"{side}/{WORDS[i]}/{i}.jpg": encoded(i, "JPEG") for i, side in list(enumerate(SIDES))[:28]}),
}
TEXTS = [b",", b'"', b"\n", b"\r", b"\0", b"nan", b"-1", b"256", b"1e999", b"[", b"]", b"...", b"\xff\xfe", b";", b"7"]


def damaged(content, rng):
    """Change bytes: flip some, cut, repeat, remove or swap a piece, insert what confuses a parser."""
    content, at, length = bytearray(content), rng.randrange(len(content)), rng.choice([1, 2, 8, 100, 5000])
    if rng.random() < 0.4:  # headers are where it hurts
        at = min(at, rng.randrange(300))
    match rng.randrange(6):
        case 0:
            for _ in range(rng.choice([1, 3, 30])):
                content[(at + rng.randrange(length)) % len(content)] = rng.randrange(256)
        case 1:
            del content[at:]
        case 2:
            del content[at : at + length]
        case 3:
            content[at:at] = content[at : at + length]
        case 4:
            content[at:at] = rng.choice(TEXTS)
        case 5:
            content[at : at + length] = rng.randbytes(length)
    return bytes(content)


def test_damage_is_a_data_error_and_nothing_else(tmp_path):
    rng, results, ends = random.Random(19), Counter(), time.monotonic() + 15
    originals = {}
    for kind, write in FUZZED.items():
        (tmp_path / kind).mkdir()
        write(tmp_path / kind)
        files = sorted(path for path in (tmp_path / kind).rglob("*") if path.is_file())
        originals[kind] = [(file, file.read_bytes()) for file in files]
    while time.monotonic() < ends:
        for kind, files in originals.items():
            file, content = rng.choice(files)
            file.write_bytes(damaged(content, rng))
            try:
                rows, _ = data.readers.read(tmp_path / kind if len(files) > 1 or rng.random() < 0.3 else file)
                assert len(rows.images) == len(rows.labels) == len(rows.split) and rows.images.dtype == np.uint8
                assert set(rows.labels.tolist()) <= set(range(-1, 7)) and rows.images.shape[1:] == (48, 48, 1)
                results[kind, "read"] += 1
            except DataError as error:
                assert str(tmp_path) in str(error), error
                results[kind, "refused"] += 1
            file.write_bytes(content)
    for kind in originals:
        print(f"{kind:15} {results[kind, 'refused']:5} refused {results[kind, 'read']:5} read")
    assert all(results[kind, "refused"] for kind in originals)
