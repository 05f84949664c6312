"""Compare the arms of an experiment, each trained several times (one training per seed).

Arguments that the functions share:
    labels: (n,) ints 0…6, the true classes.
    probs_list: list of (n, 7) probabilities of the same images, one per training.
    probs_by_arm: dict of name -> probs_list; all arms are compared with the first one.
    draws, seed: number of bootstrap samples, and the seed that draws them.
"""

import numpy as np
import pandas as pd
from scipy.stats import binom

from fer_utils import metrics
from fer_utils.labels import CLASSES
from fer_utils.words import words


def mean_accuracy(labels, probs_list):
    """Return the mean accuracy of several trainings on the same images, as an Estimate with Wilson's interval for n.

    The sample size is the number of images, not images × trainings. The interval is never too short: the share of
    trainings that classify an image correctly (0…1) varies at most as much as the hits (0 or 1) of Wilson's formula.
    """
    return metrics.share(_hits(labels, probs_list).mean(axis=0).sum(), len(labels))


def compare_arms(labels, probs_by_arm, draws=2000, seed=0):
    """Test whether each arm classifies more or fewer images correctly than the first arm.

    The trainings of an arm see the same images, so their answers are not independent and are not pooled. An image's
    gain is the share of the arm's trainings that classify it correctly minus that of the first arm. The interval
    (paired bootstrap) and the p-value (`sign_flip`) over these gains generalize to other images, not to other
    trainings; how much trainings vary is shown by the standard deviation over seeds.

    Returns:
        DataFrame, one row per arm: seeds, accuracy (mean over seeds), sd (over seeds, n − 1; NaN for one seed),
        difference, low, high (to the first arm, in percentage points; NaN in its own row), p, p_holm (Holm's, over all
        arms).

    References:
        Bouthillier et al. (2021), Accounting for variance in machine learning benchmarks, MLSys.
    """
    hits = {arm: _hits(labels, probs_list) for arm, probs_list in probs_by_arm.items()}
    first, *others = hits
    rows = {arm: _accuracy_over_seeds(hits[arm]) for arm in hits}
    for arm in others:
        rows[arm] |= paired_gain(hits[arm], hits[first], draws, seed)
    columns = ["seeds", "accuracy", "sd", "difference", "low", "high", "p"]
    table = pd.DataFrame(list(rows.values()), index=_names(rows), columns=columns)
    return table.assign(p_holm=metrics.holm(table["p"]))


def compare_pairs(labels, pairs, draws=2000, seed=0):
    """Test for each pair of networks whether the second classifies more or fewer images correctly than the first.

    Args:
        pairs: dict of (probs, probs), each (n, 7).

    Returns:
        DataFrame with the columns of `compare_arms`, one row per pair: the second network's; p_holm is over all pairs.
    """
    rows = [compare_arms(labels, {0: [first], 1: [second]}, draws, seed).iloc[1:] for first, second in pairs.values()]
    table = pd.concat(rows).set_axis(_names(pairs))
    return table.assign(p_holm=metrics.holm(table["p"]))


def _names(arms):
    """Return the arms as an index that keeps what `words` know of themselves."""
    return pd.Index(list(arms), dtype=object)


def _hits(labels, probs_list):
    """Return (trainings, n) bools: which training classifies which image correctly."""
    return np.stack([np.argmax(probs, axis=1) == labels for probs in probs_list])


def _accuracy_over_seeds(hits):
    """Return the number of trainings, and the mean and standard deviation of their accuracy."""
    scores = hits.mean(axis=1)
    sd = scores.std(ddof=1) if len(scores) > 1 else np.nan
    return {"seeds": len(scores), "accuracy": scores.mean(), "sd": sd}


def paired_gain(hits, hits_of_first, draws=2000, seed=0):
    """Return the difference in percentage points, its interval and its p-value, from the hits of two arms."""
    seeds, seeds_of_first = len(hits), len(hits_of_first)
    gains = hits.sum(axis=0) * seeds_of_first - hits_of_first.sum(axis=0) * seeds  # over a common denominator
    gain = metrics.mean(100 * gains / (seeds * seeds_of_first), draws, seed)
    return {"difference": gain.value, "low": gain.low, "high": gain.high, "p": sign_flip(gains)}


def sign_flip(gains):
    """Test whether paired gains sum to 0, with the exact two-sided sign-flip (randomization) test.

    If the two arms are equally good, every gain might as well have the opposite sign. The p-value is the share of all
    2ⁿ assignments of signs whose sum is at least as far from 0 as the observed one. With one training per arm this is
    McNemar's exact test.

    Args:
        gains: (n,) ints, one per image.

    Returns:
        p-value, 0…1.

    References:
        Fisher (1935), The Design of Experiments, section 21.

    >>> round(sign_flip([1, 1, 1, 1, 1, 0, 0]), 6)  # 2 of 2⁵
    0.0625
    """
    gains = np.asarray(gains, dtype=int)
    gains = gains[gains != 0] // max(np.gcd.reduce(gains), 1)
    probs = np.ones(1)  # of each possible sum of the positive gains, from 0
    for size, count in zip(*np.unique(np.abs(gains), return_counts=True), strict=True):
        positive = np.zeros(size * count + 1)  # the number of positive gains of one size is binomial
        positive[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
        probs = np.convolve(probs, positive)
    sums = 2 * np.arange(len(probs)) - np.abs(gains).sum()
    return float(min(probs[np.abs(sums) >= abs(gains.sum())].sum(), 1.0))


def formatted_arms(compared):
    """Format the table of `compare_arms` for print: accuracy in percent as mean ± sd, difference in percentage points.

    Returns:
        Dict of columns: arm, seeds, accuracy, difference, p, p (Holm).
    """
    rows = list(compared.itertuples())
    sds = ["" if np.isnan(row.sd) else f" ± {100 * row.sd:.1f}" for row in rows]
    return {
        "arm": list(compared.index),
        "seeds": [int(row.seeds) for row in rows],
        "accuracy": [f"{100 * row.accuracy:.1f}{sd}" for row, sd in zip(rows, sds, strict=True)],
        "difference": [metrics.points(row.difference, row.low, row.high) for row in rows],
        "p": [metrics.p_text(row.p) for row in rows],
        "p (Holm)": [metrics.p_text(row.p_holm) for row in rows],
    }


def depth(run):
    """Return how many convolutional and dense layers the network of a `Finished` run has."""
    return sum("Conv" in layer["kind"] or layer["kind"] == "Dense" for layer in run.info["layers"])


def told(row):
    """Say a difference with its interval and its adjusted p-value, for a sentence.

    Args:
        row: difference, low, high (percentage points) and p_holm, such as a row of `compare_arms`.
    """
    known = {"points": metrics.points(row.difference, row.low, row.high), "chance": metrics.p_equals(row.p_holm)}
    if row.p_holm >= 0.05 and row.low * row.high > 0:  # the interval alone would say that there is a difference
        return words("{points} points (the interval is not adjusted; {chance} after Holm)", **known)
    return words("{points} points ({chance} after Holm)", **known)


def formatted_scores(compared, f1):
    """Format the tables of `compare_arms` and `compare_macro_f1` for print, side by side; F1 in hundredths.

    Returns:
        Dict of columns of strings: arm, accuracy, difference, p (Holm), macro-F1, its difference.
    """
    arms = formatted_arms(compared)
    columns = {name: arms[name] for name in ("arm", "accuracy", "difference", "p (Holm)")}
    columns["macro-F1"] = [f"{100 * value:.1f}" for value in f1["macro_f1"]]
    columns["its difference"] = [metrics.points(*row) for row in f1[["difference", "low", "high"]].to_numpy()]
    return columns


def compare_recalls(labels, probs_by_arm, draws=2000, seed=0):
    """Test for each class whether an arm recognizes it more or less often than the first arm.

    The recall of a class is the accuracy on its own images, so each class is compared as in `compare_arms`.

    Returns:
        DataFrame, one row per class and arm: class (0…6), arm, n, recall (mean over seeds), recall_low, recall_high
        (as in `mean_accuracy`), difference, low, high (percentage points), p, p_holm (Holm's, over all classes and
        arms).
    """
    rows = []
    for c in np.unique(labels):
        own = labels == c
        of_class = {arm: [probs[own] for probs in probs_list] for arm, probs_list in probs_by_arm.items()}
        compared = compare_arms(labels[own], of_class, draws, seed)
        for arm, row in compared[["difference", "low", "high", "p"]].iterrows():
            recall, low, high, n = mean_accuracy(labels[own], of_class[arm])
            found = {"class": int(c), "arm": arm, "n": n, "recall": recall, "recall_low": low, "recall_high": high}
            rows.append(found | row.to_dict())
    table = pd.DataFrame(rows).assign(arm=_names(row["arm"] for row in rows))
    return table.assign(p_holm=metrics.holm(table["p"]))


def compare_macro_f1(labels, probs_by_arm, draws=2000, seed=0):
    """Compute the macro-F1 of each arm and its difference to the first arm, by a paired bootstrap over the images.

    Returns:
        DataFrame, one row per arm: macro_f1 (mean over seeds), macro_f1_low, macro_f1_high, difference, low, high
        (in hundredths; NaN in the first arm's row).
    """
    rng, n = np.random.default_rng(seed), len(labels)
    cells = [
        np.stack([len(CLASSES) * labels + np.argmax(probs, axis=1) for probs in probs_list])
        for probs_list in probs_by_arm.values()
    ]

    def scores(images):
        return [_mean_macro_f1(of_arm[:, images]) for of_arm in cells]

    seen = np.array(scores(slice(None)))
    drawn = np.array([scores(rng.integers(n, size=n)) for _ in range(draws)])
    table = pd.DataFrame({"macro_f1": seen}, index=_names(probs_by_arm))
    table["macro_f1_low"], table["macro_f1_high"] = np.percentile(drawn, [2.5, 97.5], axis=0)
    table["difference"] = 100 * (seen - seen[0])
    table["low"], table["high"] = 100 * np.percentile(drawn - drawn[:, :1], [2.5, 97.5], axis=0)
    table.iloc[0, 3:] = np.nan
    return table


def _mean_macro_f1(cells):
    """Return the mean macro-F1 of several trainings; cells: (trainings, n) ints, 7 × true class + predicted class."""
    counts = [np.bincount(training, minlength=len(CLASSES) ** 2) for training in cells]
    return metrics.f1_scores(np.reshape(counts, (-1, len(CLASSES), len(CLASSES)))).mean(axis=-1).mean()
