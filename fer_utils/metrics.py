"""Scores that say how sure they are. NumPy in, NumPy out; no Keras.

`labels` are (N,) ints 0…6, `probs` (N, 7) floats whose rows sum to 1, in the same order.
"""

import itertools
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


def macro_f1_estimate(labels, probs, draws=2000, seed=0):
    """Macro-F1 as an Estimate, with a bootstrap's 95 % percentile interval.

    To draw n pictures with replacement is to draw n times from the 49 cells of the confusion matrix: one multinomial.

    References:
        Efron & Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
    """
    counts, n = confusion(labels, probs), len(labels)
    drawn = np.random.default_rng(seed).multinomial(n, counts.ravel() / n, size=draws).reshape(draws, *counts.shape)
    hits, chosen = drawn.diagonal(axis1=1, axis2=2), drawn.sum(axis=1) + drawn.sum(axis=2)  # (draws, 7) each
    f1 = np.divide(2 * hits, chosen, out=np.zeros(hits.shape), where=chosen > 0)
    low, high = np.percentile(f1.mean(axis=1), [2.5, 97.5])
    return Estimate(macro_f1(labels, probs), float(low), float(high), n)


def summary(scored):
    """Accuracy and macro-F1 of several predictions, side by side.

    Args:
        scored: dict of name -> (labels, probs).

    Returns:
        pandas DataFrame of strings, a row a name; columns: n, accuracy and macro-F1, both with 95 % intervals.
    """
    import pandas as pd

    return pd.DataFrame(
        {
            name: {"n": f"{len(y):,}", "accuracy": str(accuracy(y, p)), "macro-F1": str(macro_f1_estimate(y, p))}
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


def correct(labels, probs):
    """(N,) floats: 1 where the most probable class is the true one, else 0."""
    return (np.argmax(probs, axis=1) == labels).astype(float)


def difference(labels, probs_a, probs_b, draws=2000, seed=0):
    """Accuracy of a minus accuracy of b on the same pictures, with a paired bootstrap's 95 % percentile interval."""
    return mean(correct(labels, probs_a) - correct(labels, probs_b), draws, seed)


def mean(values, draws=2000, seed=0):
    """Mean of one number a picture, as an Estimate with a bootstrap's 95 % percentile interval.

    Args:
        values: (N,) floats, such as the differences of two networks on the same pictures.
    """
    from scipy.stats import bootstrap

    interval = bootstrap(
        (values,), np.mean, n_resamples=draws, method="percentile", batch=100, rng=np.random.default_rng(seed)
    ).confidence_interval
    return Estimate(float(np.mean(values)), float(interval.low), float(interval.high), len(values))


# -- histories of a training -------------------------------------------------------------------------------------------


def overfitting_starts(history, level=0.05):
    """The pass after which a training overfits: that of the lowest validation loss, if the losses part from there on.

    They part when, over the passes after that one, the straight line fitted to the training loss falls and the one
    fitted to the validation loss rises, so clearly that chance would do it with less than `level` (one-sided t-test).
    The lowest pass itself is not fitted: it was picked for being low, so whatever follows it looks like a rise.

    Args:
        history: DataFrame with pass, loss, val_loss.
        level: 0…1.

    Returns:
        int, the pass; None where overfitting has not started within these passes.
    """
    from scipy.stats import linregress

    lowest = int(history["val_loss"].to_numpy().argmin())
    after = history.iloc[lowest + 1 :]
    if len(after) < 3:  # a line through two points always fits
        return None
    falls = linregress(after["pass"], after["loss"]).slope < 0
    rises = linregress(after["pass"], after["val_loss"], alternative="greater").pvalue < level
    return int(history["pass"].iloc[lowest]) if falls and rises else None


# -- calibration: does a network know how sure it may be? --------------------------------------------------------------


def reliability(labels, probs, bins=10):
    """How often a network is right when it is so sure, in bins of equal width.

    Returns:
        pandas DataFrame, a row a bin that holds pictures: confidence (the mean of the highest probability in it),
        accuracy with low and high (Wilson), n.

    References:
        Guo et al. (2017), On calibration of modern neural networks, ICML.
    """
    import pandas as pd

    confidence, right = np.max(probs, axis=1), np.argmax(probs, axis=1) == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    rows = []
    for inside in (place == b for b in np.unique(place)):
        value, low, high, n = share(int(right[inside].sum()), int(inside.sum()))
        rows.append((confidence[inside].mean(), value, low, high, n))
    return pd.DataFrame(rows, columns=["confidence", "accuracy", "low", "high", "n"])


def calibration_error(labels, probs, bins=15):
    """Expected calibration error (ECE): how far confidence and accuracy are apart, on average over the pictures.

    References:
        Guo et al. (2017), as for `reliability`.
    """
    table = reliability(labels, probs, bins)
    return float(np.average(np.abs(table["confidence"] - table["accuracy"]), weights=table["n"]))


def temperature(labels, logits):
    """The one number by which the logits are divided so that the probabilities of the true classes fit best.

    Fit it on the validation split. Above 1 the network was too sure of itself; its choices stay the same.

    Args:
        labels: (N,). logits: (N, 7).

    Returns:
        float between 0.05 and 20.

    References:
        Guo et al. (2017), as for `reliability`.
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
    """Probabilities (N, 7) of logits (N, 7) that are divided by a temperature."""
    from scipy.special import softmax

    return softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=1)


# -- probes ------------------------------------------------------------------------------------------------------------

WAYS = ((0, 1), (0, -1), (1, 0), (-1, 0))  # right, left, down, up


def shifted(images, pixels, seed=0):
    """Each picture moved by so many pixels to the right, left, bottom or top; the edge is repeated behind it.

    Args:
        images: (N, height, width, 1) of any dtype.
        pixels: how far, at least 0.
        seed: draws a way for each picture; the same ones whatever the distance.

    Returns:
        Array of the same shape and dtype.
    """
    n, height, width, _ = images.shape
    way = np.random.default_rng(seed).integers(len(WAYS), size=n)
    padded = np.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)), mode="edge")
    moved = np.empty_like(images)
    for number, (down, right) in enumerate(WAYS):
        top, left = pixels * (1 - down), pixels * (1 - right)  # where to cut the picture out of the padded one
        moved[way == number] = padded[way == number, top : top + height, left : left + width]
    return moved


# -- arms of an experiment, several trainings (seeds) each ------------------------------------------------------------


def mean_accuracy(labels, probs_list):
    """Mean accuracy of several trainings on the same pictures, with Wilson's interval for n pictures.

    Pictures, not pictures × trainings, are what was drawn at random. The interval is never too short: shares of
    trainings between 0 and 1 vary at most as much as the hits (0 or 1) that Wilson's formula is made for.

    Args:
        labels: (n,) ints. probs_list: list of (n, 7), one a training.
    """
    return share(_right(labels, probs_list).mean(axis=0).sum(), len(labels))


def compare_arms(labels, probs_by_arm, draws=2000, seed=0):
    """Does each arm of an experiment answer more or fewer pictures correctly than the first arm?

    Trainings of one arm see the same pictures, so their answers are not independent and are not pooled: a picture's
    gain is the share of the arm's trainings that recognise it minus the share of the first arm's, one number a picture.
    The interval (paired bootstrap) and the p-value (`sign_flip`) over these gains speak about other pictures met by
    these trainings; how far another training would land is what the standard deviation over seeds shows.

    Args:
        labels: (n,) ints.
        probs_by_arm: dict of name -> list of (n, 7), one a seed; the first arm is what the others are compared with.
        draws, seed: of the bootstrap.

    Returns:
        pandas DataFrame, a row an arm: seeds, accuracy (mean over seeds), sd (over seeds, n − 1; NaN for one seed),
        difference, low, high (to the first arm, in points; NaN in its own row), p, p_holm (Holm's, over all arms).

    References:
        Bouthillier et al. (2021), Accounting for Variance in Machine Learning Benchmarks, MLSys.
        Holm (1979), A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 6.
    """
    import pandas as pd

    rights = {name: _right(labels, probs_list) for name, probs_list in probs_by_arm.items()}
    first = next(iter(rights))
    rows = {}
    for name, right in rights.items():
        scores = right.mean(axis=1)
        sd = scores.std(ddof=1) if len(scores) > 1 else np.nan
        rows[name] = {"seeds": len(scores), "accuracy": scores.mean(), "sd": sd}
        if name != first:
            rows[name] |= _gain_of(right, rights[first], draws, seed)
    columns = ["seeds", "accuracy", "sd", "difference", "low", "high", "p"]
    table = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=columns)
    return table.assign(p_holm=holm(table["p"]))


def _right(labels, probs_list):
    """Which training recognises which picture: (trainings, n) bool."""
    return np.stack([np.argmax(probs, axis=1) == labels for probs in probs_list])


def _gain_of(right, right_of_first, draws, seed):
    """Difference in points with its interval, and the p-value, of two arms' (trainings, n) hits."""
    seeds, seeds_of_first = len(right), len(right_of_first)
    whole = right.sum(axis=0) * seeds_of_first - right_of_first.sum(axis=0) * seeds  # whole numbers, one a picture
    gain = mean(100 * whole / (seeds * seeds_of_first), draws, seed)
    return {"difference": gain.value, "low": gain.low, "high": gain.high, "p": sign_flip(whole)}


def sign_flip(gains):
    """Are paired gains as often losses? The exact sign-flip (randomisation) test of their sum, two-sided.

    Had the two arms been alike, each picture's gain might as well have had the other sign. Of all 2ⁿ ways to give the
    signs, p is the share whose sum is at least as far from 0 as the one seen. The sums' distribution is found exactly:
    gains of one size add a binomial number of them. With one training an arm this is McNemar's exact test.

    Args:
        gains: (n,) whole numbers, one a picture.

    Returns:
        p-value, 0…1.

    References:
        Fisher (1935), The Design of Experiments, section 21.

    >>> round(sign_flip([1, 1, 1, 1, 1, 0, 0]), 6)  # 2 of 2⁵
    0.0625
    """
    from scipy.stats import binom

    gains = np.asarray(gains)
    gains = gains[gains != 0]
    if len(gains) == 0:
        return 1.0
    gains = gains // np.gcd.reduce(gains)
    chances = np.ones(1)  # of every value that the sum of the positive gains can take
    for size, count in zip(*np.unique(np.abs(gains), return_counts=True), strict=True):
        steps = np.zeros(size * count + 1)
        steps[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chances = np.convolve(chances, steps)
    sums = 2 * np.arange(len(chances)) - np.abs(gains).sum()
    return float(min(chances[np.abs(sums) >= abs(gains.sum())].sum(), 1.0))


def holm(p_values):
    """Holm's adjusted p-values for several tests at once; NaN (not tested) stays NaN and does not count.

    >>> holm([0.01, np.nan, 0.04]).tolist()
    [0.02, nan, 0.04]
    """
    from statsmodels.stats.multitest import multipletests

    adjusted = np.array(p_values, float)
    tested = ~np.isnan(adjusted)
    if tested.any():
        adjusted[tested] = multipletests(adjusted[tested], method="holm")[1]
    return adjusted


def formatted_arms(compared):
    """The table of `compare_arms` in words for print: accuracy in per cent as mean ± sd, difference in points.

    Returns:
        pandas DataFrame of strings; columns: seeds, accuracy, difference, p, p (Holm).
    """
    import pandas as pd

    rows = {
        name: {
            "seeds": f"{row.seeds:.0f}",
            "accuracy": f"{100 * row.accuracy:.1f}" + ("" if np.isnan(row.sd) else f" ± {100 * row.sd:.1f}"),
            "difference": points(row.difference, row.low, row.high),
            "p": p_text(row.p),
            "p (Holm)": p_text(row.p_holm),
        }
        for name, row in compared.iterrows()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def points(value, low, high):
    """A difference in points with its interval; "–" where there is none.

    >>> points(-1.234, -2.5, 0.04)
    '−1.2 [−2.5, +0.0]'
    """
    return "–" if np.isnan(value) else f"{value:+.1f} [{low:+.1f}, {high:+.1f}]".replace("-", "−")


def p_text(p):
    """A p-value as it is printed.

    >>> [p_text(p) for p in (0.0312, 0.00004, np.nan)]
    ['0.031', '< 0.001', '–']
    """
    return "–" if np.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


# -- rare classes ------------------------------------------------------------------------------------------------------


def compare_recalls(labels, probs_by_arm, draws=2000, seed=0):
    """Which classes does an arm recognise more or less often than the first arm?

    A class's recall is the accuracy on its own pictures, so each class is compared as in `compare_arms`.

    Args:
        labels, probs_by_arm, draws, seed: as for `compare_arms`.

    Returns:
        pandas DataFrame, a row a class and arm: class (0…6), arm, n, recall (mean over seeds), recall_low, recall_high
        (as in `mean_accuracy`), difference, low, high (points), p, p_holm (Holm's, over all classes and arms at once).
    """
    import pandas as pd

    rows = []
    for c in np.unique(labels):
        own = labels == c
        of_class = {arm: [probs[own] for probs in probs_list] for arm, probs_list in probs_by_arm.items()}
        compared = compare_arms(labels[own], of_class, draws, seed)
        for arm, row in compared[["difference", "low", "high", "p"]].iterrows():
            recall, low, high, n = mean_accuracy(labels[own], of_class[arm])
            found = {"class": int(c), "arm": arm, "n": n, "recall": recall, "recall_low": low, "recall_high": high}
            rows.append(found | row.to_dict())
    table = pd.DataFrame(rows)
    return table.assign(p_holm=holm(table["p"]))


def compare_macro_f1(labels, probs_by_arm, draws=2000, seed=0):
    """Macro-F1 of each arm and its difference to the first arm, with a paired bootstrap's 95 % intervals over pictures.

    Args:
        labels, probs_by_arm: as for `compare_arms`. draws, seed: of the bootstrap; all arms meet the same draws.

    Returns:
        pandas DataFrame, a row an arm: macro_f1 (mean over seeds), macro_f1_low, macro_f1_high, difference, low, high
        (in hundredths; NaN in the first arm's row).
    """
    import pandas as pd

    cells = [np.stack([len(CLASSES) * labels + np.argmax(p, axis=1) for p in arm]) for arm in probs_by_arm.values()]
    rng, n = np.random.default_rng(seed), len(labels)
    seen = np.array([_macro_f1_of(arm) for arm in cells])
    picks = (rng.integers(n, size=n) for _ in range(draws))
    drawn = np.array([[_macro_f1_of(arm[:, picked]) for arm in cells] for picked in picks])
    table = pd.DataFrame({"macro_f1": seen}, index=list(probs_by_arm))
    table["macro_f1_low"], table["macro_f1_high"] = np.percentile(drawn, [2.5, 97.5], axis=0)
    table["difference"] = 100 * (seen - seen[0])
    table["low"], table["high"] = 100 * np.percentile(drawn - drawn[:, :1], [2.5, 97.5], axis=0)
    table.iloc[0, 3:] = np.nan
    return table


def _macro_f1_of(cells):
    """Mean macro-F1 of several trainings; cells: (trainings, n) ints 7 × true class + predicted class."""
    scores = []
    for training in cells:
        counts = np.bincount(training, minlength=len(CLASSES) ** 2).reshape(len(CLASSES), len(CLASSES))
        answered_or_true = counts.sum(axis=0) + counts.sum(axis=1)
        scores.append((2 * np.diag(counts) / answered_or_true.clip(1)).mean())
    return np.mean(scores)


# -- ensembles ---------------------------------------------------------------------------------------------------------


def ensemble(probs_list):
    """The members' mean probabilities (n, 7); a member that is listed twice counts twice.

    Args:
        probs_list: list of (n, 7), one a member.
    """
    return np.mean(probs_list, axis=0)


def choose_members(labels, probs_list, rounds=10):
    """A bag of members, chosen greedily: each round adds the one that helps the bag most, however often it is in it.

    Judged by accuracy, between equals by the likelihood of the truth. The bag of the best round is the result. Give it
    validation pictures: what is chosen on some pictures looks better on them than it is.

    Args:
        labels: (n,) ints. probs_list: list of (n, 7), one a candidate. rounds: largest size of the bag.

    Returns:
        list of indices into `probs_list`, in the order of their choice, with repetitions.

    References:
        Caruana, Niculescu-Mizil, Crew & Ksikes (2004), Ensemble Selection from Libraries of Models, ICML.
    """
    bag, best, best_score = [], [], (-np.inf, -np.inf)
    for _ in range(rounds):
        scores = [_goodness(labels, ensemble([probs_list[i] for i in [*bag, new]])) for new in range(len(probs_list))]
        new = max(range(len(scores)), key=scores.__getitem__)
        bag.append(new)
        if scores[new] > best_score:
            best, best_score = list(bag), scores[new]
    return best


def _goodness(labels, probs):
    """(pictures recognised, mean log-likelihood of the truth): compared in this order."""
    likelihood = np.log(np.maximum(probs[np.arange(len(labels)), labels], 1e-12)).mean()
    return int(correct(labels, probs).sum()), round(float(likelihood), 9)  # a bag taken twice is no better by rounding


def disagreement(probs_list):
    """Share of pictures that two members answer differently, the mean over all pairs; 0 for one member.

    References:
        Kuncheva & Whitaker (2003), Measures of Diversity in Classifier Ensembles, Machine Learning 51.
    """
    answers = [np.argmax(probs, axis=1) for probs in probs_list]
    pairs = list(itertools.combinations(answers, 2))
    return float(np.mean([(a != b).mean() for a, b in pairs])) if pairs else 0.0


def bags(labels, probs_list):
    """Every bag that some members can form: what it gains over its own members, and how often these disagree.

    Args:
        labels: (n,) ints. probs_list: list of (n, 7), at most 10 members (1,023 bags).

    Returns:
        pandas DataFrame, a row a bag: size, accuracy (of the mean probabilities), members (their mean accuracy),
        gain (the difference of these two, in points), disagreement (0…1).
    """
    import pandas as pd

    if len(probs_list) > 10:
        raise ValueError(f"{len(probs_list)} members form too many bags: give at most 10")
    scores = _right(labels, probs_list).mean(axis=1)
    rows = []
    for size in range(1, len(probs_list) + 1):
        for bag in map(list, itertools.combinations(range(len(probs_list)), size)):
            members = [probs_list[i] for i in bag]
            together = float((np.argmax(ensemble(members), axis=1) == labels).mean())
            rows.append((size, together, scores[bag].mean(), disagreement(members)))
    table = pd.DataFrame(rows, columns=["size", "accuracy", "members", "disagreement"])
    return table.assign(gain=(100 * (table["accuracy"] - table["members"])).round(9))  # a bag of one: 0, not 1e-15


# -- mistakes ----------------------------------------------------------------------------------------------------------


def rank_of_truth(labels, probs):
    """Place of the true class by probability: (n,) ints, 1 where it is recognised, 2 where it is the second choice …

    >>> rank_of_truth([0, 1], np.array([[0.6, 0.3, 0.1], [0.6, 0.3, 0.1]])).tolist()
    [1, 2]
    """
    order = np.argsort(-probs, axis=1, kind="stable")  # equal ones in the order of argmax
    return np.argmax(order == np.asarray(labels)[:, None], axis=1) + 1


def second_choice(labels, probs, true, predicted):
    """Of the pictures of one class that are taken for another: the share whose second choice is right, as an Estimate.

    By chance it would be one in six.
    """
    mistaken = (labels == true) & (np.argmax(probs, axis=1) == predicted)
    rank = rank_of_truth(labels[mistaken], probs[mistaken])
    return share(int((rank == 2).sum()), int(mistaken.sum()))


def margin(probs):
    """How far the most probable class is ahead of the next: (n,) floats 0…1, small where two answers compete."""
    lesser, greater = np.sort(probs, axis=1)[:, -2:].T
    return greater - lesser


def entropy(probs):
    """Shannon's entropy in bits: (n,) floats from 0, sure of one class, to log₂ 7 = 2.81, all the same."""
    from scipy.stats import entropy

    return entropy(probs, axis=1, base=2)


def compare_shares(hits_a, n_a, hits_b, n_b):
    """Do two groups of different pictures differ in a share? Fisher's exact test, with an interval for the difference.

    Args:
        hits_a, n_a, hits_b, n_b: hits and sizes of the two groups.

    Returns:
        (difference, low, high, p): share of a minus share of b in points with Newcombe's 95 % interval, which is made
        of Wilson's two, and the two-sided p-value; all NaN where a group is empty.

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


def asymmetry(counts):
    """Is one class taken for another as often as the other way round? All 21 pairs of classes.

    Shares of the classes are compared, not counts: of a class with more pictures more are mistaken, too. (McNemar's
    test, and Bowker's for the whole matrix, compare the counts.)

    Args:
        counts: (7, 7) from `confusion`.

    Returns:
        pandas DataFrame, a row a pair: a, b (a is more often taken for b), n_ab, n_ba, there, back (Estimates, shares
        of a and of b), difference, low, high, p (`compare_shares`), p_holm (over all pairs, so that it holds as well
        for pairs that are picked because these counts stand out).
    """
    import pandas as pd

    shares, sizes = row_shares(counts), counts.sum(axis=1)
    rows = []
    for a, b in itertools.combinations(range(len(CLASSES)), 2):
        if shares[b, a] > shares[a, b]:
            a, b = b, a
        there, back = (int(counts[a, b]), int(sizes[a])), (int(counts[b, a]), int(sizes[b]))
        found = dict(zip(("difference", "low", "high", "p"), compare_shares(*there, *back), strict=True))
        both = {"n_ab": there[0], "n_ba": back[0], "there": share(*there), "back": share(*back)}
        rows.append({"a": a, "b": b} | both | found)
    table = pd.DataFrame(rows)
    return table.assign(p_holm=holm(table["p"]))


def calibration_error_limit(probs, bins=15, draws=500, seed=0):
    """What `calibration_error` stays below, in 95 of 100 tests with these probabilities, if they are perfectly right.

    An error of 0 is not to be expected from a finite number of pictures; what lies below this limit may be chance.

    References:
        Vaicenavicius et al. (2019), Evaluating model calibration in classification, AISTATS.
    """
    confidence = np.max(probs, axis=1)
    right = np.random.default_rng(seed).random((draws, len(confidence))) < confidence
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = (right - confidence) @ np.eye(bins)[place]  # (draws, bins), summed over the pictures of a bin
    return float(np.quantile(np.abs(gaps).sum(axis=1) / len(confidence), 0.95))


def most_voted(votes):
    """What most people say.

    Args:
        votes: (n, 7 or more) ints, the columns after the seven classes are other answers.

    Returns:
        (n,) ints, the class with the most votes; -1 where answers share the first place, or it is none of the seven.
    """
    first = np.argmax(votes, axis=1)
    shared = (votes == np.max(votes, axis=1, keepdims=True)).sum(axis=1) > 1
    return np.where(shared | (first >= len(CLASSES)), -1, first)


def agreement(labels, probs, said):
    """How often people say what the label says, and how often they say what the network says.

    Args:
        labels: (n,). probs: (n, 7). said: (n,) from `most_voted`; pictures with -1 do not count.

    Returns:
        (Estimate, Estimate)
    """
    known = said >= 0
    sides = (labels, np.argmax(probs, axis=1))
    return tuple(share(int((side[known] == said[known]).sum()), int(known.sum())) for side in sides)
