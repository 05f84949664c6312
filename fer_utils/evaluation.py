"""Scores that say how sure they are. NumPy in, NumPy out; no Keras.

`labels` are (N,) ints 0…6, `probs` (N, 7) floats whose rows sum to 1, in the same order.
"""

from typing import NamedTuple

import numpy as np

from fer_utils.labels import CLASSES


class Estimate(NamedTuple):
    """A share with its 95 % interval and the number of pictures behind it."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self):
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def share(hits, n):
    """hits/n with Wilson's 95 % interval (Wilson 1927), which is sound near 0 and 1 and for small n as well.

    >>> str(share(9, 10))
    '0.900 [0.596, 0.982]'
    """
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(hits, n, alpha=0.05, method="wilson") if n else (np.nan, np.nan)
    return Estimate(hits / n if n else np.nan, float(low), float(high), int(n))


def accuracy(labels, probs):
    """Share of pictures whose most probable class is the true one, as an Estimate."""
    return share(int((np.argmax(probs, axis=1) == labels).sum()), len(labels))


def macro_f1(labels, probs):
    """Mean of the seven classes' F1 scores: rare disgust weighs as much as frequent happy."""
    from sklearn.metrics import f1_score

    predicted = np.argmax(probs, axis=1)
    return float(f1_score(labels, predicted, labels=range(len(CLASSES)), average="macro", zero_division=0))


def summary(scored):
    """Accuracy and macro-F1 of several predictions, side by side.

    Args:
        scored: dict of name -> (labels, probs).

    Returns:
        pandas DataFrame of strings, a row a name; columns: n, accuracy (with its 95 % interval), macro-F1.
    """
    import pandas as pd

    return pd.DataFrame(
        {
            name: {"n": f"{len(y):,}", "accuracy": str(accuracy(y, p)), "macro-F1": f"{macro_f1(y, p):.3f}"}
            for name, (y, p) in scored.items()
        }
    ).T


def per_class(labels, probs):
    """Precision, recall and F1 of each class.

    Returns:
        pandas DataFrame, index: the seven classes; columns: n, precision, recall, recall_low, recall_high (Wilson), f1.
    """
    import pandas as pd
    from sklearn.metrics import precision_recall_fscore_support

    predicted = np.argmax(probs, axis=1)
    precision, recall, f1, count = precision_recall_fscore_support(
        labels, predicted, labels=range(len(CLASSES)), zero_division=0
    )
    bounds = [share(int(((labels == c) & (predicted == c)).sum()), int(count[c])) for c in range(len(CLASSES))]
    return pd.DataFrame(
        {
            "n": count,
            "precision": precision,
            "recall": recall,
            "recall_low": [bound.low for bound in bounds],
            "recall_high": [bound.high for bound in bounds],
            "f1": f1,
        },
        index=list(CLASSES),
    )


def confusion(labels, probs):
    """Counts (7, 7): row the true class, column the predicted one."""
    from sklearn.metrics import confusion_matrix

    return confusion_matrix(labels, np.argmax(probs, axis=1), labels=range(len(CLASSES)))


def row_shares(counts):
    """Each row of a (7, 7) count matrix divided by its sum; rows without pictures are 0."""
    totals = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)


def confused_pairs(counts, least=0.14):
    """The errors that happen often: off-diagonal cells with a row share of at least `least`, most frequent first.

    Args:
        counts: (7, 7) from `confusion`.
        least: share of the true class's pictures, 0…1.

    Returns:
        list of (true class, predicted class, Estimate).
    """
    shares = row_shares(counts)
    cells = [(t, p) for t, p in zip(*np.nonzero(shares >= least), strict=True) if t != p]
    cells.sort(key=lambda cell: -shares[cell])
    return [(int(t), int(p), share(int(counts[t, p]), int(counts[t].sum()))) for t, p in cells]


def mcnemar(labels, probs_a, probs_b):
    """Are two models equally often right on the same pictures? McNemar's exact test (McNemar 1947).

    Returns:
        (only_a, only_b, p): how many pictures only a (only b) gets right, and the two-sided p-value.
    """
    from statsmodels.stats.contingency_tables import mcnemar as exact_test

    right_a, right_b = np.argmax(probs_a, axis=1) == labels, np.argmax(probs_b, axis=1) == labels
    only_a, only_b = int((right_a & ~right_b).sum()), int((~right_a & right_b).sum())
    both, neither = int((right_a & right_b).sum()), int((~right_a & ~right_b).sum())
    return only_a, only_b, float(exact_test([[both, only_a], [only_b, neither]], exact=True).pvalue)


def difference(labels, probs_a, probs_b, draws=2000, seed=0):
    """Accuracy of a minus accuracy of b on the same pictures, with a paired bootstrap's 95 % percentile interval."""
    from scipy.stats import bootstrap

    gain = (np.argmax(probs_a, axis=1) == labels).astype(float) - (np.argmax(probs_b, axis=1) == labels)
    interval = bootstrap(
        (gain,), np.mean, n_resamples=draws, method="percentile", batch=100, rng=np.random.default_rng(seed)
    ).confidence_interval
    return Estimate(float(gain.mean()), float(interval.low), float(interval.high), len(gain))
