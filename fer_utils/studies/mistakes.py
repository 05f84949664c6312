"""Study the errors of a network: second choices, margins, mutual confusions, and what people voted.

Arguments that the functions share:
    labels: (n,) ints 0…6, the true classes.
    probs: (n, 7) floats, the predicted probabilities of the same images.
"""

import itertools

import numpy as np
import pandas as pd
from scipy import stats

from fer_utils import metrics
from fer_utils.labels import CLASSES


def rank_of_truth(labels, probs):
    """Return the rank of the true class by probability: (n,) ints, 1 where the answer is correct.

    >>> rank_of_truth([0, 1], np.array([[0.6, 0.3, 0.1], [0.6, 0.3, 0.1]])).tolist()
    [1, 2]
    """
    order = np.argsort(-probs, axis=1, kind="stable")  # breaks ties as argmax does
    return np.argmax(order == np.asarray(labels)[:, None], axis=1) + 1


def second_choice(labels, probs, true, predicted):
    """Return how often the second choice is right among the images of one class that are taken for another.

    By chance it would be one in six.

    Args:
        true, predicted: the two classes, ints 0…6.

    Returns:
        Estimate of the share.
    """
    mistaken = (labels == true) & (np.argmax(probs, axis=1) == predicted)
    return metrics.share((rank_of_truth(labels[mistaken], probs[mistaken]) == 2).sum(), mistaken.sum())


def margin(probs):
    """Return the highest probability minus the second highest: (n,) floats 0…1, small where two classes compete."""
    second, first = np.sort(probs, axis=1)[:, -2:].T
    return first - second


def entropy(probs):
    """Return Shannon's entropy in bits: (n,) floats from 0 (certain) to log₂ 7 = 2.81 (uniform)."""
    return stats.entropy(probs, axis=1, base=2)


def asymmetry(counts):
    """Test for all 21 pairs of classes whether one is taken for the other as often as the other way round.

    Shares of the classes are compared instead of counts, which grow with the size of a class. (McNemar's test, and
    Bowker's for the whole matrix, compare the counts.)

    Args:
        counts: (7, 7) from `metrics.confusion`.

    Returns:
        DataFrame, one row per pair: a, b (a is more often taken for b), n_ab, n_ba, there, back (Estimates, shares of
        a and of b), difference, low, high, p (`metrics.compare_shares`), p_holm (Holm's, over all pairs, so that it
        also holds for pairs that are selected because of these counts).
    """
    shares = metrics.row_shares(counts)
    pairs = itertools.combinations(range(len(CLASSES)), 2)
    ordered = [(b, a) if shares[b, a] > shares[a, b] else (a, b) for a, b in pairs]
    table = pd.DataFrame([_compare_directions(counts, a, b) for a, b in ordered])
    return table.assign(p_holm=metrics.holm(table["p"]))


def _compare_directions(counts, a, b):
    """Return the row of `asymmetry` for class a taken for b, and back."""
    there, back = (int(counts[a, b]), int(counts[a].sum())), (int(counts[b, a]), int(counts[b].sum()))
    row = {"a": a, "b": b, "n_ab": there[0], "n_ba": back[0]}
    row |= {"there": metrics.share(*there), "back": metrics.share(*back)}
    return row | dict(zip(("difference", "low", "high", "p"), metrics.compare_shares(*there, *back), strict=True))


def agreement(labels, probs, said):
    """Return how often people agree with the label, and how often with the network.

    Args:
        said: (n,) ints from `ferplus.most_voted`. Images count where it is one of the seven classes, not where people
            gave another answer (7 or more) or votes are tied (-1).

    Returns:
        (Estimate, Estimate)
    """
    known = (said >= 0) & (said < len(CLASSES))
    sides = labels, np.argmax(probs, axis=1)
    return tuple(metrics.share((side[known] == said[known]).sum(), known.sum()) for side in sides)
