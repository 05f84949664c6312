"""The figure of an architecture."""

import figures
import pytest

from fer_utils.plots import style
from fer_utils.plots.architecture import MOST, plot_architecture

IMAGES = {"name": "images", "kind": "input", "says": ["grey image"], "output": (48, 48, 1), "parameters": 0}
CONV = {
    "name": "conv2d_1",
    "kind": "conv",
    "says": ["3×3 conv, 512", "ReLU"],
    "output": (6, 6, 512),
    "parameters": 2000,
}
LOGITS = {"name": "logits", "kind": "dense", "says": ["dense, 7"], "output": (7,), "parameters": 49}
ODD = CONV | {"kind": "weights", "says": ["MultiHeadAttentionOfSomeone"] * 12}

FIGURES = {
    "one block": ([IMAGES], ["images", "48×48×1"]),
    "one row": ([IMAGES, CONV, LOGITS], ["3×3 conv, 512", "6×6×512", "2,000", "49"]),
    "rows": ([IMAGES, *[CONV] * 12, LOGITS], ["logits"]),
    "wide": ([IMAGES, *[ODD] * 5, LOGITS], ["MultiHeadAttentionOfSomeone"]),
    "very many": ([IMAGES, *[CONV] * 100, LOGITS], ["71 more blocks", "images", "logits"]),
}


@pytest.mark.parametrize(("blocks", "expected"), FIGURES.values(), ids=FIGURES)
def test_figure(blocks, expected):
    figures.check(lambda: plot_architecture(blocks), 1, expected)


@pytest.mark.parametrize("blocks", [blocks for blocks, _ in FIGURES.values()], ids=FIGURES)
def test_texts_are_legible_and_within_their_boxes(blocks):
    figure = plot_architecture(blocks)
    (axis,) = figure.axes
    figure.draw_without_rendering()
    boxes = [patch.get_window_extent() for patch in axis.patches if not patch.get_label().startswith("_arrow")]
    assert len(axis.texts) and min(text.get_fontsize() for text in axis.texts if text.get_text()) >= style.SMALL
    said = {line for block in blocks for line in block["says"]}
    for text in axis.texts:
        if text.get_text() in said:
            one = text.get_window_extent()
            assert any(box.x0 <= one.x0 and one.x1 <= box.x1 and box.y0 <= one.y0 and one.y1 <= box.y1 for box in boxes)


def test_a_long_network_keeps_both_ends():
    names = [f"conv_{i}" for i in range(100)]
    drawn = figures.words(plot_architecture([CONV | {"name": name} for name in names]))
    shown = [name for name in names if name in drawn]
    assert len(shown) == MOST - 1 and shown[0] == names[0] and shown[-1] == names[-1]
