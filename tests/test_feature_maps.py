"""Feature maps where they are known: planted kernels, dead channels, a gradient that is the kernel, squares of heat."""

import figures
import keras
import numpy as np
import pytest
from keras import layers

from fer_utils import models
from fer_utils.explain.saliency import maximize, saliency
from fer_utils.labels import BILINGUAL
from fer_utils.plots import features

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(1, 256, (5, 48, 48, 1)).astype(np.uint8)


def network(*middle):
    inputs = x = keras.Input((48, 48, 1))
    for layer in middle:
        x = layer(x)
    return models.classify(inputs, layers.Flatten()(x), "network")


def with_weights(conv, kernel, bias):
    """The network of this conv alone, its kernel (size, size, 1, filters) and biases set."""
    model = network(conv)
    conv.set_weights([np.asarray(kernel, np.float32), np.asarray(bias, np.float32)])
    return model


@pytest.fixture(scope="module")
def three():
    """The picture itself; a filter that is never above 0; one that always says 5."""
    conv = layers.Conv2D(3, 1, activation="relu", name="conv2d_1")
    return with_weights(conv, [[[[1, -1, 0]]]], [0, 0, 5])


# builder: (where the activations of some layers are, the last conv of each resolution)
LAYERS = {
    models.cnn_a: ({"conv2d_3": "conv2d_3", "dense_2": "dense_2"}, ["conv2d_1", "conv2d_2", "conv2d_3"]),
    models.cnn_b: ({"conv2d_1": "leaky_1", "dense_1": "dense_1"}, [f"conv2d_{n}" for n in (1, 2, 3, 4)]),
    models.cnn_c: ({"conv2d_7": "leaky_7", "dense_1": "leaky_dense_1"}, [f"conv2d_{n}" for n in (2, 4, 5, 6, 7)]),
    models.cnn_e: ({"conv2d_1_1": "conv2d_1_1"}, ["conv2d_1_2", "conv2d_2_2", "conv2d_3_2"]),
    models.cnn_small: ({"conv2d_3": "conv2d_3", "dense_1": "dense_1"}, ["conv2d_1", "conv2d_2", "conv2d_3"]),
}


@pytest.mark.parametrize(("build", "found"), LAYERS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_activations_and_blocks_of_every_cnn(build, found):
    model, (some, blocks) = build(), found
    where = saliency.activated(model)
    assert {name: where[name] for name in some} == some
    assert "logits" not in where
    assert saliency.blocks(model) == blocks
    shown = saliency.feature_maps(model, IMAGES[:1], [*blocks, "dense_1"])
    assert {name: maps.ndim for name, maps in shown.items()} == dict.fromkeys(blocks, 4) | {"dense_1": 2}


def test_a_network_without_convolutions_says_so():
    with pytest.raises(ValueError, match="dnn_a has no convolutions"):
        saliency.blocks(models.dnn_a())


def test_feature_maps_are_taken_after_the_activation_and_before_what_follows():
    conv = layers.Conv2D(1, 1, name="conv2d_1")
    model = network(conv, layers.LeakyReLU(0.5), layers.BatchNormalization(), layers.MaxPooling2D(2))
    conv.set_weights([np.ones((1, 1, 1, 1)), np.array([-100.0])])
    maps = saliency.feature_maps(model, IMAGES, ["conv2d_1"])["conv2d_1"]
    away = IMAGES - 100.0
    np.testing.assert_allclose(maps, np.where(away > 0, away, away / 2), rtol=1e-5)


def test_extremes_leave_out_what_is_silent():
    maps = np.zeros((4, 4, 6))
    maps[0, 0] = [3, 0, 1, 5, -2, 2]
    strongest, weakest = saliency.extremes(maps, 2)
    assert strongest.tolist() == [3, 0] and weakest.tolist() == [5, 2]
    assert [len(found) for found in saliency.extremes(maps, 9)] == [2, 2]
    assert [len(found) for found in saliency.extremes(0 * maps, 2)] == [0, 0]


@pytest.mark.parametrize("batch", [2, 64])
def test_dead_is_what_no_picture_brings_above_0_or_what_never_changes(three, batch):
    images = IMAGES.copy()
    images[4, :12] = 0  # a quarter of one picture in five
    found = saliency.activity(three, images, ["conv2d_1"], batch)["conv2d_1"]
    assert found.dead.tolist() == [False, True, True]
    np.testing.assert_allclose(found.off, [0.05, 1, 0])
    np.testing.assert_allclose(found.highest, [images.max(), 0, 5])


def test_a_channel_is_as_like_its_picture_as_it_correlates(three):
    maps = saliency.feature_maps(three, IMAGES, ["conv2d_1"])["conv2d_1"]
    maps = np.concatenate([maps, 300 - 2 * maps[..., :1]], axis=-1)
    own, other = saliency.likeness(maps, IMAGES), saliency.likeness(maps, np.roll(IMAGES, 1, axis=0))
    np.testing.assert_allclose(own, [[1, 0, 0, 1]] * len(IMAGES), atol=1e-5)
    r = np.corrcoef(IMAGES[1].ravel(), IMAGES[0].ravel())[0, 1]
    np.testing.assert_allclose(other[1], [abs(r), 0, 0, abs(r)], atol=1e-5)


def test_coarse_maps_are_enlarged_before_they_are_compared():
    smooth = np.add.outer(np.arange(48.0), np.arange(48.0))[None, ..., None]
    coarse = smooth.reshape(1, 12, 4, 12, 4, 1).mean(axis=(2, 4))
    assert saliency.likeness(coarse, smooth)[0, 0] > 0.99


def test_effective_field_of_a_linear_conv_is_its_kernel():
    kernel = RNG.normal(size=(3, 3, 1, 1))
    conv = layers.Conv2D(1, 3, padding="same", name="conv2d_1")
    heat = saliency.effective_field(with_weights(conv, kernel, [0]), IMAGES, "conv2d_1", batch=2)
    expected = np.zeros((48, 48))
    expected[23:26, 23:26] = np.abs(kernel[..., 0, 0])  # around the central place, 24
    np.testing.assert_allclose(heat, expected, atol=1e-6)


@pytest.mark.parametrize("build", [models.cnn_small, models.cnn_a, models.cnn_e], ids=lambda build: build.__name__)
def test_effective_field_fills_the_receptive_field_and_no_more(build):
    keras.utils.set_random_seed(0)
    model = build()
    for name in saliency.blocks(model)[:2]:
        field, side = maximize.receptive_field(model, name), model.get_layer(name).output.shape[1]
        start = field.start + side // 2 * field.stride
        for counts in (saliency.effective_field(model, IMAGES, name).sum(axis=axis) > 0 for axis in (0, 1)):
            assert np.flatnonzero(counts)[[0, -1]].tolist() == [max(start, 0), min(start + field.size, 48) - 1]


SQUARES = {
    "one pixel": ((20, 30, 1), (20, 30, 1)),
    "a square": ((3, 7, 10), (3, 7, 10)),
    "everything": ((0, 0, 48), (0, 0, 46)),  # 46² is more than 0.9 · 48², 45² is less
}


@pytest.mark.parametrize(("square", "found"), SQUARES.values(), ids=SQUARES)
def test_core_is_the_smallest_square_that_holds_enough(square, found):
    row, column, side = square
    heat = np.zeros((48, 48), np.float32)
    heat[row : row + side, column : column + side] = 1
    assert saliency.core(heat, share=0.9 if side == 48 else 0.999) == found


def test_core_leaves_out_a_faint_edge():
    heat = np.full((48, 48), 0.1 / 48**2)
    heat[10:14, 10:14] += 0.95 / 16
    assert saliency.core(heat) == (10, 10, 4)


# -- figures -----------------------------------------------------------------------------------------------------------

MAPS = {"conv2d_1": RNG.random((48, 48, 6)), "conv2d_2": 3 * RNG.random((12, 12, 5))}
CHOSEN = {"conv2d_1": ([0, 4, 2], [5, 1, 3]), "conv2d_2": ([1, 2], [0, 3])}
FIELDS = {"conv2d_1": (22, 22, 5), "conv2d_2": (-4, -4, 60)}
HEATS = dict.fromkeys(FIELDS, RNG.random((48, 48)))
CORES = {"conv2d_1": (22, 22, 4), "conv2d_2": (10, 9, 30)}
UNITS, DEAD = np.array([0.0, 4.0, 0.0, 1.0]), np.array([True, False, False, False])
LOGITS, PROBS = np.array([-1.5, 0, 0, 2, 0, 0, 0.25]), RNG.dirichlet(np.ones(7))


def shown():
    return features.feature_maps(IMAGES[0], MAPS, CHOSEN)


def answered(dead=DEAD):
    return features.answer(UNITS, dead, LOGITS, PROBS, 3)


def seen():
    return features.receptive_fields(IMAGES[0], FIELDS, HEATS, CORES)


# name: (figure, number of axes, words that must be on it)
FIGURES = {
    "feature maps": (shown, 2 + 6 + 4, ["conv2d_1: 48×48", "conv2d_2: 12×12", "4", "strongest\n0–1", "weakest\n0–3"]),
    "answer": (answered, 3, [*BILINGUAL, "dead: 1", "−1.50", "logits", "probabilities"]),
    "answer, none dead": (lambda: answered(np.zeros(4, bool)), 3, ["2.00"]),
    "receptive fields": (seen, 3, ["conv2d_1\nfield 5, core 4", "conv2d_2\nfield 60, core 30", "5", "60"]),
}


@pytest.mark.parametrize(("draw", "axes", "expected"), FIGURES.values(), ids=FIGURES)
def test_figure(draw, axes, expected):
    figures.check(draw(), axes, expected)


def test_maps_of_a_row_share_one_scale_from_0_on():
    axes = [axis for axis in shown().axes if axis.images[0].get_array().shape == (12, 12)][1:]
    assert [axis.get_title(loc="center") for axis in axes] == ["1", "2", "0", "3"]
    for row, channels in ((axes[:2], [1, 2]), (axes[2:], [0, 3])):
        assert [axis.images[0].get_clim() for axis in row] == [(0, MAPS["conv2d_2"][..., channels].max())] * 2


def test_the_picture_stands_beside_its_maps_as_coarse_as_they_are():
    coarse = shown().axes[7].images[0].get_array()
    np.testing.assert_allclose(coarse, IMAGES[0].reshape(12, 4, 12, 4).mean(axis=(1, 3)), atol=1)


def test_dead_units_stand_last_and_are_shaded():
    bars, shade = answered().axes[0].patches
    assert bars.get_data().values.tolist() == [4, 1, 0, 0]
    assert (shade.get_x(), shade.get_width()) == (3, 1)


def test_squares_end_where_the_picture_ends():
    first, _, last = seen().axes
    corners = [(box.get_x(), box.get_y(), box.get_width()) for box in first.patches]
    assert corners == [(21.5, 21.5, 5), (-0.5, -0.5, 48)]
    assert [(box.get_x(), box.get_y(), box.get_width()) for box in last.patches] == [(-0.5, -0.5, 48), (8.5, 9.5, 30)]
