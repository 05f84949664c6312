"""What figures by class have in common: bars of shares, and maps of what a class was taken for."""

import numpy as np
from matplotlib.ticker import PercentFormatter

from fer_utils.labels import BILINGUAL
from fer_utils.plots.style import ARMS, new_figure


def share_bars(shares, of, height, legend, written=False):
    """Horizontal bars of shares, a group a class, a colour a name.

    Args:
        shares: dict of name -> (7,) shares that sum to 1. of: what they are shares of.
        height: of the figure, inches. legend: its place. written: whether a bar bears its value.
    """
    figure = new_figure(height)
    axis = figure.subplots()
    thickness = 0.84 / len(shares)
    for number, ((name, values), color) in enumerate(zip(shares.items(), ARMS, strict=False)):
        places = np.arange(len(BILINGUAL)) + (number - (len(shares) - 1) / 2) * thickness
        drawn = axis.barh(places, values, height=0.85 * thickness, color=color, label=name)
        if written:
            axis.bar_label(drawn, fmt=" {:.1%}", fontsize=6)
    axis.set(yticks=range(len(BILINGUAL)), yticklabels=BILINGUAL, xlabel=f"share of the {of}")
    axis.invert_yaxis()
    axis.tick_params(axis="y", length=0)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.legend(loc=legend)
    return figure


def share_map(axis, counts, words, columns, row, **settings):
    """Each cell the share of its row's pictures, as a shade, with words in it.

    Args:
        counts: (7, columns) ints. words: function of (share, count) -> text of a cell. columns: names.
        row: what a row holds, as the scale calls it. settings: for `seaborn.heatmap`.
    """
    import seaborn

    totals = counts.sum(axis=1)
    shares = counts / totals.clip(1)[:, None]
    seaborn.heatmap(
        shares,
        ax=axis,
        annot=np.vectorize(words)(shares, counts),
        fmt="",
        cmap="Blues",
        vmin=0,
        vmax=1,
        linewidths=0.8,
        annot_kws={"fontsize": 6.5},
        cbar_kws={"label": f"share of the {row}", "shrink": 0.8, "format": PercentFormatter(1, decimals=0)},
        xticklabels=columns,
        yticklabels=[f"{name}  (n = {n:,})" for name, n in zip(BILINGUAL, totals, strict=True)],
        **settings,
    )
    axis.tick_params(length=0)
    axis.set_xticks(axis.get_xticks(), axis.get_xticklabels(), rotation=30, ha="right", rotation_mode="anchor")
