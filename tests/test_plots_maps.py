"""Figures of maps: what is drawn, at which scale, beside which picture."""

import figures
import numpy as np
import pytest

from fer_utils import metrics, plots
from fer_utils.labels import BILINGUAL
from fer_utils.plots.maps import top_of

RNG = np.random.default_rng(0)
FACES = RNG.integers(0, 255, (3, 48, 48, 1), dtype=np.uint8)
MAPS = {"occlusion": RNG.normal(size=(3, 48, 48)), "guided backprop": 10 * RNG.random((3, 48, 48))}
PANELS = {
    part: {name: metrics.Estimate(0.2 + shift, 0.1, 0.3 + shift, 35) for name in MAPS}
    for part, shift in (("eyes 眼", 0.0), ("mouth 嘴", 0.1))
}
AREA = {"eyes 眼": 0.05, "mouth 嘴": 0.08}


def saliency():
    return plots.saliency(FACES, MAPS, BILINGUAL[:3])


def map_rows(one_scale=False):
    return plots.map_rows(FACES, MAPS, BILINGUAL[:3], one_scale)


def region_shares():
    return plots.region_shares(PANELS, AREA)


def scale(axis):
    return axis.images[-1].get_clim()


# name: (figure, number of axes, words that must be on it)
FIGURES = {
    "saliency": (saliency, 3 * 5, ["Angry\n生氣", "picture", "guided\nbackprop\n0–10", "occlusion,\noverlaid"]),
    "map rows": (map_rows, 3 * 3, [*BILINGUAL[:3], "guided backprop\n0–10"]),
    "region shares": (region_shares, 2, ["eyes 眼  (area 5.0%)", "mouth 嘴  (area 8.0%)", *MAPS]),
}


@pytest.mark.parametrize(("draw", "axes", "expected"), FIGURES.values(), ids=FIGURES)
def test_figure(draw, axes, expected):
    figures.check(draw(), axes, expected)


def test_maps_of_a_method_share_one_scale_and_lie_in_its_column():
    axes = np.reshape(saliency().axes, (3, 5))
    for column, maps in zip(axes.T[1:], MAPS.values(), strict=False):
        assert [scale(axis) for axis in column] == [(0, top_of(maps))] * 3
        for axis, one in zip(column, maps, strict=True):
            np.testing.assert_array_equal(axis.images[0].get_array(), one)


def test_the_masked_picture_keeps_the_fifth_that_the_first_method_finds_most_important():
    axes = np.reshape(saliency().axes, (3, 5))
    for axis, face, one in zip(axes[:, -1], FACES[..., 0], MAPS["occlusion"], strict=True):
        masked, kept = axis.images[0].get_array(), one >= np.quantile(one, 0.8)
        np.testing.assert_array_equal(masked[kept], face[kept])
        assert (masked[~kept] == 255).all()


def test_a_scale_ends_where_one_pixel_in_two_hundred_lies_above_it():
    assert top_of(np.arange(1001.0)) == pytest.approx(995)
    assert top_of(np.zeros((2, 48, 48))) > 0  # a scale from 0 to 0 has no colours


@pytest.mark.parametrize("one_scale", [False, True])
def test_rows_have_their_own_scale_or_all_the_same(one_scale):
    tops = [top_of(maps) for maps in MAPS.values()]
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
