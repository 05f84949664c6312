"""What every figure must hold, whoever draws it."""

import io
import warnings

from fer_utils import plots


def words(figure):
    """All texts of a matplotlib Figure."""
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def check(figure, axes, expected):
    """So many axes, these words, the report's width, nothing beyond the edge, and no letter that no font has."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a letter that no font has, a layout that collapses
        figure.savefig(io.BytesIO(), format="png")
    assert len(figure.axes) == axes
    assert [word for word in expected if word not in words(figure)] == []
    assert figure.get_figwidth() == plots.WIDTH
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert box.x0 > -0.02 and box.y0 > -0.02 and box.x1 < width + 0.02 and box.y1 < height + 0.02
