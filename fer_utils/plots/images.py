"""Rows of images: faces, versions of an image, copies, mean faces, maximized units, weights."""

import numpy as np

from fer_utils.plots import style
from fer_utils.words import number, words


@style.applied
def plot_images(images, titles=None, columns=10):
    """Plot images in rows.

    Args:
        images: (n, 48, 48, 1) or (n, 48, 48) grey levels 0…255.
        titles: n short strings, or None.
    """
    rows = -(-len(images) // columns)
    figure = style.new_figure(rows * (style.WIDTH / columns + (0.16 if titles else 0.02)))
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, image, title in zip(axes.flat, images, titles or [None] * len(images), strict=False):
        style.show(axis, image, title)
    return figure


@style.applied
def plot_image_rows(rows, titles=None):
    """Plot rows of images, such as versions of the same ones, with the name of each row on the left.

    Args:
        rows: dict of name -> (n, 48, 48, 1) or (n, 48, 48) grey levels 0…255; n <= 10 or so.
        titles: dict of name -> n strings above the images of a row, one line or two; None: no titles.
    """
    columns, titles = max(map(len, rows.values())), titles or {}
    lines = sum(max((title.count("\n") + 1 for title in of_row), default=0) for of_row in titles.values())
    height = len(rows) * (style.WIDTH - 1.2) / columns + 0.16 * lines
    figure, axes = style.new_grid(height, len(rows), columns)
    if titles:
        figure.get_layout_engine().set(h_pad=0.025)  # a title keeps its distance from the image above
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        heads = titles.get(name, [None] * len(images))
        for axis, image, head in zip(line, images, heads, strict=False):
            style.show(axis, image, head)
        style.row_label(line[0], name)
        line[0].spines[:].set_visible(False)
    return figure


@style.applied
def plot_pairs(rows):
    """Plot pairs of images, one kind of pair per row with its name on the left.

    Args:
        rows: dict of name -> (images, titles): (k, 2, 48, 48, 1) grey levels 0…255 and k × 2 short strings; k <= 6.
    """
    most = max(3, *(len(images) for images, _ in rows.values()))  # fewer would stand far apart
    ratios = ([1, 1, 0.18] * most)[:-1]  # a gap between pairs
    height = (style.WIDTH - 0.9) / sum(ratios) + 0.33
    figure, axes = style.new_grid(len(rows) * height + 0.05, len(rows), len(ratios), width_ratios=ratios)
    for line, (name, (images, titles)) in zip(axes, rows.items(), strict=True):
        used, heads = np.delete(line, np.s_[2::3])[: 2 * len(images)], [title for pair in titles for title in pair]
        for axis, image, title in zip(used, np.concatenate(images), heads, strict=True):
            style.show(axis, image)
            style.small_title(axis, title)
        for axis in set(line) - set(used):
            axis.remove()
        style.row_name(line[0], name)
    return figure


@style.applied
def plot_maximized(rows, heads=None):
    """Plot images that excite units, such as those of several methods of maximization, above their activations.

    Args:
        rows: dict of name -> (images, activations): (n, 48, 48) grey levels 0…255 and (n,) floats.
        heads: n short strings above the columns, or None.
    """
    columns = max(len(images) for images, _ in rows.values())
    height = (style.WIDTH - 1.1) / columns + 0.17
    figure, axes = style.new_grid(len(rows) * height + 0.2, len(rows), columns)
    for line, (name, (images, activations)) in zip(axes, rows.items(), strict=True):
        _show_activations(line, name, images, activations)
    for axis, head in zip(axes[0], heads or [], strict=False):
        style.small_title(axis, head)
    return figure


@style.applied
def plot_layers(rows, kernels=None, columns=10):
    """Plot images that excite units, one layer per row, each above its activation.

    Args:
        rows: dict of layer -> (images, activations) as for `plot_maximized`; the first `columns` are shown.
        kernels: (n, height, width) weights of the first row's units, in a row above it; or None.
    """
    side, has = (style.WIDTH - 1.0) / columns, int(kernels is not None)
    ratios = [side] * has + [side + 0.17] * len(rows)
    figure, axes = style.new_grid(sum(ratios) + 0.06, len(ratios), columns, height_ratios=ratios)
    if has:
        top = np.abs(kernels).max()
        for axis, kernel in zip(axes[0], kernels, strict=False):
            _show_weights(axis, kernel, top)
        style.row_name(axes[0, 0], words("kernels\n(±{largest:.2g})", largest=top))
    for line, (name, (images, activations)) in zip(axes[has:], rows.items(), strict=True):
        _show_activations(line, name, images, activations)
    return figure


@style.applied
def plot_stages(layers, heads):
    """Plot the images of the same units at several stages: a row per stage, a group of columns per layer.

    Args:
        layers: dict of layer -> dict of stage -> (images, activations) as for `plot_maximized`; the same stages in all.
        heads: dict of layer -> short strings above its columns, as many as are shown.
    """
    ratios = [ratio for names in heads.values() for ratio in [1] * len(names) + [0.3]][:-1]  # gaps between groups
    stages = list(next(iter(layers.values())))
    height = (style.WIDTH - 0.8) / sum(ratios) + 0.17
    figure, axes = style.new_grid(len(stages) * height + 0.33, len(stages), len(ratios), width_ratios=ratios)
    start = 0
    for layer, names in heads.items():
        group = axes[:, start : start + len(names)]
        for line, stage in zip(group, stages, strict=True):
            images, activations = (few[: len(names)] for few in layers[layer][stage])
            _show_activations(line, "" if start else stage, images, activations, _in_short)
        for axis, name in zip(group[0], names, strict=True):
            style.small_title(axis, name)
        style.group_name(group[0, 0], layer)
        start += len(names) + 1
    style.leave_headroom(figure)
    return figure


@style.applied
def plot_maximized_and_patches(rows):
    """Plot a unit's synthetic image beside the real patches that excite it most, one unit per row.

    Args:
        rows: dict of name -> (image, activation, patches, activations): (48, 48) and a float for the synthetic image,
            (top, size, size) and (top,) for the real ones. Grey levels 0…255; NaN (beyond the image) stays white.
    """
    ratios = [1, 0.3] + [1] * max(len(patches) for _, _, patches, _ in rows.values())  # a gap before the patches
    height = (style.WIDTH - 0.8) / (len(ratios) - 0.5) + 0.18
    figure, axes = style.new_grid(len(rows) * height + 0.16, len(rows), len(ratios), width_ratios=ratios)
    for line, (name, (image, activation, patches, activations)) in zip(axes, rows.items(), strict=True):
        _show_activations(np.delete(line, 1), name, [image, *patches], [activation, *activations])
    style.small_title(axes[0, 0], words("synthetic"))
    axes[0, 2].set_title(words("real, the strongest first"), fontsize=style.SMALL, pad=2)
    return figure


def _in_short(value):
    """Write a number so that it is no wider than a small image."""
    size = abs(value)
    return number(value, ".0f" if size >= 10 else ".2g" if size >= 1e-3 or not size else ".0e")


def _show_activations(line, name, images, activations, say=lambda value: number(value, ".3g")):
    """Show a named row of images, each framed (it may be as white as the page) and with its activation below."""
    for axis, image, activation in zip(line, images, activations, strict=False):
        style.show(axis, image)
        style.frame(axis, width=0.4)
        place = {"transform": axis.transAxes, "ha": "center", "va": "top"}
        axis.text(0.5, -0.03, say(activation), fontsize=style.SMALL, color=style.INK, **place)
    style.row_name(line[0], name)


@style.applied
def plot_weights(rows):
    """Plot first-layer weights as images: red positive, blue negative, white 0; one scale per row.

    Args:
        rows: dict of name -> (n, height, width) floats; up to ten per row.
    """
    columns = max(len(kernels) for kernels in rows.values())
    figure = style.new_figure(len(rows) * (style.WIDTH / columns + 0.22))
    for part, (name, kernels) in zip(np.atleast_1d(figure.subfigures(len(rows))), rows.items(), strict=True):
        largest = np.abs(kernels).max()
        part.suptitle(words("{name}  (±{largest:.2g})", name=name, largest=largest), x=0, ha="left", size=8)
        axes = part.subplots(1, columns, squeeze=False)[0]
        for axis in axes:
            axis.set_axis_off()
        for axis, kernel in zip(axes, kernels, strict=False):
            _show_weights(axis, kernel, largest)
    return figure


def _show_weights(axis, kernel, largest):
    axis.imshow(kernel, cmap="RdBu_r", vmin=-largest, vmax=largest, **style.AS_IT_IS)
