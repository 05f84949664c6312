"""Explanations where the right answer is known: a linear model, a model that sees one corner, shuffled weights."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers

from fer_utils import models
from fer_utils.explain import checks, graph, saliency
from fer_utils.studies import parts

N = 3
CORNER = 16  # pixels


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (N, 48, 48, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def classes():
    return np.array([0, 3, 6])


def randomised(model, seed=0):
    """Random weights, the logits' too: those begin at 0, where every gradient is 0."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            layer.kernel.assign(rng.normal(0, 1 / np.sqrt(np.prod(layer.kernel.shape[:-1])), layer.kernel.shape))
    return model


@pytest.fixture(scope="module")
def linear():
    """logits = pixels × weights."""
    inputs = keras.Input((48, 48, 1))
    return randomised(models.classify(inputs, layers.Flatten()(inputs), "linear"))


@pytest.fixture(scope="module")
def small():
    return randomised(models.cnn_small(width=4))


@pytest.fixture(scope="module")
def corner():
    """A network to which everything but the upper left corner is 0."""
    inputs = keras.Input((48, 48, 1))
    away = ((0, 48 - CORNER), (0, 48 - CORNER))
    x = layers.ZeroPadding2D(away)(layers.Cropping2D(away)(inputs))
    x = layers.Conv2D(6, 3, padding="same", activation="relu", use_bias=False, name="conv2d_1")(x)
    return randomised(models.classify(inputs, layers.Flatten()(x), "corner"))


def weights_of(linear, classes):
    return np.asarray(linear.get_layer("logits").kernel).T.reshape(7, 48, 48)[classes]


@pytest.mark.parametrize("name", ["gradient", "SmoothGrad"])
def test_gradient_of_a_linear_model_is_its_weights(name, linear, images, classes):
    maps = saliency.METHODS[name](linear, images, classes)
    np.testing.assert_allclose(maps, weights_of(linear, classes), atol=1e-6)


def test_integrated_gradients_of_a_linear_model_are_weight_times_distance(linear, images, classes):
    maps = saliency.integrated_gradients(linear, images, classes)
    away = (images - saliency.mean_grey(images))[..., 0]
    np.testing.assert_allclose(maps, away * weights_of(linear, classes), atol=1e-3)
    np.testing.assert_allclose(checks.completeness_gap(linear, images, classes, maps), 0, atol=1e-2)


def test_occlusion_of_a_linear_model_is_the_sum_of_what_it_covers(linear, images, classes):
    maps = saliency.occlusion(linear, images, classes, size=16, stride=16)
    away = (images - saliency.mean_grey(images))[..., 0] * weights_of(linear, classes)
    squares = away.reshape(N, 3, 16, 3, 16).sum(axis=(2, 4))
    np.testing.assert_allclose(maps[:, ::16, ::16], squares, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("name", saliency.METHODS)
def test_maps_point_at_the_only_corner_that_counts(name, corner, images, classes):
    maps = np.abs(saliency.METHODS[name](corner, images, classes))
    assert maps.shape == (N, 48, 48) and maps.dtype == np.float32
    reach = CORNER + 8  # a square of the occlusion, and a convolution, look a little further
    assert (maps.sum(axis=(1, 2)) > 0).all()
    # Occlusion compares images within a batch, and a processor may round the last of them otherwise than the first.
    rounding = 1e-5 * maps.max() if name == "occlusion" else 0
    assert max(maps[:, reach:].max(), maps[:, :, reach:].max()) <= rounding


def test_integrated_gradients_are_complete(small, images, classes):
    coarse, fine = (saliency.integrated_gradients(small, images, classes, steps) for steps in (4, 100))
    coarse, fine = (np.abs(checks.completeness_gap(small, images, classes, maps)) for maps in (coarse, fine))
    assert (fine < 0.02).all() and fine.mean() < coarse.mean()


@pytest.mark.parametrize("name", saliency.METHODS)
def test_batch_equals_one_by_one_and_twice_is_the_same(name, small, images, classes):
    method = saliency.METHODS[name]
    together = method(small, images, classes)
    alone = np.concatenate([method(small, images[i : i + 1], classes[i : i + 1]) for i in range(N)])
    np.testing.assert_allclose(together, alone, atol=1e-5 * np.abs(together).max() + 1e-7)
    np.testing.assert_array_equal(together, method(small, images, classes))


def test_another_seed_draws_other_noise(small, images, classes):
    first, second = (saliency.smoothgrad(small, images, classes, n=4, seed=seed) for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_shuffled_weights_change_the_maps_and_leave_the_model_alone(small, images, classes):
    before = small.get_weights()
    table = checks.randomisation(small, images, classes, {"gradient": saliency.gradient}, stages=3)
    assert list(table.index) == ["logits", "conv2d_3", "conv2d_1"]  # of five layers: both ends and the middle
    assert abs(table.loc["conv2d_1", "gradient"]) < 0.3
    for kept, values in zip(before, small.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, values)


def test_guided_backprop_drops_what_is_negative():
    """Two ReLUs pull the logit up and down by the same: the gradient is 0, the guided one is not."""
    inputs = keras.Input((48, 48, 1))
    x = layers.Conv2D(2, 1, activation="relu", use_bias=False, kernel_initializer="ones")(inputs)
    model = models.classify(inputs, layers.GlobalAveragePooling2D()(x), "two")
    model.get_layer("logits").kernel.assign([[2304.0] * 7, [-2304.0] * 7])
    white = np.full((1, 48, 48, 1), 255, np.uint8)
    np.testing.assert_allclose(saliency.gradient(model, white, [0]), 0, atol=1e-4)
    np.testing.assert_allclose(saliency.guided_backprop(model, white, [0]), 1, rtol=1e-4)


@pytest.mark.parametrize("build", [models.cnn_small, models.cnn_e, models.cnn_c], ids=lambda build: build.__name__)
def test_guiding_the_gradients_leaves_the_logits_alone(build, images):
    model = randomised(build())
    x = images.astype(np.float32)
    logits, guided = saliency.logits_of(model)(x), saliency.logits_of(model, saliency._guided)(x)
    np.testing.assert_allclose(guided, logits, atol=1e-5)


@pytest.mark.parametrize("layer", ["conv2d_9", "dense_1", "logits"])
def test_wrong_layer_lists_the_right_ones(layer, small, images, classes):
    with pytest.raises(ValueError, match="conv2d_1, pool_1, conv2d_2.*bn_3"):
        saliency.grad_cam_pp(small, images, classes, layer=layer)


def test_methods_of_a_network_without_convolutions(linear):
    every = list(saliency.METHODS)
    assert [*saliency.missing(linear, every)] == ["Grad-CAM++", "guided backprop"]
    assert [*saliency.missing(models.dnn((4, 4)), every)] == ["Grad-CAM++"]
    assert [*saliency.methods(linear, every)] == ["gradient", "SmoothGrad", "integrated gradients", "occlusion"]
    with pytest.raises(graph.NoAnswer, match="linear has no convolutions"):
        saliency.methods(linear, ["Grad-CAM++"])
    with pytest.raises(graph.NoAnswer, match="linear has no convolutions"):
        saliency.find_layer(linear)
    with pytest.raises(graph.NoAnswer, match="linear has no ReLUs"):
        saliency.guided_backprop(linear, np.zeros((1, 48, 48, 1)), [0])
    with pytest.raises(ValueError, match="not among: gradient"):
        saliency.methods(linear, ["gradiant"])


def test_deletion_and_insertion_tell_the_right_map_from_its_opposite(corner, images, classes):
    maps = np.zeros((N, 48, 48), np.float32)
    maps[:, :CORNER, :CORNER] = 1
    classes = corner.predict(images, verbose=0).argmax(axis=1)
    deletion, insertion = checks.deletion_insertion(corner, images, classes, maps, steps=12)
    late_deletion, late_insertion = checks.deletion_insertion(corner, images, classes, -maps, steps=12)
    assert (deletion < late_deletion).all() and (insertion > late_insertion).all()


def test_deletion_ends_where_insertion_begins(small, images, classes):
    """With one step a curve is its two ends, the image and its baseline, so both areas are the same."""
    maps = checks.model_free(images)["Sobel edges"]
    np.testing.assert_allclose(*checks.deletion_insertion(small, images, classes, maps, steps=1), rtol=1e-5)


def test_model_free_maps(images):
    maps = checks.model_free(images)
    assert {values.shape for values in maps.values()} == {(N, 48, 48)}
    assert maps["centre blob"][0, 24, 24] > maps["centre blob"][0, 0, 0]
    flat = checks.model_free(np.full((1, 48, 48, 1), 90, np.uint8))
    assert flat["Sobel edges"].max() == 0


def test_region_shares():
    regions = np.zeros((2, 48, 48), np.uint8)
    regions[:, :12], regions[:, 12:24], regions[:, 24:30] = 1, 2, 3
    np.testing.assert_allclose(checks.region_shares(np.ones((2, 48, 48)), regions), [[3 / 8, 1 / 4, 1 / 4, 1 / 8]] * 2)
    maps = np.where(regions == 3, 2.0, -1.0)  # what speaks against the class has no share
    maps[1] = 0
    shares = checks.region_shares(maps, regions)
    np.testing.assert_allclose(shares[0], [0, 0, 0, 1])
    assert np.isnan(shares[1]).all()


def test_spearman_of_dead_maps_is_zero():
    maps = np.arange(2 * 48 * 48).reshape(2, 48, 48)
    np.testing.assert_allclose(checks.spearman(maps, np.stack([maps[0], np.zeros((48, 48))])), [1, 0])


def test_class_parts_finds_the_part_on_which_a_class_differs():
    rng, classes = np.random.default_rng(0), np.repeat([0, 3, 5], 20)
    shares = rng.uniform(0.2, 0.3, (60, 3))
    shares[classes == 3, 2] += 0.3
    shares[0] = np.nan
    table = parts.class_parts(shares, classes)
    assert len(table) == 9
    found = table[table["more"]]
    assert found[["label", "part"]].to_numpy().tolist() == [[3, 2]]
    assert found["share"].iloc[0].low > found["others"].iloc[0]
    assert len(parts.class_parts(shares[:1], classes[:1])) == 0


def test_a_part_is_stressed_if_every_method_gives_it_more_than_its_area():
    first = np.tile([0.5, 0.2, 0.3], (9, 1))
    assert parts.stressed([first, first[:, [0, 2, 1]]], {"a": 0.4, "b": 0.25, "c": 0.25}) == ["a"]


def test_parts_of_photographs_are_thirds_and_the_margin_surrounds_them():
    names, masks = checks.parts_of(SimpleNamespace(regions=None), np.arange(2))
    assert names[0] == "upper third" and masks.shape == (2, 48, 48)
    assert masks[1, [0, 16, 32], 5].tolist() == [1, 2, 3]
    assert checks.margin(1)[0, [0, 5, 6, 24], 24].tolist() == [1, 1, 0, 0]
