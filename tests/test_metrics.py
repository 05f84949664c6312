"""Scores, tests and calibration against published intervals, other libraries, and cases worked out by hand."""

import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import f1_score, precision_recall_fscore_support

from fer_utils import metrics


def one_hot(predicted):
    return np.eye(7)[predicted]


# Wilson's intervals as printed in Newcombe (1998), Statistics in Medicine 17, table I (method 3)
WILSON = [
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0000, 0.1611),
    (1, 29, 0.0061, 0.1718),
]


@pytest.mark.parametrize(("hits", "n", "low", "high"), WILSON)
def test_share_has_wilsons_interval(hits, n, low, high):
    estimate = metrics.share(hits, n)
    assert (estimate.value, estimate.n) == (hits / n, n)
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=5e-5)


def test_accuracy_and_macro_f1():
    truth = np.array([0, 0, 1, 1])
    probs = one_hot([0, 1, 1, 1])
    assert metrics.accuracy(truth, probs).value == 0.75
    assert metrics.macro_f1(truth, probs) == pytest.approx((2 / 3 + 4 / 5) / 7)  # absent classes count as 0
    assert metrics.macro_f1(np.arange(7), one_hot(np.arange(7))) == 1


# labels, predictions, whether that is no better than always predicting the most frequent label
FREQUENT = np.array([3] * 50 + [0] * 30 + [6] * 20)
COLLAPSED = {
    "always the most frequent class": (FREQUENT, np.full(100, 3), True),
    "always another class": (FREQUENT, np.full(100, 0), True),
    "better, but within the interval": (FREQUENT, np.r_[np.full(50, 3), np.zeros(9, int), np.full(41, 3)], True),
    "better by more than the interval": (FREQUENT, np.r_[np.full(50, 3), np.zeros(11, int), np.full(39, 3)], False),
    "the same share of ten times the images": (
        np.tile(FREQUENT, 10),
        np.tile(np.r_[np.full(50, 3), np.zeros(9, int), np.full(41, 3)], 10),
        False,
    ),
    "as often right about the other classes": (FREQUENT, np.where(FREQUENT == 3, 0, FREQUENT), True),
    "labels of one class": (np.full(100, 3), np.full(100, 3), True),
    "all correct": (FREQUENT, FREQUENT, False),
}


@pytest.mark.parametrize(("labels", "predicted", "expected"), COLLAPSED.values(), ids=COLLAPSED)
def test_a_collapsed_network_is_no_better_than_the_most_frequent_class(labels, predicted, expected):
    assert metrics.collapsed(labels, one_hot(predicted)) is expected


def test_the_share_of_the_most_frequent_class_is_the_accuracy_of_always_predicting_it():
    assert metrics.majority_share(FREQUENT) == 0.5 == metrics.accuracy(FREQUENT, one_hot(np.full(100, 3))).value


def random_answers(n=300, right=0.6, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.choice(7, n, p=[0.14, 0.02, 0.14, 0.25, 0.17, 0.11, 0.17])
    return truth, np.where(rng.random(n) < right, truth, rng.choice(7, n))


def test_macro_f1_has_the_interval_of_the_bootstrap():
    truth, predicted = random_answers()
    estimate = metrics.macro_f1_estimate(truth, one_hot(predicted))
    assert estimate.value == metrics.macro_f1(truth, one_hot(predicted)) and estimate.n == 300
    score = lambda y, p: f1_score(y, p, labels=range(7), average="macro", zero_division=0)  # noqa: E731
    assert estimate.value == pytest.approx(score(truth, predicted))
    drawn = {"n_resamples": 300, "method": "percentile", "rng": 0}
    slow = bootstrap((truth, predicted), score, paired=True, vectorized=False, **drawn)
    assert (estimate.low, estimate.high) == pytest.approx(tuple(slow.confidence_interval), abs=0.02)
    assert metrics.macro_f1_estimate(truth, one_hot(truth))[:3] == (1, 1, 1)


def test_per_class():
    truth, predicted = np.array([3, 3, 3, 4]), [3, 3, 4, 4]
    table = metrics.per_class(truth, one_hot(predicted))
    happy, sad = table["class"].index("Happy"), table["class"].index("Sad")
    assert (table["n"][happy], table["precision"][happy], table["precision"][sad]) == (
        3,
        metrics.share(2, 2),
        metrics.share(1, 2),
    )
    assert table["recall"][happy] == metrics.share(2, 3)
    assert f"{table['precision'][0]} {table['recall'][0]}" == "– –"  # never predicted, never there


def test_per_class_agrees_with_scikit_learn():
    truth, predicted = random_answers()
    *expected, n = precision_recall_fscore_support(truth, predicted, labels=range(7))
    table = metrics.per_class(truth, one_hot(predicted))
    precision, recall = ([found.value for found in table[column]] for column in ("precision", "recall"))
    scores = [precision, recall, table["F1"]]
    assert np.array(scores) == pytest.approx(np.array(expected))
    assert table["n"] == n.tolist()


def test_confused_pairs_are_the_cells_above_a_share():
    counts = np.diag([10] * 7)
    counts[1] = [5, 5, 0, 0, 0, 0, 0]
    counts[4] = [0, 0, 1, 0, 8, 0, 2]
    pairs = metrics.confused_pairs(counts, least=0.15)
    assert [(true, predicted) for true, predicted, _ in pairs] == [(1, 0), (4, 6)]
    assert pairs[0][2][0] == 0.5 and pairs[1][2].n == 11
    assert len(metrics.confused_pairs(counts, least=0.05)) == 3


def test_rows_without_images_are_zero():
    shares = metrics.row_shares(np.diag([2, 0, 1, 1, 1, 1, 1]))
    assert shares[1].sum() == 0 and shares[0].sum() == 1


def test_mcnemar_counts_the_images_that_only_one_model_classifies_correctly():
    truth = np.zeros(40, int)
    a, b = np.ones(40, int), np.ones(40, int)
    a[:14], b[10:12], b[:4] = 0, 0, 0  # a right on 0–13, b on 0–3 and 10–11
    only_a, only_b, p = metrics.mcnemar(truth, one_hot(a), one_hot(b))
    assert (only_a, only_b) == (8, 0)
    assert p == pytest.approx(2 * 0.5**8)  # the sign test on 8 against 0
    assert metrics.mcnemar(truth, one_hot(a), one_hot(a)) == (0, 0, 1.0)


# p-values and what Holm makes of them (Holm 1979: the smallest times m, the next times m − 1, …, never falling)
HOLM = [
    ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
    ([np.nan, 0.02, 0.5], [np.nan, 0.04, 0.5]),
    ([0.9, 0.6], [1.0, 1.0]),
    ([np.nan], [np.nan]),
]


@pytest.mark.parametrize(("given", "adjusted"), HOLM)
def test_holm(given, adjusted):
    assert metrics.holm(given).tolist() == pytest.approx(adjusted, nan_ok=True)


# Intervals as printed in Newcombe (1998), Statistics in Medicine 17, 873–890, table II (method 10)
NEWCOMBE = [
    (56, 70, 48, 80, 0.0524, 0.3339),
    (9, 10, 3, 10, 0.1705, 0.8090),
    (6, 7, 2, 7, 0.0582, 0.8062),
    (5, 56, 0, 29, -0.0381, 0.1926),
    (0, 10, 0, 20, -0.1611, 0.2775),
    (10, 10, 0, 20, 0.6791, 1.0000),
]


@pytest.mark.parametrize(("a", "n_a", "b", "n_b", "low", "high"), NEWCOMBE)
def test_two_shares_differ_by_newcombes_interval(a, n_a, b, n_b, low, high):
    found = metrics.compare_shares(a, n_a, b, n_b)
    assert found[:3] == pytest.approx((100 * (a / n_a - b / n_b), 100 * low, 100 * high), abs=6e-3)


def test_two_shares_are_compared_by_fishers_test():
    assert metrics.compare_shares(3, 4, 1, 4)[3] == pytest.approx(34 / 70)  # the lady tasting tea
    assert np.isnan(metrics.compare_shares(3, 4, 0, 0)).all()


def test_difference_is_paired_and_within_its_interval():
    rng = np.random.default_rng(0)
    truth = np.zeros(400, int)
    a, b = (rng.random(400) < 0.3).astype(int), (rng.random(400) < 0.5).astype(int)
    gain = metrics.difference(truth, one_hot(a), one_hot(b))
    assert gain.value == pytest.approx((b.sum() - a.sum()) / 400)
    assert gain.low < gain.value < gain.high and gain.low > 0
    assert metrics.difference(truth, one_hot(a), one_hot(b)) == gain


def test_reliability_and_calibration_error():
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55])
    probs = np.full((6, 7), (1 - confidence[:, None]) / 6)
    probs[:, 2] = confidence
    truth = np.array([2, 2, 2, 0, 2, 0])  # correct 3 of 4 times at 95 % confidence, 1 of 2 at 55 %
    table = metrics.reliability(truth, probs)
    assert table["accuracy"].tolist() == [0.5, 0.75] and table["n"].tolist() == [2, 4]
    assert (table["low"] < table["accuracy"]).all() and (table["accuracy"] < table["high"]).all()
    assert metrics.calibration_error(truth, probs) == pytest.approx((2 * 0.05 + 4 * 0.2) / 6)
    assert metrics.reliability(truth, one_hot(truth))["confidence"].tolist() == [1]  # 1 is in the last bin


def test_the_calibration_error_of_calibrated_probabilities_is_below_the_limit():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(7, 0.5), 300)
    limit = metrics.calibration_error_limit(probs)
    truths = (probs.cumsum(axis=1)[None] < rng.random((60, 300, 1))).sum(axis=2).clip(0, 6)
    below = np.mean([metrics.calibration_error(truth, probs) < limit for truth in truths])
    assert 0.88 <= below < 1
    assert metrics.calibration_error(truths[0], metrics.tempered(np.log(probs), 0.4)) > limit


@pytest.mark.parametrize("true_temperature", [0.5, 1, 3])
def test_temperature_finds_the_factor_of_overconfidence(true_temperature):
    rng = np.random.default_rng(0)
    calibrated = 2 * rng.normal(size=(4000, 7))
    truth = np.array([rng.choice(7, p=p) for p in metrics.tempered(calibrated, 1)])
    logits = calibrated * true_temperature
    found = metrics.temperature(truth, logits)
    assert found == pytest.approx(true_temperature, rel=0.1)
    before, after = (metrics.calibration_error(truth, metrics.tempered(logits, t)) for t in (1, found))
    assert after < 0.03 and (true_temperature == 1 or after < before)
