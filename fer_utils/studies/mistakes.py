"""Test whether two classes are mistaken for each other equally often."""

import itertools

import pandas as pd

from fer_utils import metrics
from fer_utils.labels import CLASSES


def asymmetry(counts):
    """Test for all 21 pairs of classes whether one is taken for the other as often as the other way round.

    Shares of the classes are compared instead of counts, which grow with the size of a class. (McNemar's test, and
    Bowker's for the whole matrix, compare the counts.)

    Args:
        counts: (7, 7) from `metrics.confusion`.

    Returns:
        DataFrame, one row per pair: a, b (a is more often taken for b), there, back (Estimates, shares of a and of b),
        difference (Estimate in percentage points), p (`metrics.compare_shares`), p_holm (Holm's, over all pairs, so
        that it also holds for pairs that are selected because of these counts).
    """
    sizes, shares, rows = counts.sum(axis=1), metrics.row_shares(counts), []
    for pair in itertools.combinations(range(len(CLASSES)), 2):
        a, b = pair if shares[pair] >= shares[pair[::-1]] else pair[::-1]
        there, back = (counts[a, b], sizes[a]), (counts[b, a], sizes[b])
        *difference, p = metrics.compare_shares(*there, *back)
        row = {"a": a, "b": b, "there": metrics.share(*there), "back": metrics.share(*back)}
        rows.append(row | {"difference": metrics.Estimate(*difference, sizes[a] + sizes[b]), "p": p})
    table = pd.DataFrame(rows)
    return table.assign(p_holm=metrics.holm(table["p"]))
