"""Figures of images in rows, and figures by class."""

import itertools

import figures
import numpy as np
import pytest

from fer_utils import metrics
from fer_utils.labels import CLASSES
from fer_utils.plots.classes import plot_confusion, plot_vote_shares
from fer_utils.plots.images import (
    plot_image_rows,
    plot_images,
    plot_layers,
    plot_maximized,
    plot_maximized_and_patches,
    plot_pairs,
    plot_stages,
    plot_weights,
)

RNG = np.random.default_rng(0)
FACES = RNG.integers(0, 255, (8, 48, 48, 1), dtype=np.uint8)
PAIRS = FACES.reshape(4, 2, 48, 48, 1)
TITLES = [["Angry\ntrain", "Sad\npublic"]] * 4
SYNTHETIC = RNG.uniform(0, 255, (7, 48, 48))
MAXIMIZED = {"pixels": (SYNTHETIC, np.arange(7) - 3.25), "real faces": (SYNTHETIC, np.arange(7) + 0.125)}
PATCHES = RNG.uniform(0, 255, (9, 14, 14))
PATCHES[0, :3] = np.nan
UNITS = {f"unit {n}": (np.zeros((48, 48)), 5.5, PATCHES, np.linspace(3, 1, 9)) for n in range(3)}
LAYERS = {"conv2d_1": MAXIMIZED["pixels"], "dense_1": MAXIMIZED["real faces"]}
STAGES = {
    name: {"untrained": (SYNTHETIC, np.full(7, -2e-4)), "trained": (SYNTHETIC, np.arange(7) * 117.3)}
    for name in ("conv2d_1", "separable_conv2d_12", "logits")
}
HEADS = {"conv2d_1": ["42", "7", "10"], "separable_conv2d_12": ["0", "1"], "logits": CLASSES[:4]}
KERNELS = {"filters": RNG.normal(size=(4, 5, 5)), "units": RNG.normal(size=(9, 48, 48))}

ANSWERS = [*CLASSES, "contempt", "unknown", "no face", "tie"]
LABELS = RNG.choice(7, 400)
PROBS = RNG.dirichlet(np.ones(7), 400)
CONFUSION = metrics.confusion(LABELS, PROBS)


def few_pairs():
    return plot_pairs({"a": (PAIRS[:1], TITLES[:1]), "b": (PAIRS[:2], TITLES[:2])})


# name: (figure, number of axes, words that must be on it)
FIGURES = {
    "images": (lambda: plot_images(FACES, [*CLASSES, None], columns=8), 8, CLASSES),
    "image rows": (lambda: plot_image_rows({"as it is": FACES, "all": FACES}), 16, ["as it is", "all"]),
    "image rows, titled": (lambda: plot_image_rows({"a": FACES}, {"a": [*CLASSES, "Sad\n→ Fear"]}), 8, ["a", *CLASSES]),
    "pairs": (lambda: plot_pairs({"equal": (PAIRS, TITLES)}), 8, ["equal", TITLES[0][1]]),
    "pairs, few": (few_pairs, 6, ["a", "b"]),
    "maximized": (
        lambda: plot_maximized(MAXIMIZED, CLASSES),
        14,
        ["pixels", "real faces", "−3.25", "2.12", *CLASSES],
    ),
    "layers": (lambda: plot_layers(LAYERS, columns=8), 16, ["conv2d_1", "dense_1", "−3.25", "6.12"]),
    "layers under kernels": (
        lambda: plot_layers(LAYERS, KERNELS["units"], columns=5),
        15,
        [f"kernels\n(±{np.abs(KERNELS['units']).max():.2g})", "−2.25"],
    ),
    "stages": (lambda: plot_stages(STAGES, HEADS), 22, [*STAGES, "untrained", "trained", "42", "−2×10⁻⁴", "117", "0"]),
    "maximized and patches": (
        lambda: plot_maximized_and_patches(UNITS),
        33,
        ["unit 0", "unit 2", "5.5", "3", "1", "synthetic"],
    ),
    "weights": (lambda: plot_weights(KERNELS), 18, [f"filters  (±{np.abs(KERNELS['filters']).max():.2g})"]),
    "confusion": (lambda: plot_confusion(CONFUSION), 1, [CLASSES[0], "predicted"]),
    "confusion, framed": (lambda: plot_confusion(CONFUSION, [(0, 6), (6, 0)]), 1, [*CLASSES]),
    "vote shares": (lambda: plot_vote_shares(np.eye(7, 11, dtype=int), ANSWERS), 1, [*ANSWERS, "100\u00a0%"]),
}


@pytest.mark.parametrize(("draw", "axes", "expected"), FIGURES.values(), ids=FIGURES)
def test_figure(draw, axes, expected):
    figures.check(draw, axes, expected)


# -- images ------------------------------------------------------------------------------------------------------------


def test_images_keep_their_grey_levels():
    """A dark image is drawn dark: the greys are not stretched."""
    for figure in (plot_image_rows({"dark": FACES // 4}), plot_maximized({"dark": (SYNTHETIC / 4, np.ones(7))})):
        assert all(axis.images[0].get_clim() == (0, 255) for axis in figure.axes)


def test_rows_may_have_different_lengths():
    figure = plot_image_rows({"all": FACES, "three": FACES[:3]})
    assert [len(axis.images) for axis in figure.axes] == [1] * 11 + [0] * 5


def test_the_synthetic_image_stands_before_the_real_patches():
    figure = plot_maximized_and_patches(UNITS)
    assert [len(axis.images[0].get_array()) for axis in figure.axes if axis.images] == ([48] + [14] * 9) * 3


def test_weights_of_a_row_share_one_scale():
    axes = plot_weights(KERNELS).axes
    limits = [axis.images[0].get_clim() if axis.images else None for axis in axes]
    largest = {name: np.abs(kernels).max() for name, kernels in KERNELS.items()}
    assert limits[:4] == [(-largest["filters"], largest["filters"])] * 4 and limits[4:9] == [None] * 5
    assert limits[9:] == [(-largest["units"], largest["units"])] * 9
    assert len({round(axis.get_position().width, 6) for axis in axes}) == 1  # a long title widens no column


def test_a_unit_keeps_its_column_from_kernel_to_image_and_from_stage_to_stage():
    kernels, first, _ = np.reshape(plot_layers(LAYERS, KERNELS["units"], columns=5).axes, (3, 5))
    for number, (kernel, image) in enumerate(zip(kernels, first, strict=True)):
        np.testing.assert_array_equal(kernel.images[0].get_array(), KERNELS["units"][number])
        np.testing.assert_array_equal(image.images[0].get_array(), SYNTHETIC[number])
    untrained, trained = np.reshape(plot_stages(STAGES, HEADS).axes, (2, 11))
    shown = [bool(axis.images) for axis in untrained]
    assert shown == [True] * 3 + [False] + [True] * 2 + [False] + [True] * 4
    assert shown == [bool(axis.images) for axis in trained]


# -- classes -----------------------------------------------------------------------------------------------------------


def test_the_frames_are_around_the_cells_that_are_discussed():
    matrix = plot_confusion(CONFUSION, [(2, 4), (5, 0)]).axes[0]
    assert [patch.get_xy() for patch in matrix.patches] == [(4, 2), (0, 5)]  # x the predicted class, y the true one


def test_class_names_stand_upright_and_do_not_touch():
    for figure in (plot_confusion(CONFUSION), plot_vote_shares(np.eye(7, 11, dtype=int), ANSWERS)):
        figure.draw_without_rendering()
        labels = figure.axes[0].get_xticklabels()
        assert {label.get_rotation() for label in labels} == {0}
        boxes = [label.get_window_extent() for label in labels]
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
