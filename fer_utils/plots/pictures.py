"""Plain pictures in rows."""

from fer_utils.plots.style import WIDTH, close_up, new_figure, show


def grid(images, titles=None, columns=10):
    """Pictures in rows.

    Args:
        images: (n, 48, 48, 1) or (n, 48, 48) grey levels 0…255. titles: n short strings, or None.
    """
    rows = -(-len(images) // columns)
    side = WIDTH / columns
    figure = new_figure(rows * (side + (0.16 if titles else 0.02)))
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, image, title in zip(axes.flat, images, titles or [None] * len(images), strict=False):
        show(axis, image, title)
    return figure


def picture_rows(rows):
    """The same pictures in several versions, a row a version, its name on the left.

    Args:
        rows: dict of name -> (n, 48, 48, 1) or (n, 48, 48) grey levels 0…255; n <= 10 or so.
    """
    columns = max(map(len, rows.values()))
    figure = new_figure(len(rows) * (WIDTH - 1.2) / columns)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        for axis, image in zip(line, images, strict=True):
            show(axis, image)
        line[0].set_axis_on()
        line[0].set(xticks=[], yticks=[])
        line[0].spines[:].set_visible(False)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=7)
    close_up(figure)
    return figure
