"""Accuracy, F1, confusion, paired tests and calibration, with 95 % intervals. NumPy in, NumPy or pandas out; no Keras.

Arguments that many functions share:
    labels: (n,) ints 0…6, the true classes.
    probs: (n, 7) floats, the predicted probabilities of the same images; each row sums to 1.
    counts: (7, 7) ints from `confusion`.
    draws, seed: number of bootstrap samples, and the seed that draws them.

SciPy, scikit-learn and statsmodels take a second each to import, so they are imported where they are used.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from fer_utils.labels import CLASSES
from fer_utils.words import number


class Estimate(NamedTuple):
    """A value with its 95 % interval and the number of images behind it.

    >>> str(Estimate(0.5, 0.25, 0.75, 8))
    '0.500 [0.250, 0.750]'
    """

    value: float
    low: float
    high: float
    n: int

    def __str__(self):
        return f"{self:.3f}"

    def __format__(self, form):
        value, low, high = (number(part, form or ".3f") for part in self[:3])
        return f"{value} [{low}, {high}]"


class Share(Estimate):
    """An Estimate of a share, 0…1, that is written in percent: 0.604 is 60.4 %, and with `.0%` or `.2f` 60 %.

    >>> [f"{share(9, 10):{form}}" for form in ("", ".0%", ".2f")]
    ['90.0\\xa0% [59.6, 98.2]', '90\\xa0% [60, 98]', '90\\xa0% [60, 98]']
    """

    def __format__(self, form):
        decimals = int(form[1]) - 2 * form.endswith("f") if form else 1
        if np.isnan(self.value):  # of nothing
            return "–"
        value, low, high = (number(100 * part, f".{decimals}f") for part in self[:3])
        return f"{value}\u00a0% [{low}, {high}]"

    def __str__(self):
        return format(self, "")


# -- shares, accuracy and F1 -------------------------------------------------------------------------------------------


def share(hits, n):
    """Return hits / n as a Share with Wilson's interval (Wilson, 1927); NaN for n = 0.

    The interval also holds near 0 and 1 and for small n.

    >>> str(share(9, 10))
    '90.0\\xa0% [59.6, 98.2]'
    """
    from statsmodels.stats.proportion import proportion_confint

    if n == 0:
        return Share(np.nan, np.nan, np.nan, 0)
    low, high = proportion_confint(hits, n, method="wilson")
    return Share(float(hits / n), float(low), float(high), int(n))


def correct(labels, probs):
    """Return (n,) floats: 1 where the most probable class is the true one, else 0."""
    return (np.argmax(probs, axis=1) == labels).astype(float)


def accuracy(labels, probs):
    """Return the share of images whose most probable class is the true one, as an Estimate."""
    return share(correct(labels, probs).sum(), len(labels))


def majority_share(labels):
    """Return the share of the most frequent class, 0…1: the accuracy of always predicting it."""
    return float(np.bincount(labels).max() / len(labels))


def collapsed(labels, probs):
    """Return whether a network is no better than always predicting the most frequent class of these labels.

    It is, if the lower end of its accuracy's 95 % interval is at most that class's share. Most such networks predict
    one class for every image; an explanation of their weights or their confidence would explain nothing.

    >>> collapsed(np.array([3, 3, 3, 4]), np.eye(7)[[3, 3, 3, 3]])
    True
    """
    return accuracy(labels, probs).low <= majority_share(labels)


def f1_scores(counts):
    """Return the F1 score of each class, (…, 7), for confusion matrices (…, 7, 7); 0 for a class that never occurs."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    return 2 * hits / np.maximum(counts.sum(axis=-1) + counts.sum(axis=-2), 1)


def macro_f1(labels, probs):
    """Return the mean F1 score of the seven classes: the rare Disgust weighs as much as the frequent Happy."""
    return float(f1_scores(confusion(labels, probs)).mean())


def macro_f1_estimate(labels, probs, draws=2000, seed=0):
    """Return macro-F1 as an Estimate with the bootstrap's percentile interval.

    References:
        Efron & Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
    """
    counts, n = confusion(labels, probs), len(labels)
    # Drawing n images with replacement fills the cells of the confusion matrix by one multinomial draw.
    drawn = np.random.default_rng(seed).multinomial(n, counts.ravel() / n, size=draws).reshape(draws, *counts.shape)
    low, high = np.percentile(f1_scores(drawn).mean(axis=-1), [2.5, 97.5])
    return Estimate(macro_f1(labels, probs), float(low), float(high), n)


def summary(scored):
    """Compare several predictions in a table.

    Args:
        scored: dict of name -> (labels, probs).

    Returns:
        Dict of columns: the names, n, and accuracy and macro-F1 as Estimates.
    """
    return {
        "name": list(scored),
        "n": [len(y) for y, _ in scored.values()],
        "accuracy": [accuracy(y, p) for y, p in scored.values()],
        "macro-F1": [macro_f1_estimate(y, p) for y, p in scored.values()],
    }


def per_class(labels, probs):
    """Compute precision, recall and F1 of each class.

    Returns:
        Dict of columns of seven: class, n, precision and recall (Shares; NaN for a class that is never predicted, or
        never there) and F1 (0 for these).
    """
    counts = confusion(labels, probs)
    hits, n, answers = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    return {
        "class": list(CLASSES),
        "n": n.tolist(),
        "precision": [share(*hits_of_n) for hits_of_n in zip(hits, answers, strict=True)],
        "recall": [share(*hits_of_n) for hits_of_n in zip(hits, n, strict=True)],
        "F1": f1_scores(counts).tolist(),
    }


# -- confusion ---------------------------------------------------------------------------------------------------------


def confusion(labels, probs):
    """Return the confusion matrix, (7, 7) counts: rows are true classes, columns predicted ones."""
    from sklearn.metrics import confusion_matrix

    return confusion_matrix(labels, np.argmax(probs, axis=1), labels=range(len(CLASSES)))


def row_shares(counts):
    """Divide each row of a count matrix by its sum; rows without images are 0."""
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def confused_pairs(counts, least=0.14):
    """Find the frequent errors: off-diagonal cells that hold at least a given share of their row.

    Args:
        counts: (7, 7).
        least: smallest share of the true class's images, 0…1.

    Returns:
        List of (true class, predicted class, Estimate of the share), the largest share first.
    """
    shares = row_shares(counts)
    np.fill_diagonal(shares, np.nan)
    cells = sorted(zip(*np.nonzero(shares >= least), strict=True), key=lambda cell: -shares[cell])
    return [(int(t), int(p), share(counts[t, p], counts[t].sum())) for t, p in cells]


# -- tests and intervals for differences -------------------------------------------------------------------------------


def mcnemar(labels, probs_a, probs_b):
    """Test whether two models are equally often right on the same images, with McNemar's exact test (McNemar, 1947).

    Returns:
        (only_a, only_b, p): number of images that only a (only b) classifies correctly, and the two-sided p-value.
    """
    from statsmodels.stats.contingency_tables import mcnemar as exact_test

    gains = correct(labels, probs_a) - correct(labels, probs_b)
    only_a, only_b = int((gains > 0).sum()), int((gains < 0).sum())
    # The test ignores the diagonal: images that both models or neither of them classify correctly.
    return only_a, only_b, float(exact_test([[0, only_a], [only_b, 0]], exact=True).pvalue)


def difference(labels, probs_a, probs_b, draws=2000, seed=0):
    """Return the accuracy of a minus that of b on the same images, as an Estimate by the paired bootstrap."""
    return mean(correct(labels, probs_a) - correct(labels, probs_b), draws, seed)


def mean(values, draws=2000, seed=0):
    """Return the mean of a number per image as an Estimate with the bootstrap's percentile interval.

    Args:
        values: (n,) floats, such as the differences of two models on the same images.
    """
    from scipy.stats import bootstrap

    interval = bootstrap(
        (values,), np.mean, n_resamples=draws, method="percentile", batch=100, rng=np.random.default_rng(seed)
    ).confidence_interval
    return Estimate(float(np.mean(values)), float(interval.low), float(interval.high), len(values))


def compare_shares(hits_a, n_a, hits_b, n_b):
    """Test whether a share differs between two groups of different images, with Fisher's exact test.

    Args:
        hits_a, n_a, hits_b, n_b: hits and sizes of the two groups.

    Returns:
        (difference, low, high, p): share of a minus share of b in percentage points with Newcombe's interval, and the
        two-sided p-value; all NaN where a group is empty.

    References:
        Fisher (1934), Statistical Methods for Research Workers, 5th edition, section 21.02.
        Newcombe (1998), Interval estimation for the difference between independent proportions, Statistics in
        Medicine 17, method 10.
    """
    from scipy.stats import fisher_exact
    from statsmodels.stats.proportion import confint_proportions_2indep

    if not (n_a and n_b):
        return (np.nan,) * 4
    low, high = confint_proportions_2indep(hits_a, n_a, hits_b, n_b, method="newcomb", compare="diff")
    p = fisher_exact([[hits_a, n_a - hits_a], [hits_b, n_b - hits_b]]).pvalue
    return 100 * (hits_a / n_a - hits_b / n_b), 100 * float(low), 100 * float(high), float(p)


def holm(p_values):
    """Adjust p-values of several tests by Holm's method; NaN (not tested) stays NaN and does not count.

    References:
        Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6.

    >>> holm([0.01, np.nan, 0.04]).tolist()
    [0.02, nan, 0.04]
    """
    from statsmodels.stats.multitest import multipletests

    adjusted = np.array(p_values, float)
    tested = ~np.isnan(adjusted)
    if tested.any():
        adjusted[tested] = multipletests(adjusted[tested], method="holm")[1]
    return adjusted


def points(value, low, high):
    """Format a difference in percentage points with its interval; NaN as "–".

    >>> points(-1.234, -2.5, 0.04)
    '−1.2 [−2.5, +0.0]'
    """
    return "–" if np.isnan(value) else f"{Estimate(value, low, high, 0):+.1f}"


def p_text(p):
    """Format a p-value; NaN as "–".

    >>> [p_text(p) for p in (0.0312, 0.00004, np.nan)]
    ['0.031', '< 0.001', '–']
    """
    return "–" if np.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def p_equals(p):
    """Format a p-value with its sign, for a sentence.

    >>> [p_equals(p) for p in (0.0312, 0.00004)]
    ['p = 0.031', 'p < 0.001']
    """
    return f"p {'' if p < 0.001 else '= '}{p_text(p)}"


# -- calibration (Guo et al., 2017, On calibration of modern neural networks, ICML) ------------------------------------


def reliability(labels, probs, bins=10):
    """Compute confidence and accuracy in bins of equal width, as for a reliability diagram.

    Returns:
        DataFrame, one row per bin that is not empty: confidence (the mean highest probability), accuracy with low and
        high (Wilson), n.
    """
    confidence, right = np.max(probs, axis=1), correct(labels, probs)
    bin_of = _bins(confidence, bins)
    members = [bin_of == number for number in np.unique(bin_of)]
    rows = [(confidence[inside].mean(), *share(right[inside].sum(), inside.sum())) for inside in members]
    return pd.DataFrame(rows, columns=["confidence", "accuracy", "low", "high", "n"])


def calibration_error(labels, probs, bins=15):
    """Return the expected calibration error (ECE): the mean gap between confidence and accuracy, weighted by bin size.

    The bins are those of `reliability`.
    """
    table = reliability(labels, probs, bins)
    return float(np.average(np.abs(table["confidence"] - table["accuracy"]), weights=table["n"]))


def calibration_error_limit(probs, bins=15, draws=500, seed=0):
    """Return the 95 % quantile of `calibration_error` for a perfectly calibrated model with these probabilities.

    With finitely many images the error is never 0; an error below this limit may be due to chance.

    References:
        Vaicenavicius et al. (2019), Evaluating model calibration in classification, AISTATS.
    """
    confidence = np.max(probs, axis=1)
    right = np.random.default_rng(seed).random((draws, len(confidence))) < confidence
    gaps = (right - confidence) @ np.eye(bins)[_bins(confidence, bins)]  # (draws, bins), summed over a bin's images
    return float(np.quantile(np.abs(gaps).sum(axis=1) / len(confidence), 0.95))


def _bins(confidence, bins):
    """Return the number of each confidence's bin; 1 belongs to the last one."""
    return np.minimum((confidence * bins).astype(int), bins - 1)


def temperature(labels, logits):
    """Fit the temperature that minimizes the cross-entropy of logits (n, 7): a float between 0.05 and 20.

    Fit it on the validation set. Above 1 the network is overconfident; its answers stay the same.
    """
    from scipy.optimize import minimize_scalar
    from sklearn.metrics import log_loss

    fit = minimize_scalar(
        lambda power: log_loss(labels, tempered(logits, np.exp(power)), labels=range(len(CLASSES))),
        bounds=np.log([0.05, 20]),
        method="bounded",
    )
    return float(np.exp(fit.x))


def tempered(logits, temperature):
    """Return the probabilities (n, 7) of logits (n, 7) divided by a temperature."""
    from scipy.special import softmax

    return softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=1)
