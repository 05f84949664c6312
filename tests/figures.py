"""What every figure must satisfy, whatever it shows."""

import io
import warnings

import matplotlib.style
from matplotlib.text import Text

from fer_utils.plots.style import WIDTH

TEXT_WIDTH, TEXT_HEIGHT = (21 - 2 * 2.2) / 2.54, (29.7 - 2.3 - 2.1) / 2.54  # inches, of the report: kit.typ, `margin`
# A user's own style that differs from the kit's wherever it can.
USERS_STYLE = ["classic", "dark_background", {"font.size": 20, "font.family": "serif", "savefig.facecolor": "black"}]


def words(figure):
    """Return all texts of a figure."""
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def svg(figure):
    """Return the bytes of a figure as the report saves it."""
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def smallest_letters(figure):
    """Return the size in points of the smallest letters of a figure on the page, where it is as wide as the text."""
    width, height = figure.get_size_inches()
    scale = min(1, TEXT_WIDTH / width, 0.82 * TEXT_HEIGHT / height)
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return min((text.get_fontsize() * scale for text in texts), default=10)


def check(draw, axes, expected):
    """Check the figure that `draw` returns.

    It has so many axes, these words and the report's width; nothing lies beyond its edge, its fonts have all letters,
    its letters are legible at the width of the text, and its bytes are the same whatever style the user has chosen.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a letter that no font has, a layout that collapses
        figure = draw()
        saved = svg(figure)
    assert len(figure.axes) == axes
    assert [word for word in expected if word not in words(figure)] == []
    assert figure.get_figwidth() == WIDTH
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert box.x0 > -0.02 and box.y0 > -0.02 and box.x1 < width + 0.02 and box.y1 < height + 0.02
    assert smallest_letters(figure) >= 7
    with matplotlib.style.context(USERS_STYLE):
        assert svg(draw()) == saved
