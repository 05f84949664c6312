"""What units want to see: synthetic and real pictures with their activations."""

import numpy as np

from fer_utils.plots.style import INK, QUIET, WIDTH, close_up, new_figure, row_name, show


def wished(rows, heads=None):
    """Pictures in rows, such as the ways of maximising the same units; the activation stands under each picture.

    Args:
        rows: dict of name -> (images, activations): (n, 48, 48) grey levels 0…255 and (n,) floats.
        heads: n short strings above the columns, or None.
    """
    columns = max(len(images) for images, _ in rows.values())
    figure = new_figure(len(rows) * ((WIDTH - 1.1) / columns + 0.14) + 0.2)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for line, (name, (images, activations)) in zip(axes, rows.items(), strict=True):
        for axis, image, activation in zip(line, images, activations, strict=False):
            show(axis, image)
            under(axis, activation)
        row_name(line[0], name)
    for axis, head in zip(axes[0], heads or [], strict=False):
        axis.set_title(head, fontsize=6.5, loc="center", pad=2)
    close_up(figure)
    return figure


def wished_and_found(rows):
    """A unit's synthetic picture beside the real patches that excite it most, a row a unit, with activations.

    Args:
        rows: dict of name -> (image, activation, patches, activations): (48, 48) and a float of the synthetic picture,
            (top, size, size) and (top,) of the real ones. Grey levels 0…255; NaN (beyond the picture) stays white.
    """
    columns = 1 + max(len(found) for _, _, found, _ in rows.values())
    side = (WIDTH - 0.8) / (columns + 0.5)
    figure = new_figure(len(rows) * (side + 0.16) + 0.16)
    axes = figure.subplots(len(rows), columns + 1, squeeze=False, width_ratios=[1, 0.3] + [1] * (columns - 1))
    for axis in axes.flat:
        axis.set_axis_off()
    for line, (name, (image, activation, found, activations)) in zip(axes, rows.items(), strict=True):
        pictures, values = [image, *found], [activation, *activations]
        for axis, picture, value in zip(np.delete(line, 1), pictures, values, strict=False):
            show(axis, picture)
            under(axis, value)
        row_name(line[0], name)
    axes[0, 0].set_title("synthetic", fontsize=6.5, loc="center", pad=2)
    axes[0, 2].set_title("real, the strongest first", fontsize=6.5, loc="left", pad=2)
    close_up(figure)
    return figure


def under(axis, activation):
    """The activation under a picture, and a thin frame: a picture may be as white as the page."""
    axis.set_axis_on()
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set(visible=True, color=QUIET, linewidth=0.4)
    place = {"transform": axis.transAxes, "ha": "center", "va": "top", "fontsize": 5.5, "color": INK}
    axis.text(0.5, -0.03, f"{activation:.3g}".replace("-", "−"), **place)
