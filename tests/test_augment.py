import numpy as np
import pytest
import tensorflow as tf

from fer_utils import augment

ALL = {"shift": 0.1, "rotation": 20, "zoom": 0.1, "shear": 5, "crop": 0.2, "flip": True, "noise": 0.05, "cutout": 8}


def faces(count=6):
    return tf.constant(np.random.default_rng(0).uniform(0, 255, (count, 48, 48, 1)), tf.float32)


@pytest.mark.parametrize("name", augment.SETTINGS)
def test_each_setting_changes_images_and_keeps_their_range(name):
    images = faces()
    changed = augment.augment(images, [1, 2], **{name: ALL[name]})
    assert changed.shape == images.shape
    assert not np.allclose(changed, images)
    assert float(tf.reduce_min(changed)) >= 0 and float(tf.reduce_max(changed)) <= 255
    np.testing.assert_array_equal(changed, augment.augment(images, [1, 2], **{name: ALL[name]}))
    assert not np.array_equal(changed, augment.augment(images, [1, 3], **{name: ALL[name]}))


def test_nothing_asked_nothing_done():
    np.testing.assert_array_equal(augment.augment(faces(), [1, 2]), faces())
    np.testing.assert_allclose(augment.warp(faces(), [1, 2]), faces(), atol=1e-3)


def test_flip_mirrors_about_the_middle():
    images = faces(40)
    flipped = augment.warp(images, [0, 0], flip=True).numpy()
    mirrored = [np.allclose(new, old[:, ::-1], atol=1e-3) for new, old in zip(flipped, images.numpy(), strict=True)]
    kept = [np.allclose(new, old, atol=1e-3) for new, old in zip(flipped, images.numpy(), strict=True)]
    assert all(m != k for m, k in zip(mirrored, kept, strict=True))
    assert 8 < sum(mirrored) < 32


def test_rotation_keeps_the_middle_and_moves_the_rim():
    images = np.zeros((30, 48, 48, 1), "float32")
    images[:, 22:26, 22:26] = 255  # a block in the middle
    images[:, 0:4, 22:26] = 255  # and one at the top
    turned = augment.warp(tf.constant(images), [0, 0], rotation=90).numpy()
    assert (turned[:, 22:26, 22:26].mean(axis=(1, 2, 3)) > 200).all()
    assert turned[:, 0:4, 22:26].mean() < 128


def test_cutout_blanks_a_square_of_the_asked_size():
    images = faces(50)
    changed = (augment.cutout(images, [0, 0], 8).numpy() != images.numpy()).sum(axis=(1, 2, 3))
    assert changed.max() <= 81 and 16 <= np.median(changed) <= 64


def test_an_unknown_setting_names_the_known_ones():
    with pytest.raises(ValueError, match="unknown brightness; there are: shift, rotation"):
        augment.augment(faces(), [0, 0], brightness=0.1)


def test_the_stream_shows_every_image_once_an_epoch_in_a_new_order():
    images, labels = np.zeros((25, 48, 48, 1), "uint8"), np.arange(25)
    seen = [batch.numpy() for _, batch in augment.batches(images, labels, 10, seed=0, epochs=2)]
    assert [len(batch) for batch in seen] == [10, 10, 5, 10, 10, 5]
    first, second = np.concatenate(seen[:3]), np.concatenate(seen[3:])
    assert sorted(first) == sorted(second) == list(range(25))
    assert list(first) != list(second) and list(first) != list(range(25))


def test_balanced_epochs_show_every_class_equally_often():
    images, labels = np.zeros((700, 48, 48, 1), "uint8"), np.repeat([0, 1, 2], [500, 190, 10])
    seen = [batch.numpy() for _, batch in augment.batches(images, labels, 100, seed=0, epochs=6, balanced=labels)]
    assert sum(map(len, seen)) == 6 * 700
    shares = np.bincount(np.concatenate(seen)) / 4200
    np.testing.assert_allclose(shares, 1 / 3, atol=0.03)


def test_a_stream_that_begins_later_equals_the_rest_of_the_whole_one():
    images, labels = np.random.default_rng(0).integers(0, 256, (25, 48, 48, 1), "uint8"), np.arange(25)
    whole = list(augment.batches(images, labels, 10, seed=3, epochs=3, augmentation=ALL))
    late = list(augment.batches(images, labels, 10, seed=3, first_epoch=2, epochs=3, augmentation=ALL))
    assert len(late) == 3
    for (expected, expected_labels), (got, got_labels) in zip(whole[6:], late, strict=True):
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(got_labels, expected_labels)


def test_a_gpu_gets_the_same_stream(monkeypatch):
    images, labels = np.random.default_rng(0).integers(0, 256, (25, 48, 48, 1), "uint8"), np.arange(25)
    usual = list(augment.batches(images, labels, 10, seed=3, epochs=2, augmentation=ALL))
    monkeypatch.setattr(augment, "on_gpu", lambda: True)
    for_gpu = list(augment.batches(images, labels, 10, seed=3, epochs=2, augmentation=ALL))
    for one, other in zip(usual, for_gpu, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
