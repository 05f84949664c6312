"""Drawn faces are reproducible, have the promised shares and wrong labels, and their features lie in the masks."""

import numpy as np
import pytest
from scipy import ndimage
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import balanced_accuracy_score

from fer_utils import faces
from fer_utils.labels import CLASSES, REGIONS

ANGRY, DISGUST, FEAR, HAPPY, SAD, SURPRISE, NEUTRAL = range(7)


@pytest.fixture(scope="module")
def drawn():
    return faces.draw(700)


def cast(expression, people=60):
    """Draw the same people in the same poses with one expression: images and regions, (people, 48, 48)."""
    return faces.draw_batch(7, np.arange(people), np.full(people, expression))


# --- what draw() promises


@pytest.mark.parametrize(
    "field, shape, kind",
    [
        ("images", (700, 48, 48, 1), np.uint8),
        ("labels", (700,), np.int64),
        ("split", (700,), np.str_),
        ("regions", (700, 48, 48), np.uint8),
        ("drawn_as", (700,), np.int64),
    ],
)
def test_shapes_and_types(drawn, field, shape, kind):
    array = getattr(drawn, field)
    assert array.shape == shape
    assert np.issubdtype(array.dtype, kind)


def test_no_image_is_blank_or_drawn_twice(drawn):
    assert drawn.images.std((1, 2, 3)).min() > 15
    assert len(np.unique(drawn.images.reshape(700, -1), axis=0)) == 700


def test_a_prefix_of_many_is_a_few(drawn):
    for whole, part in zip(drawn, faces.draw(45), strict=True):
        np.testing.assert_array_equal(whole[:45], part)


def test_neither_workers_nor_batches_change_an_image(drawn, monkeypatch):
    monkeypatch.setattr(faces.os, "cpu_count", lambda: 1)
    monkeypatch.setattr(faces, "BATCH", 7)
    np.testing.assert_array_equal(faces.draw(20).images, drawn.images[:20])
    alone, regions = faces.draw_batch(0, [123], drawn.drawn_as[[123]])
    np.testing.assert_array_equal(alone[0], drawn.images[123, ..., 0])
    np.testing.assert_array_equal(regions[0], drawn.regions[123])


def test_another_seed_draws_others(drawn):
    assert not np.array_equal(faces.draw(5, seed=1).images, drawn.images[:5])


@pytest.mark.parametrize("n, seed", [(0, 0), (-3, 0), (3, -1)])
def test_bad_arguments(n, seed):
    with pytest.raises(ValueError):
        faces.draw(n, seed)


# --- classes, splits and labels


@pytest.mark.parametrize("n", [300, 6000])
@pytest.mark.parametrize("seed", [0, 1])
def test_shares_are_those_of_fer2013(n, seed):
    drawn_as, split = faces.assign(n, seed)
    counts = np.bincount(drawn_as, minlength=7)
    np.testing.assert_allclose(counts / n, np.array(faces.CLASS_COUNTS) / sum(faces.CLASS_COUNTS), atol=3 / n)
    for name, share in {"train": 0.8, "public": 0.1, "private": 0.1}.items():
        assert abs(np.mean(split == name) - share) < 3 / n
    if n == 6000:  # every split has the same shares of the classes
        public = np.bincount(drawn_as[split == "public"], minlength=7)
        np.testing.assert_allclose(public, counts / 10, atol=5)


def test_labels_are_noisy_as_the_table_says():
    drawn_as, _ = faces.assign(40_000, 0)
    labels = faces.mislabel(drawn_as, 0)
    assert 0.05 < np.mean(labels != drawn_as) < 0.08
    for true, name in enumerate(CLASSES):
        given = np.bincount(labels[drawn_as == true], minlength=7) / np.sum(drawn_as == true)
        expected = [faces.LABEL_NOISE[name].get(other, 0) for other in CLASSES]
        expected[true] = 1 - sum(expected)
        np.testing.assert_allclose(given, expected, atol=0.03)
        assert not np.any(given[np.array(expected) == 0])
    np.testing.assert_allclose(np.bincount(labels), np.bincount(drawn_as), rtol=0.06)


def test_tables_name_every_class_and_only_known_units():
    for table in (faces.EXPRESSIONS, faces.BLENDS, faces.LABEL_NOISE):
        assert tuple(table) == CLASSES
    assert {unit for units in faces.EXPRESSIONS.values() for unit in units} <= set(faces.ACTION_UNITS)


# --- where the features are


def test_every_face_has_its_regions_in_order(drawn):
    assert set(np.unique(drawn.regions)) == {0, 1, 2, 3}
    rows = np.arange(48)[None, :, None]
    sizes = {name: (drawn.regions == k).sum((1, 2)) for k, name in enumerate(REGIONS) if k}
    height = {name: ((drawn.regions == k) * rows).sum((1, 2)) / sizes[name] for k, name in enumerate(REGIONS) if k}
    assert min(size.min() for size in sizes.values()) >= 10
    assert max(size.max() for size in sizes.values()) < 400
    assert np.all(height["brows"] < height["eyes"]) and np.all(height["eyes"] < height["mouth"])


def test_regions_lie_on_the_head(drawn):
    rng = faces.Random(0, range(200))
    who = faces.identity(rng)
    _, au, at = faces.outfit(rng, who), faces.action_units(rng, drawn.drawn_as[:200]), faces.pose(rng)
    head = faces.head_cover(at, who, au) > 0.5
    assert 0.25 < head.mean() < 0.85
    assert not np.any(drawn.regions[:200][~head])


@pytest.mark.parametrize("feature", ["brows", "eyes", "mouth"])
def test_a_region_is_where_its_feature_is_painted(feature, monkeypatch):
    """Omitting a feature must change the image there, and hardly anywhere else."""
    monkeypatch.setattr(faces, "camera", lambda rng, image, at: image)  # exposure would change every pixel
    with_it, regions = cast(SURPRISE)
    paint = getattr(faces, feature)

    def leave_out(*args):
        tone = args[1] if feature == "eyes" else args[0]
        return tone, paint(*args)[1]

    monkeypatch.setattr(faces, feature, leave_out)
    without, _ = cast(SURPRISE)
    change = np.abs(with_it - without)
    near = ndimage.binary_dilation(regions == REGIONS.index(feature), np.ones((1, 3, 3)))
    assert change[near].sum() / change.sum() > 0.85
    assert np.mean(change[regions == REGIONS.index(feature)] > 0.01) > 0.75  # the rest is under hair, glasses, hands


def extent(regions, name, axis):
    """Return the mean number of rows (axis 2) or columns (axis 1) of a region."""
    return np.any(regions == REGIONS.index(name), axis).sum(1).mean()


def curl(regions):
    """Return by how many rows the middle of the mouth is below its ends: smiles are positive."""
    rows, columns = np.mgrid[:48, :48]
    bends = []
    for mouth in regions == REGIONS.index("mouth"):
        y, x = rows[mouth], columns[mouth]
        third = np.ptp(x) / 6
        ends, middle = np.abs(x - x.mean()) > 2 * third, np.abs(x - x.mean()) < third
        bends.append(y[middle].mean() - y[ends].mean())
    return np.mean(bends)


def brow_gap(regions):
    """Return the mean distance in rows between brows and eyes."""
    rows = np.arange(48)[None, :, None]
    brows, eyes = (((regions == k) * rows).sum((1, 2)) / (regions == k).sum((1, 2)) for k in (1, 2))
    return np.mean(eyes - brows)


@pytest.mark.parametrize(
    "measure, more, less, by",
    [
        (lambda r: extent(r, "mouth", 2), SURPRISE, NEUTRAL, 1.5),  # AU 26
        (lambda r: extent(r, "mouth", 1), HAPPY, SURPRISE, 2.0),  # AU 12
        (lambda r: extent(r, "mouth", 1), FEAR, SURPRISE, 2.0),  # AU 20
        (lambda r: extent(r, "eyes", 2), FEAR, ANGRY, 1.0),  # AU 5 and 7
        (brow_gap, SURPRISE, NEUTRAL, 1.0),  # AU 1 and 2
        (brow_gap, NEUTRAL, ANGRY, 0.5),  # AU 4
        (curl, HAPPY, NEUTRAL, 0.8),  # AU 12
        (curl, NEUTRAL, SAD, 0.5),  # AU 15
    ],
)
def test_action_units_move_the_features(measure, more, less, by):
    assert measure(cast(more)[1]) - measure(cast(less)[1]) > by


def test_pixels_predict_the_class_a_little(drawn):
    """A linear classifier on pixels beats chance (1/7 for balanced classes), and is far from enough."""
    pixels = drawn.images.reshape(700, -1) / np.float32(255)
    pixels = (pixels - pixels.mean(1, keepdims=True)) / pixels.std(1, keepdims=True)
    train = np.arange(700) % 3 > 0
    linear = RidgeClassifier(alpha=300).fit(pixels[train], drawn.drawn_as[train])
    balanced = balanced_accuracy_score(drawn.drawn_as[~train], linear.predict(pixels[~train]))
    assert 1 / 7 + 0.06 < balanced < 0.6
