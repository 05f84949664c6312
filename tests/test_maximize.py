"""Gradient ascent where the optimum is known, receptive fields known by hand, patches found where they were put."""

import keras
import numpy as np
import pytest
from keras import layers

from fer_utils import models
from fer_utils.explain import fields, maximize

RNG = np.random.default_rng(0)
WAVE = np.sin(np.arange(48) / 5)[:, None] * np.cos(np.arange(48) / 7)  # smooth, so that it survives small moves
STILL = {"shift": 0, "rotation": 0, "zoom": 0}


def network(*middle):
    inputs = x = keras.Input((48, 48, 1))
    for layer in middle:
        x = layer(x)
    return keras.Model(inputs, x)


def detector(*patterns, activation=None, bias=0.0):
    """Dense units whose activation is the product with a pattern, scaled so that L2's optimum lies within 0…255."""
    unit = layers.Dense(len(patterns), activation=activation, name="unit")
    model = network(layers.Flatten(), unit)
    kernel = 2 * 0.4 / (48 * 48 * 255) * np.stack([pattern.ravel() for pattern in patterns], axis=1)
    unit.set_weights([kernel, np.full(len(patterns), bias)])
    return model


def conv_net():
    keras.utils.set_random_seed(3)
    return network(
        layers.Rescaling(1 / 255),
        layers.Conv2D(6, 5, padding="same", activation="relu", name="conv"),
        layers.MaxPooling2D(2),
        layers.Conv2D(4, 3, padding="same", activation="relu", name="deep"),
        layers.Flatten(),
        layers.Dense(3, activation="relu", name="dense"),
    )


@pytest.mark.parametrize(("moves", "least"), [(STILL, 0.99), ({}, 0.9)])
def test_the_image_of_a_linear_detector_is_its_kernel(moves, least):
    found = maximize.maximize(detector(WAVE, -WAVE), "unit", tv=0.0, l2=1.0, **moves)
    assert found.images.shape == (2, 48, 48) and found.images.min() >= 0 and found.images.max() <= 255
    assert np.corrcoef(found.images[0].ravel(), WAVE.ravel())[0, 1] > least
    assert np.corrcoef(found.images[1].ravel(), WAVE.ravel())[0, 1] < -least


def test_a_unit_whose_relu_is_shut_is_maximised_too():
    found = maximize.maximize(detector(WAVE, activation="relu", bias=-9.0), "unit", steps=60, tv=0.0, **STILL)
    assert found.activations[0] < 0  # before the ReLU
    assert np.corrcoef(found.images[0].ravel(), WAVE.ravel())[0, 1] > 0.9


@pytest.mark.parametrize(("layer", "maco"), [("conv", False), ("deep", False), ("deep", True), ("dense", True)])
def test_activations_rise_and_are_those_of_the_images(layer, maco):
    model, noise = conv_net(), RNG.uniform(0, 255, (20, 48, 48, 1))
    spectrum = maximize.mean_spectrum(noise) if maco else None
    start = maximize.maximize(model, layer, spectrum=spectrum, steps=0)
    found = maximize.maximize(model, layer, spectrum=spectrum, steps=25)
    again = maximize.activations(model, layer, found.images).mean(axis=(1, 2))
    np.testing.assert_allclose(found.activations, np.diag(again), rtol=1e-4, atol=1e-5)
    awake = np.abs(start.activations) > 0.01 * np.abs(start.activations).max()  # the others are silent filters
    assert awake.sum() >= 2 and (found.activations > start.activations)[awake].all()


def test_a_unit_alone_gives_the_same_image_as_among_others_and_the_seed_decides():
    model = conv_net()
    batch = maximize.maximize(model, "deep", steps=10, seed=1)
    alone = maximize.maximize(model, "deep", [2], steps=10, seed=1)
    other = maximize.maximize(model, "deep", [2], steps=10, seed=2)
    np.testing.assert_allclose(alone.images[0], batch.images[2], atol=0.05)
    assert np.abs(other.images - alone.images).max() > 1


def test_regularisers_do_what_they_say():
    model = detector(50 * RNG.normal(size=(48, 48)))  # strong and rough: without a penalty every pixel saturates
    free, smooth, grey = (
        maximize.maximize(model, "unit", steps=40, tv=tv, l2=l2, **STILL).images[0]
        for tv, l2 in ((0.0, 0.0), (200.0, 0.0), (0.0, 500.0))
    )
    assert np.abs(np.diff(smooth)).mean() < 0.5 * np.abs(np.diff(free)).mean()
    assert np.abs(grey - 127.5).mean() < 0.5 * np.abs(free - 127.5).mean()


def test_maco_keeps_the_spectrum_up_to_the_final_squashing():
    faces = np.cumsum(RNG.normal(size=(30, 48, 48, 1)), axis=1)  # smooth in one direction
    spectrum = maximize.mean_spectrum(faces)
    assert spectrum.shape == (48, 25)
    found = maximize.maximize(detector(WAVE), "unit", spectrum=spectrum, steps=5)
    logit = np.log(found.images[0] / (255 - found.images[0]))
    kept = np.abs(np.fft.rfft2(logit))[1:24, 1:24] / spectrum[1:24, 1:24]
    assert kept.std() / kept.mean() < 0.02


conv, pool = layers.Conv2D, layers.MaxPooling2D
FIELDS = {
    "3×3, valid": ([conv(1, 3)], (3, 1, 0)),
    "3×3, same": ([conv(1, 3, padding="same")], (3, 1, -1)),
    "two 3×3": ([conv(1, 3), conv(1, 3)], (5, 1, 0)),
    "stride 2, same: padded at the end alone": ([conv(1, 3, strides=2, padding="same")], (3, 2, 0)),
    "dilation 2": ([conv(1, 3, dilation_rate=2)], (5, 1, 0)),
    "pooling between": ([conv(1, 5, padding="same"), pool(2), conv(1, 5, padding="same")], (14, 2, -6)),
    "A's three": (
        [conv(1, 5, padding="same"), pool(2), conv(1, 5, padding="same"), pool(2), conv(1, 3, padding="same")],
        (24, 4, -10),
    ),
    "even kernel, pooling by 4": ([conv(1, 4, padding="same"), pool(4), conv(1, 3)], (15, 4, -1)),
    "activations and batch norm change nothing": ([conv(1, 3), layers.BatchNormalization(), layers.ReLU()], (3, 1, 0)),
    "dense sees everything": ([conv(1, 3), layers.Flatten(), layers.Dense(2)], (48, 0, 0)),
}


@pytest.mark.parametrize(("chain", "field"), FIELDS.values(), ids=FIELDS)
def test_receptive_fields(chain, field):
    chain = [type(layer).from_config(layer.get_config()) for layer in chain]
    last = [layer for layer in chain if isinstance(layer, layers.Conv2D | layers.Dense)][-1]
    assert fields.receptive_field(network(*chain), last.name) == field


@pytest.mark.parametrize("place", [(8, 12), (20, 31)])
def test_patches_are_found_where_they_were_planted(place):
    """A 6×6 pattern in noise, and a conv filter that is this pattern (behind a pooling that changes nothing)."""
    pattern = RNG.choice([0.0, 200.0], (6, 6))
    images = RNG.uniform(0, 40, (12, 48, 48, 1)).astype(np.float32)
    for n, strength in ((5, 1.0), (9, 0.8)):
        images[n, place[0] : place[0] + 6, place[1] : place[1] + 6, 0] = strength * pattern
    finder = layers.Conv2D(2, 6, padding="same", name="finder")
    model = network(finder)
    kernel = np.stack([pattern - pattern.mean()] * 2, axis=-1)[:, :, None]
    finder.set_weights([kernel, np.zeros(2)])
    found = maximize.top_patches(model, "finder", images, units=[1], top=3)[0]
    assert list(found.images[:2]) == [5, 9]
    np.testing.assert_array_equal(found.patches[0], pattern.astype(np.float32))
    assert found.activations[0] > found.activations[1] > found.activations[2]


def test_patches_beyond_the_edge_are_nan():
    edge = layers.Conv2D(1, 5, padding="same", kernel_initializer="ones", name="edge")
    image = np.zeros((1, 48, 48, 1), np.float32)
    image[0, 0, 0] = 255
    patch = maximize.top_patches(network(edge), "edge", image)[0].patches[0]
    assert np.isnan(patch[:2]).all() and np.isnan(patch[:, :2]).all() and patch[2, 2] == 255


@pytest.mark.parametrize(("layer", "units", "words"), [("conv9", None, "conv, deep, dense"), ("deep", [4], "0 … 3")])
def test_what_does_not_exist_is_named_with_what_does(layer, units, words):
    with pytest.raises(ValueError, match=words):
        maximize.maximize(conv_net(), layer, units, steps=1)


@pytest.mark.parametrize("build", [models.dnn_e, models.cnn_c, lambda: models.cnn_fast(widths=(4, 8))])
def test_every_layer_of_every_kind_of_network_can_be_maximized(build):
    model = build()
    for name in maximize.layer_units(model):
        assert maximize.maximize(model, name, [0], steps=1).images.shape == (1, 48, 48)


# -- stripes -----------------------------------------------------------------------------------------------------------

DOWN, RIGHT = np.mgrid[:48, :48]


def wave(period, angle):
    """Stripes of this period in pixels, their crests at this angle: 0 horizontal, 45 rising to the right."""
    across = np.radians(angle)
    return 128 + 100 * np.sin(2 * np.pi / period * (RIGHT * np.sin(across) + DOWN * np.cos(across)))


@pytest.mark.parametrize("period", [3.0, 5.5, 9.0, 12.0])
@pytest.mark.parametrize("angle", [0, 20, 45, 90, 150])
def test_stripes_have_the_period_and_the_angle_of_their_wave(period, angle):
    found = maximize.stripes(wave(period, angle)[None])
    assert found.periods[0] == pytest.approx(period, rel=0.05)
    assert maximize.between(found.angles[0], angle) < 3 and 0 <= found.angles[0] < 180
    assert found.clear[0] and found.shares[0] > 0.9


def test_crests_at_45_degrees_rise_to_the_right():
    assert wave(8, 45)[10, 20] == pytest.approx(wave(8, 45)[9, 21])  # row 9 is above row 10


def test_noise_and_plaids_have_no_clear_stripes_and_a_flat_image_has_none():
    noise, plaid = RNG.normal(size=(48, 48)), wave(6, 0) + wave(6, 90)
    found = maximize.stripes([noise, plaid, np.full((48, 48), 200.0)])
    assert not found.clear.any() and found.shares[2] == 0
    assert found.periods[1] == pytest.approx(6, rel=0.05) and np.isinf(found.periods[2])


def test_brightness_and_slow_shades_are_no_stripes():
    image = wave(5, 90) + 150 * DOWN / 47  # lighter towards the bottom
    assert maximize.stripes(image[None]).periods[0] == pytest.approx(5, rel=0.05)


def test_a_kernel_that_measures_brightness_has_no_period_and_one_of_edges_has():
    kernels = np.stack([np.ones((5, 5)), np.tile([1.0, 0, -1, 0, 1], (5, 1))])
    found = maximize.stripes(kernels, window=False)
    assert np.isinf(found.periods[0]) and found.periods[1] == pytest.approx(4, rel=0.15)
    assert found.angles[1] == pytest.approx(90, abs=1)


def test_the_image_of_a_filter_has_the_stripes_of_its_kernel():
    conv = layers.Conv2D(1, 7, padding="same", use_bias=False, name="conv")
    model, kernel = network(layers.Rescaling(1 / 255, offset=-0.5), conv), wave(5, 30)[:7, :7] - 128
    conv.set_weights([kernel[..., None, None].astype(np.float32) / 1000])
    made = maximize.stripes(maximize.maximize(model, "conv", steps=60, tv=0.0).images)
    of_kernel = maximize.stripes(kernel[None], window=False)
    assert maximize.between(made.angles, of_kernel.angles)[0] < 10 and made.clear[0]
    assert made.periods[0] == pytest.approx(of_kernel.periods[0], rel=0.2)


def test_directions_differ_by_90_degrees_at_most():
    assert maximize.between([175, 0, 10], [5, 90, 40]).tolist() == [10, 90, 30]
