"""Planted copies, leaks, conflicts and blanks are found and nothing else; votes join by position or not at all."""

import io
import os
from pathlib import Path

import figures
import imagehash
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_utils import data, faces, plots
from fer_utils.data import DataError
from fer_utils.labels import BILINGUAL
from fer_utils.studies import duplicates

# 60 drawn faces, then what is planted: row -> what stands there. Rows 0-39 train, 40-49 public, 50-59 private.
FACES = faces.draw(60, seed=3).images
LABELS = np.arange(60) % 7
SPLIT = np.repeat(["train", "public", "private"], [40, 10, 10])


def as_jpeg(image):
    file = io.BytesIO()
    Image.fromarray(image[..., 0]).save(file, "JPEG", quality=40)
    return np.asarray(Image.open(file))[..., None]


def noisy(image):
    return (image + np.random.default_rng(0).normal(0, 6, image.shape)).round().clip(0, 255).astype(np.uint8)


BLACK, GREY = np.zeros((48, 48, 1), np.uint8), np.full((48, 48, 1), 128, np.uint8)
PLANTED = [  # picture, label, split
    (FACES[0], LABELS[0], "train"),  # 60: equal, same part, same label
    (FACES[1], LABELS[1], "val"),  # 61: equal, train and val: one part
    (FACES[2], LABELS[2] + 1, "train"),  # 62: equal, another label
    (FACES[3], LABELS[3], "public"),  # 63: equal, leaked
    (FACES[41], LABELS[41], "private"),  # 64: equal, in two test parts: across, but not leaked
    ((FACES[4] * 0.8 + 25).astype(np.uint8), LABELS[4], "public"),  # 65: near by another contrast, leaked
    (noisy(FACES[5]), LABELS[5] + 1, "train"),  # 66: near by noise, another label
    (as_jpeg(FACES[42]), LABELS[42], "public"),  # 67: near by JPEG, within a part
    (as_jpeg(FACES[0]), LABELS[0], "train"),  # 68: near to a picture that has an equal one
    (BLACK, 0, "train"),  # 69
    (BLACK, 3, "public"),  # 70: blank, leaked, conflicting
    (GREY, 2, "train"),  # 71: blank, but no copy of a black one
    (FACES[43], -1, "test"),  # 72: equal, without a label: across, no conflict
    (FACES[44], LABELS[44], "val"),  # 73: equal, leaked
]
EXACT = {(0, 60), (1, 61), (2, 62), (3, 63), (41, 64), (69, 70), (43, 72), (44, 73)}
NEAR = {(4, 65), (5, 66), (42, 67), (0, 68)}


def dataset_of(images, labels, split, source="nowhere.csv", drawn=False):
    return data.Dataset(images, np.asarray(labels), np.asarray(split), "FER2013 (test)", str(source), "0", (), drawn)


@pytest.fixture(scope="module")
def planted():
    images, labels, split = zip(*PLANTED, strict=True)
    return dataset_of(np.concatenate([FACES, images]), [*LABELS, *labels], [*SPLIT, *split])


@pytest.fixture(scope="module")
def groups(planted):
    """(exact, near): the group numbers of both kinds."""
    exact = data.group_identical(planted.images)
    return exact, duplicates.join(exact, duplicates.near_copies(planted.images))


def members(groups):
    found = pd.Series(range(len(groups))).groupby(groups).agg(tuple)
    return {rows for rows in found if len(rows) > 1}


# -- copies ------------------------------------------------------------------------------------------------------------


def test_exactly_the_planted_copies_are_found(planted, groups):
    assert members(groups[0]) == EXACT
    assert set(map(tuple, duplicates.near_copies(planted.images).tolist())) == NEAR
    assert members(groups[1]) == EXACT - {(0, 60)} | {(0, 60, 68)} | NEAR - {(0, 68)}
    assert all(groups[1][row] == rows[0] for rows in members(groups[1]) for row in rows), "its number is its first row"


def test_a_near_copy_needs_both_hash_and_pixels(planted):
    codes, n = duplicates.hashes(planted.images), len(planted.images)
    some_hashes_are_close = duplicates.close_pairs(codes, 8)
    assert len(duplicates.near_copies(planted.images, correlation=-1)) > len(NEAR), "the hash alone says too much"
    assert len(duplicates.near_copies(planted.images, distance=0)) < len(NEAR)
    assert len(duplicates.near_copies(planted.images, correlation=1.01)) == 0
    bits = [[bin(int(a) ^ int(b)).count("1") for b in codes] for a in codes]
    slowly = [(a, b) for a in range(n) for b in range(a + 1, n) if bits[a][b] <= 8]
    assert sorted(map(tuple, some_hashes_are_close.tolist())) == slowly
    assert duplicates.close_pairs(codes, 8, block=7).tolist() == some_hashes_are_close.tolist(), "whatever the blocks"


def test_hashes_are_those_of_the_library():
    for image, code in zip(FACES[:5], duplicates.hashes(FACES[:5]), strict=True):
        theirs = imagehash.phash(Image.fromarray(image[..., 0]))
        ours = np.unpackbits(np.array([code]).view(np.uint8)).reshape(8, 8)
        assert (theirs.hash == ours).all()


def test_likeness_is_a_correlation_that_ignores_brightness_and_contrast():
    images = np.concatenate([FACES, [(FACES[0] * 0.5 + 60).astype(np.uint8), BLACK]])
    same, other, blank = duplicates.likeness(images, np.array([[0, 60], [0, 1], [0, 61]]))
    assert same > 0.99
    assert abs(other) < 0.9
    assert abs(blank) < 1e-5


def test_likeness_leaves_out_what_all_faces_share():
    alike = 0.95 * FACES.mean(axis=0) + 0.05 * FACES
    assert np.corrcoef(alike[0].ravel(), alike[1].ravel())[0, 1] > 0.9
    assert duplicates.likeness(alike, np.array([[0, 1]])) < 0.5


def test_copies_made_on_purpose_differ_and_most_are_found():
    for name, copies in duplicates.altered(FACES).items():
        assert copies.shape == FACES.shape and copies.dtype == np.uint8
        assert (copies != FACES).any(axis=(1, 2, 3)).all(), name
        pairs = duplicates.near_copies(np.concatenate([FACES, copies]))
        found = np.count_nonzero(pairs[:, 1] - pairs[:, 0] == len(FACES))
        if name.split()[0] in ("lighter", "noise", "JPEG"):
            assert found >= 0.9 * len(FACES), name


def test_blank_pictures(planted):
    assert np.flatnonzero(duplicates.blank(planted.images)).tolist() == [69, 70, 71]


def test_copies_are_counted(planted, groups):
    assert duplicates.copies(planted, groups[0]) == {"groups": 8, "pictures": 16, "across": 5, "conflicting": 2}
    assert duplicates.copies(planted, groups[1]) == {"groups": 11, "pictures": 23, "across": 6, "conflicting": 3}


def test_examples_differ_in_what_was_asked(planted, groups):
    part = duplicates.parts(planted.split)
    assert set(map(tuple, duplicates.examples(groups[0], part, n=9))) == {(3, 63), (41, 64), (69, 70), (43, 72), (44, 73)}
    assert set(map(tuple, duplicates.examples(groups[0], planted.labels, n=9))) == {(2, 62), (69, 70)}
    assert duplicates.examples(groups[0], part, n=2).shape == (2, 2)
    assert duplicates.examples(groups[0], np.zeros(len(part))).shape == (0, 2)
    assert duplicates.examples(np.zeros(4, int), np.array([-1, 2, -1, 5])).tolist() == [[1, 3]], "an unknown label is none"


# -- leaks -------------------------------------------------------------------------------------------------------------

LEAKS = {  # split, near copies as well? -> row of the split's picture: row of its copy
    ("public", False): {44: 73, 63: 3, 70: 69},
    ("public", True): {44: 73, 63: 3, 65: 4, 70: 69},
    ("private", True): {},
    ("test", False): {},
    ("train", False): {3: 63, 69: 70},
    ("val", False): {61: 1},
}


@pytest.mark.parametrize(("case", "expected"), LEAKS.items(), ids=str)
def test_twins(planted, groups, case, expected):
    split, near = case
    twins = duplicates.twins(planted, split, groups[1] if near else None)
    rows = planted.where(split)
    assert twins.shape == rows.shape and twins.dtype == np.int64
    assert {int(row): int(twin) for row, twin in zip(rows, twins, strict=True) if twin >= 0} == expected


def test_change_without_is_the_difference_of_the_two_accuracies():
    rng = np.random.default_rng(0)
    left_out = rng.random(2000) < 0.1
    right = rng.random(2000) < np.where(left_out, 0.9, 0.5)
    change = duplicates.change_without(right, left_out)
    assert change.value == pytest.approx(right[~left_out].mean() - right.mean())
    assert change.low < change.value < change.high < 0, "left out were pictures that are recognised more often"
    assert duplicates.change_without(right, np.zeros(2000, bool))[:3] == (0, 0, 0)
    picks = rng.integers(2000, size=(2000, 2000))  # the same by drawing pictures
    drawn = [right[p][~left_out[p]].mean() - right[p].mean() for p in picks]
    assert np.percentile(drawn, [2.5, 97.5]) == pytest.approx(change[1:3], abs=0.003)


# -- votes -------------------------------------------------------------------------------------------------------------

COLUMNS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")  # of classes 0 … 6
N = 70
VOTED = np.arange(N) % 7
PARTS = np.repeat(["Training", "PublicTest", "PrivateTest"], [50, 10, 10])


def votes_csv(folder, name="fer2013new.csv", usage=PARTS, **changed):
    """A FERPlus csv in which seven people give the label of VOTED, two see contempt, and one no face."""
    columns = {column: 7 * (c == VOTED) for c, column in enumerate(COLUMNS)}
    columns |= {"contempt": 2, "unknown": 0, "NF": 1} | changed
    names = [f"fer{i:07}.png" for i in range(N)]
    frame = pd.DataFrame({"Usage": usage, "Image name": names, **columns})
    shuffled = [*frame.columns[:2], *sorted(frame.columns[2:])]  # FERPlus' order is not that of FER2013 either
    frame[shuffled].to_csv(folder / name, index=False)
    return folder / name


def pictures(n=N, labels=VOTED, split=None, **where):
    split = np.repeat(["train", "public", "private"], [50, 10, 10]) if split is None else split
    split = np.where(np.arange(N) % 10 == 3, np.where(split == "train", "val", split), split)
    return dataset_of(np.zeros((n, 48, 48, 1), np.uint8), labels[:n], split[:n], **where)


@pytest.fixture(autouse=True)
def nobody_elses_votes(monkeypatch, tmp_path):
    monkeypatch.delenv("FER_PLUS", raising=False)
    monkeypatch.setattr(data, "DATA", tmp_path / "data")


@pytest.mark.parametrize("n", [N, 61], ids=["all rows", "the first rows"])
def test_votes_join_by_position(tmp_path, n):
    counts = duplicates.votes(pictures(n), votes_csv(tmp_path))
    assert counts.shape == (n, len(duplicates.VOTES)) and counts.dtype == np.int64
    assert (counts[:, :7].argmax(axis=1) == VOTED[:n]).all()
    assert (counts[:, 7:] == [2, 0, 1]).all()


def test_votes_are_found(tmp_path, monkeypatch):
    beside, inside, named = (tmp_path / name for name in ("beside", "data", "named"))
    for folder in (beside, inside, inside / "fer2013", named):
        folder.mkdir()
    assert duplicates.votes(pictures(source=beside / "fer2013.csv")) is None
    votes_csv(beside, "my_FERPlus.csv".lower())
    votes_csv(inside)
    for source in (beside / "fer2013.csv", beside, inside, inside / "fer2013" / "fer2013.csv"):
        assert duplicates.votes(pictures(source=source)) is not None, source
    monkeypatch.setenv("FER_PLUS", str(votes_csv(named, "other.csv", contempt=0)))
    assert (duplicates.votes(pictures(source=beside / "fer2013.csv"))[:, 7] == 0).all(), "what is named goes first"
    assert duplicates.votes(pictures(source="drawn", drawn=True)) is None


def test_the_chances_of_labels_follow_the_votes_but_not_the_own_label(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_PLUS", str(votes_csv(tmp_path)))
    dataset = pictures(source=tmp_path / "fer2013.csv")
    chances = duplicates.label_chances(dataset)
    labels = dataset.labels[dataset.where("train")]
    assert chances.shape == (len(labels), 7) and chances.dtype == np.float32
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-5)
    assert (chances.argmax(axis=1) == labels).all()
    lie = np.array(dataset.labels)
    lie[dataset.where("train")[0]] = (labels[0] + 1) % 7
    said = duplicates.label_chances(pictures(labels=lie, source=tmp_path / "fer2013.csv"))
    np.testing.assert_array_equal(said[0], chances[0])


def test_chances_of_labels_without_votes_say_what_is_missing(tmp_path):
    with pytest.raises(DataError, match=r"has no votes: put FERPlus' fer2013new.csv beside"):
        duplicates.label_chances(pictures(source=tmp_path / "fer2013.csv"))


MISFITS = {
    "fewer rows": (lambda: pictures(split=np.tile(["train"], N)), {"usage": np.tile(["Training"], N)}, 60, "60 rows"),
    "another Usage": (pictures, {"usage": PARTS[::-1]}, N, "picture 0 .* Usage is private"),
    "a test that is neither": (lambda: pictures(split=np.repeat(["train", "test"], [50, 20])), {}, N, "picture 50"),
    "another order": (lambda: pictures(labels=(VOTED + 3) % 7), {}, N, "agree with only 0%"),
}


@pytest.mark.parametrize(("make", "changed", "rows", "message"), MISFITS.values(), ids=MISFITS)
def test_votes_that_do_not_fit_are_refused(tmp_path, make, changed, rows, message):
    path = votes_csv(tmp_path, **changed)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[: rows + 1]))
    with pytest.raises(DataError, match=message):
        duplicates.votes(make(), path)


@pytest.mark.parametrize(
    "text", ["emotion,pixels,Usage\n0,1 2 3,Training\n", "", None], ids=["other", "empty", "missing"]
)
def test_what_is_no_ferplus_csv_is_refused(tmp_path, text):
    path = tmp_path / "votes.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match="votes.csv: is not FERPlus"):
        duplicates.votes(pictures(), path)


def test_votes_beside_fer2013_do_not_disturb_it(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    folder, images = tmp_path / "source", faces.draw(N, seed=1).images
    folder.mkdir()
    pixels = [" ".join(map(str, image.ravel())) for image in images]
    rows = [f"{VOTED[i]},{pixels[i]},{PARTS[i]}\n" for i in range(N)]
    (folder / "fer2013.csv").write_text("".join(["emotion,pixels,Usage\n", *rows]))
    alone = data.load(folder)
    votes_csv(folder)
    dataset = data.load(folder)
    assert dataset.fingerprint == alone.fingerprint
    assert (duplicates.votes(dataset)[:, :7].argmax(axis=1) == dataset.labels).all()


VOTES = np.array(
    [
        [9, 1, 0, 0, 0, 0, 0, 0, 0, 0],  # clear
        [0, 4, 4, 0, 0, 0, 0, 0, 1, 1],  # a tie of two classes
        [3, 0, 0, 0, 0, 0, 0, 6, 1, 0],  # contempt, which is none of the seven
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 10],  # nothing of the seven: a lot among seven
    ]
)


def test_choice_and_its_hits():
    assert duplicates.choice(VOTES).tolist() == [0, -1, 7, 9]
    assert duplicates.choice_hits(np.array([0, 2, 0, 5]), VOTES) == pytest.approx([1, 1 / 2, 1, 1 / 7])
    assert duplicates.choice_hits(np.array([1, 3, 5, 5]), VOTES) == pytest.approx([0, 0, 0, 1 / 7])


def test_agreement_by_class():
    table = duplicates.agreement(np.array([0, 1, 0, 1]), VOTES)
    assert table.index.tolist() == ["Angry", "Disgust", "all"]
    values = table.map(lambda estimate: estimate.value)
    assert values["same"].tolist() == [0.5, 0, 0.25]
    assert values["one"].tolist() == pytest.approx([(0.9 + 0.3) / 2, 0.4 / 2, 1.6 / 4])
    assert values["top"].tolist() == pytest.approx([(0.9 + 0.6) / 2, (0.4 + 1) / 2, 2.9 / 4])
    assert table["same"]["all"].n == table["top"]["all"].n == 4


# -- figures -----------------------------------------------------------------------------------------------------------

PAIRS = FACES[:8].reshape(4, 2, 48, 48, 1)
TITLES = [["Angry 生氣\ntrain", "Sad 難過\npublic"]] * 4
COUNTS = {split: np.arange(1, 8) for split in ("train", "val", "public", "private")}
MEANS = FACES[:7].squeeze(-1).astype(float)
ANSWERS = [*BILINGUAL, "contempt 輕蔑", "unknown 不明", "no face 非人臉", "tie 平手"]
FIGURES = {
    "class_counts": (lambda: plots.class_counts(COUNTS), 1, [*BILINGUAL, "val (n = 28)"]),
    "mean_faces": (lambda: plots.mean_faces(MEANS, MEANS.mean(axis=0), BILINGUAL), 14, BILINGUAL),
    "pairs": (lambda: plots.pairs({"equal 相同": (PAIRS, TITLES)}), 8, ["equal 相同", TITLES[0][1]]),
    "pairs, few": (lambda: plots.pairs({"a": (PAIRS[:1], TITLES[:1]), "b": (PAIRS[:2], TITLES[:2])}), 6, ["a", "b"]),
    "vote_shares": (lambda: plots.vote_shares(np.eye(7, 11, dtype=int), ANSWERS), 2, [*ANSWERS, "100%"]),
}


@pytest.mark.parametrize(("draw", "axes", "expected"), FIGURES.values(), ids=FIGURES)
def test_figure(draw, axes, expected):
    figures.check(draw(), axes, expected)


# -- FER2013 -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real():
    if not os.environ.get("FER_TEST_DATA"):
        pytest.skip("FER_TEST_DATA is not set")
    return data.load(Path(os.environ["FER_TEST_DATA"]) / "fer2013-train-public.csv.xz")


def test_copies_in_fer2013_are_at_most_those_of_all_its_pictures(real):
    """Of the 35,887 pictures 3,369 are copies, in 1,516 groups: 557 across parts, 57 with conflicts; 12 are black."""
    exact = data.group_identical(real.images)
    found = duplicates.copies(real, exact)
    assert 2 * found["groups"] <= found["pictures"]
    # a group that is lost without the private pictures has at least one of them, and there are only 3,589
    for count, of_all in {"groups": 1516, "pictures": 3369, "across": 557, "conflicting": 57}.items():
        assert 0 < found[count] <= of_all
    blanks = np.flatnonzero(duplicates.blank(real.images))
    assert 0 < len(blanks) <= 12 and not real.images[blanks].any()
    assert np.unique(exact[blanks]).size == 1


def test_twins_in_fer2013_are_equal_and_on_the_other_side(real):
    twins = duplicates.twins(real, "public")
    leaked, rows = twins >= 0, real.where("public")
    assert leaked.any()
    assert (real.images[rows[leaked]] == real.images[twins[leaked]]).all()
    assert set(real.split[twins[leaked]]) <= {"train", "val"}
    assert not (duplicates.twins(real, "val") >= 0).any(), "validation is cut so that copies stay on one side"


def test_votes_for_fer2013_see_no_face_in_a_blank_picture(real):
    counts = duplicates.votes(real)
    assert counts.shape == (len(real.labels), 10)
    assert (duplicates.choice(counts)[duplicates.blank(real.images)] == duplicates.VOTES.index("not a face")).all()
    first = data.group_identical(real.images)  # copies were shown once: votes joined in a wrong order would differ
    assert (counts == counts[first]).all(axis=1).mean() > 0.99
