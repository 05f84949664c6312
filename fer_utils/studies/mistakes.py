"""Describe mistakes: how near they are to the truth, how confident, and whether two classes are confused mutually."""

import itertools
from collections import Counter

import numpy as np
import pandas as pd

from fer_utils import metrics
from fer_utils.labels import CLASSES


def truth_second(labels, probs, pairs):
    """Compute for which share of some errors the true class is the second choice, and compare it with other mistakes.

    Args:
        labels: (n,) ints. probs: (n, 7).
        pairs: list of (true class, predicted class, …), such as `metrics.confused_pairs` finds.

    Returns:
        (all, table): the Share of all mistakes, and a DataFrame, one row per pair: true, predicted, share (a Share),
        more and less (bool: significantly more or less often than in all other mistakes, by Fisher's exact test at the
        5 % level after Holm's adjustment over the pairs).
    """
    first, second = np.argsort(-probs, axis=1, kind="stable")[:, :2].T
    wrong, near = first != labels, second == labels
    rows = []
    for true, predicted, *_ in pairs:
        here = wrong & (labels == true) & (first == predicted)
        others = wrong & ~here
        gap, _, _, p = metrics.compare_shares(near[here].sum(), here.sum(), near[others].sum(), others.sum())
        rows.append((true, predicted, metrics.share(near[here].sum(), here.sum()), gap, p))
    table = pd.DataFrame(rows, columns=["true", "predicted", "share", "gap", "p"])
    found = (metrics.holm(table["p"]) if rows else np.array([])) < 0.05
    table = table.assign(more=found & (table["gap"] > 0), less=found & (table["gap"] < 0))
    return metrics.share(near[wrong].sum(), wrong.sum()), table.drop(columns=["gap", "p"])


def most_frequent(labels, answers, n=3):
    """Return the most frequent of some mistakes as up to n pairs ((true class, answer), count), those that recur.

    Args:
        labels, answers: (mistakes,) ints that differ.
    """
    found = Counter(zip(labels.tolist(), answers.tolist(), strict=True)).most_common(n)
    return [(pair, count) for pair, count in found if count > 1]


def agreement(classes, said):
    """Return the share of images whose class is what most people say.

    Args:
        classes: (n,) ints. said: (n,) from `ferplus.most_voted`; images with -1 (a tie) or 7 and more (other answers)
            are left out.
    """
    known = (said >= 0) & (said < len(CLASSES))
    return metrics.share((classes == said)[known].sum(), known.sum())


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
