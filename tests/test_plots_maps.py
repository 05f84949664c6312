"""Figures of maps and activations: what is drawn, at which scale, beside which image."""

import itertools

import figures
import numpy as np
import pytest

from fer_utils import metrics
from fer_utils.labels import CLASSES
from fer_utils.plots.maps import (
    plot_class_maps,
    plot_dense_outputs,
    plot_feature_maps,
    plot_map_rows,
    plot_receptive_fields,
    plot_region_shares,
    plot_saliency,
    scale_top,
)

RNG = np.random.default_rng(0)
FACES = RNG.integers(0, 255, (3, 48, 48, 1), dtype=np.uint8)
MAPS = {"occlusion": RNG.normal(size=(3, 48, 48)), "guided backprop": 10 * RNG.random((3, 48, 48))}
PANELS = {
    part: {name: metrics.Estimate(0.2 + shift, 0.1, 0.3 + shift, 35) for name in MAPS}
    for part, shift in (("eyes", 0.0), ("mouth", 0.1))
}
AREA = {"eyes": 0.05, "mouth": 0.08}
FEATURES = {"conv2d_1": RNG.random((48, 48, 6)), "conv2d_2": 3 * RNG.random((12, 12, 5))}
CHOSEN = {"conv2d_1": ([0, 4, 2], [5, 1, 3]), "conv2d_2": ([1, 2], [0, 3])}
FIELDS = {"conv2d_1": (22, 22, 5), "conv2d_2": (-4, -4, 60)}
HEATS = dict.fromkeys(FIELDS, RNG.random((48, 48)))
CORES = {"conv2d_1": (22, 22, 4), "conv2d_2": (10, 9, 30)}
UNITS, DEAD = np.array([0.0, 4.0, 0.0, 1.0]), np.array([True, False, False, False])
LOGITS, PROBS = np.array([-1.5, 0, 0, 2, 0, 0, 0.25]), RNG.dirichlet(np.ones(7))


def saliency():
    return plot_saliency(FACES, MAPS, CLASSES[:3])


def class_maps():
    return plot_class_maps(FACES, *MAPS.values(), CLASSES[:3])


def map_rows(one_scale=False):
    return plot_map_rows(FACES, MAPS, CLASSES[:3], one_scale)


def region_shares():
    return plot_region_shares(PANELS, AREA)


def feature_maps():
    return plot_feature_maps(FACES[0], FEATURES, CHOSEN)


def receptive_fields():
    return plot_receptive_fields(FACES[0], FIELDS, HEATS, CORES)


def dense_outputs(dead=DEAD):
    return plot_dense_outputs(UNITS, dead, LOGITS, PROBS, 3)


# name: (figure, number of axes, words that must be on it)
FIGURES = {
    "saliency": (saliency, 3 * 3, ["Angry", "guided\nbackprop\n0–10"]),
    "class maps": (class_maps, 4 * 3, [*CLASSES[:3], "image", "top fifth", "mean map\n0–10"]),
    "map rows": (map_rows, 3 * 3, [*CLASSES[:3], "guided backprop\n0–10"]),
    "region shares": (region_shares, 2, ["eyes  (area 5.0\u00a0%)", "mouth  (area 8.0\u00a0%)", *MAPS]),
    "feature maps": (
        feature_maps,
        2 * 9,  # the image, a gap, three strongest, a gap, three weakest
        ["conv2d_1\n48×48", "conv2d_2\n12×12", "4", "strongest", "weakest", "0–1", "0–3"],
    ),
    "receptive fields": (
        receptive_fields,
        3,
        ["conv2d_1\nfield 5, core 4", "conv2d_2\nfield 60, core 30", "5", "60"],
    ),
    "dense outputs": (dense_outputs, 3, [*CLASSES, "dead: 1", "−1.50", "logits", "probabilities"]),
    "dense outputs, none dead": (lambda: dense_outputs(np.zeros(4, bool)), 3, ["2.00"]),
}


@pytest.mark.parametrize(("draw", "axes", "expected"), FIGURES.values(), ids=FIGURES)
def test_figure(draw, axes, expected):
    figures.check(draw, axes, expected)


# -- saliency maps -----------------------------------------------------------------------------------------------------


def scale(axis):
    return axis.images[-1].get_clim()


def test_maps_of_a_method_share_one_scale_and_lie_in_its_column():
    axes = np.reshape(saliency().axes, (3, 3))
    for column, maps in zip(axes.T[1:], MAPS.values(), strict=False):
        assert [scale(axis) for axis in column] == [(0, scale_top(maps))] * 3
        for axis, one in zip(column, maps, strict=True):
            np.testing.assert_array_equal(axis.images[0].get_array(), one)


def test_the_masked_image_keeps_the_fifth_of_the_pixels_that_count_most():
    axes = np.reshape(class_maps().axes, (4, 3))
    for axis, face, one in zip(axes[2], FACES[..., 0], MAPS["occlusion"], strict=True):
        masked, kept = axis.images[0].get_array(), one >= np.quantile(one, 0.8)
        np.testing.assert_array_equal(masked[kept], face[kept])
        assert (masked[~kept] == 255).all()


def test_a_scale_ends_where_one_pixel_in_two_hundred_lies_above_it():
    assert scale_top(np.arange(1001.0)) == pytest.approx(995)
    assert scale_top(np.zeros((2, 48, 48))) > 0  # a scale from 0 to 0 has no colours


@pytest.mark.parametrize("one_scale", [False, True])
def test_rows_have_their_own_scale_or_all_the_same(one_scale):
    tops = [scale_top(maps) for maps in MAPS.values()]
    rows = np.reshape(map_rows(one_scale).axes, (3, 3))[1:]
    expected = [max(tops)] * 2 if one_scale else tops
    assert [[scale(axis) for axis in row] for row in rows] == [[(0, top)] * 3 for top in expected]


def test_shares_are_dots_on_their_intervals_with_a_line_at_the_area():
    for axis, (part, estimates) in zip(region_shares().axes, PANELS.items(), strict=True):
        *drawn, area = [line.get_xdata() for line in axis.get_lines()]
        intervals, dots = [list(xs) for xs in drawn[::2]], [list(xs) for xs in drawn[1::2]]
        assert intervals == [[e.low, e.high] for e in estimates.values()]
        assert dots == [[e.value] for e in estimates.values()]
        assert list(area) == [AREA[part]] * 2


# -- what the layers make of one image ---------------------------------------------------------------------------------


def test_maps_of_a_group_share_one_scale_from_0_on():
    row = feature_maps().axes[9:]
    shown = [axis for axis in row[1:] if axis.images]
    assert [axis.get_title(loc="center") for axis in shown] == ["1", "2", "0", "3"]
    for axes, channels in ((shown[:2], [1, 2]), (shown[2:], [0, 3])):
        assert [scale(axis) for axis in axes] == [(0, FEATURES["conv2d_2"][..., channels].max())] * 2


def test_the_image_stands_beside_its_maps_as_coarse_as_they_are():
    coarse = feature_maps().axes[9].images[0].get_array()
    np.testing.assert_allclose(coarse, FACES[0].reshape(12, 4, 12, 4).mean(axis=(1, 3)), atol=1)


def test_squares_end_where_the_image_ends():
    first, _, last = receptive_fields().axes
    corners = [(box.get_x(), box.get_y(), box.get_width()) for box in first.patches]
    assert corners == [(21.5, 21.5, 5), (-0.5, -0.5, 48)]
    assert [(box.get_x(), box.get_y(), box.get_width()) for box in last.patches] == [(-0.5, -0.5, 48), (8.5, 9.5, 30)]


def test_dead_units_stand_last_and_are_shaded():
    bars, shade = dense_outputs().axes[0].patches
    assert bars.get_data().values.tolist() == [4, 1, 0, 0]
    assert (shade.get_x(), shade.get_width()) == (3, 1)


def test_long_names_of_layers_do_not_run_into_each_other():
    names = [f"separable_conv2d_{n}" for n in range(10, 17)]
    place, heat = dict.fromkeys(names, (10, 10, 20)), dict.fromkeys(names, np.ones((48, 48)))
    figure = plot_receptive_fields(FACES[0], place, heat, place)
    figure.draw_without_rendering()
    titles = [axis.title.get_window_extent() for axis in figure.axes[1:]]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(titles))
