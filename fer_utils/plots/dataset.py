"""The data themselves: how many of each class, mean faces, copies side by side, and people's votes."""

import numpy as np

from fer_utils.plots.classes import share_bars, share_map
from fer_utils.plots.style import WIDTH, close_up, frame, new_figure, row_label, row_name, show


def class_counts(counts):
    """What each class weighs in each split, a bar a split.

    Args:
        counts: dict of split -> (7,) ints.
    """
    shares = {f"{split} (n = {values.sum():,})": values / values.sum() for split, values in counts.items()}
    return share_bars(shares, of="split", height=2.5, legend="lower right")


def mean_faces(means, overall, titles):
    """Mean pictures, and below them how they differ from the mean of all; each row has one scale, told on the left.

    Args:
        means: (n, 48, 48) grey levels 0…255. overall: (48, 48). titles: n short strings.
    """
    differences = means - overall
    largest = np.abs(differences).max()
    figure = new_figure(2 * (WIDTH - 0.9) / len(means) + 0.35)
    means_line, differences_line = figure.subplots(2, len(means))
    for axis, image, title in zip(means_line, means, titles, strict=True):
        show(axis, image, title)
        frame(axis)
    for axis, difference in zip(differences_line, differences, strict=True):
        axis.imshow(difference, cmap="gray", vmin=-largest, vmax=largest, interpolation="nearest")
        frame(axis)
    row_label(means_line[0], "mean\n平均\n0–255")
    row_label(differences_line[0], f"difference\n差異\n±{largest:.0f}")
    close_up(figure)
    return figure


def pairs(rows):
    """Pictures two by two, a row a kind of pair, its name on the left.

    Args:
        rows: dict of name -> (images, titles): (k, 2, 48, 48, 1) grey levels 0…255 and k × 2 short strings; k <= 4.
    """
    most = max(3, *(len(images) for images, _ in rows.values()))  # fewer would stand far apart
    ratios = ([1, 1, 0.18] * most)[:-1]  # a gap between pairs
    side = (WIDTH - 0.9) / sum(ratios)
    figure = new_figure(len(rows) * (side + 0.3) + 0.05)
    lines = figure.subplots(len(rows), len(ratios), squeeze=False, width_ratios=ratios)
    for line, (name, (images, titles)) in zip(lines, rows.items(), strict=True):
        used = np.delete(line, np.s_[2::3])[: 2 * len(images)]
        for axis, image, title in zip(used, np.concatenate(images), np.ravel(titles), strict=True):
            show(axis, image)
            axis.set_title(title, fontsize=5.5, loc="center", pad=2)
        for axis in set(line) - set(used):
            axis.remove()
        row_name(line[0], name)
    close_up(figure)
    return figure


def vote_shares(counts, answers):
    """What people answer to the pictures with this label: each cell its share of them; the shade is the share.

    Args:
        counts: (7, answers) ints, row the label, column the most frequent answer. answers: names of the columns.
    """
    figure = new_figure(3.2)
    axis = figure.subplots()
    share_map(axis, counts, lambda share, count: f"{share:.0%}", answers, row="label")
    axis.set(xlabel="the most frequent answer 最多人的答案", ylabel="label 標籤")
    return figure
