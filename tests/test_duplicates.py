"""Planted copies, leaks, conflicts and blank images are found, and nothing else."""

import io

import imagehash
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_utils import data, faces
from fer_utils.studies import duplicates

# 60 drawn faces (rows 0-39 train, 40-49 public, 50-59 private), then the planted copies.
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
PLANTED = [  # image, label, split
    (FACES[0], LABELS[0], "train"),  # 60: equal, same part, same label
    (FACES[1], LABELS[1], "val"),  # 61: equal, train and val: one part
    (FACES[2], LABELS[2] + 1, "train"),  # 62: equal, another label
    (FACES[3], LABELS[3], "public"),  # 63: equal, leaked
    (FACES[41], LABELS[41], "private"),  # 64: equal, in two test parts: across, but not leaked
    ((FACES[4] * 0.8 + 25).astype(np.uint8), LABELS[4], "public"),  # 65: near by another contrast, leaked
    (noisy(FACES[5]), LABELS[5] + 1, "train"),  # 66: near by noise, another label
    (as_jpeg(FACES[42]), LABELS[42], "public"),  # 67: near by JPEG, within a part
    (as_jpeg(FACES[0]), LABELS[0], "train"),  # 68: near to an image that has an equal one
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
    """Group numbers of exact copies, and of exact and near ones."""
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
    assert len(duplicates.near_copies(planted.images, correlation=-1)) > len(NEAR), "the hash alone finds too many"
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


def test_pixel_correlation_ignores_brightness_and_contrast():
    images = np.concatenate([FACES, [(FACES[0] * 0.5 + 60).astype(np.uint8), BLACK]])
    same, other, blank = duplicates.pixel_correlation(images, np.array([[0, 60], [0, 1], [0, 61]]))
    assert same > 0.99
    assert abs(other) < 0.9
    assert abs(blank) < 1e-5


def test_pixel_correlation_ignores_what_all_faces_share():
    alike = 0.95 * FACES.mean(axis=0) + 0.05 * FACES
    assert np.corrcoef(alike[0].ravel(), alike[1].ravel())[0, 1] > 0.9
    assert duplicates.pixel_correlation(alike, np.array([[0, 1]])) < 0.5


def test_altered_copies_differ_and_most_are_found():
    for name, copies in duplicates.altered(FACES).items():
        assert copies.shape == FACES.shape and copies.dtype == np.uint8
        assert (copies != FACES).any(axis=(1, 2, 3)).all(), name
        pairs = duplicates.near_copies(np.concatenate([FACES, copies]))
        found = np.count_nonzero(pairs[:, 1] - pairs[:, 0] == len(FACES))
        if name in ("lighter", "noise", "JPEG"):
            assert found >= 0.9 * len(FACES), name


def test_copies_are_counted(planted, groups):
    assert duplicates.copies(planted, groups[0]) == {"groups": 8, "images": 16, "across": 5, "conflicting": 2}
    assert duplicates.copies(planted, groups[1]) == {"groups": 11, "images": 23, "across": 6, "conflicting": 3}


def test_examples_differ_in_the_given_value(planted, groups):
    part = data.parts(planted.split)
    assert set(map(tuple, duplicates.examples(groups[0], part, n=9))) == {
        (3, 63),
        (41, 64),
        (69, 70),
        (43, 72),
        (44, 73),
    }
    assert set(map(tuple, duplicates.examples(groups[0], planted.labels, n=9))) == {(2, 62), (69, 70)}
    assert duplicates.examples(groups[0], part, n=2).shape == (2, 2)
    assert duplicates.examples(groups[0], np.zeros(len(part))).shape == (0, 2)
    assert duplicates.examples(np.zeros(4, int), np.array([-1, 2, -1, 5])).tolist() == [[1, 3]], (
        "an unknown label differs from none"
    )


# -- leaks -------------------------------------------------------------------------------------------------------------

LEAKS = {  # split, near copies as well? -> row of the split's image: row of its copy
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
    assert change.low < change.value < change.high < 0, "the images left out are recognised more often"
    assert duplicates.change_without(right, np.zeros(2000, bool))[:3] == (0, 0, 0)
    picks = rng.integers(2000, size=(2000, 2000))  # the same by resampling images
    drawn = [right[p][~left_out[p]].mean() - right[p].mean() for p in picks]
    assert np.percentile(drawn, [2.5, 97.5]) == pytest.approx(change[1:3], abs=0.003)


# -- FER2013 -----------------------------------------------------------------------------------------------------------


def test_copies_in_fer2013_are_at_most_those_of_all_its_images(real):
    """Of the 35,887 images 3,369 are copies, in 1,516 groups: 557 across parts, 57 with conflicts; 12 are black."""
    exact = data.group_identical(real.images)
    found = duplicates.copies(real, exact)
    assert 2 * found["groups"] <= found["images"]
    # the 3,589 private images are missing here
    for count, of_all in {"groups": 1516, "images": 3369, "across": 557, "conflicting": 57}.items():
        assert 0 < found[count] <= of_all
    blanks = np.flatnonzero(np.ptp(real.images, axis=(1, 2, 3)) == 0)
    assert 0 < len(blanks) <= 12 and not real.images[blanks].any()
    assert np.unique(exact[blanks]).size == 1


def test_twins_in_fer2013_are_equal_and_on_the_other_side(real):
    twins = duplicates.twins(real, "public")
    leaked, rows = twins >= 0, real.where("public")
    assert leaked.any()
    assert (real.images[rows[leaked]] == real.images[twins[leaked]]).all()
    assert set(real.split[twins[leaked]]) <= {"train", "val"}
    assert not (duplicates.twins(real, "val") >= 0).any(), "copies stay on one side of the validation set"
