import numpy as np
import pytest

from fer_utils import evaluation


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
def test_share_is_wilsons(hits, n, low, high):
    estimate = evaluation.share(hits, n)
    assert (estimate.value, estimate.n) == (hits / n, n)
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=5e-5)


def test_accuracy_and_macro_f1():
    truth = np.array([0, 0, 1, 1])
    probs = one_hot([0, 1, 1, 1])
    assert evaluation.accuracy(truth, probs).value == 0.75
    assert evaluation.macro_f1(truth, probs) == pytest.approx((2 / 3 + 4 / 5) / 7)  # absent classes count as 0
    assert evaluation.macro_f1(np.arange(7), one_hot(np.arange(7))) == 1


def test_per_class():
    truth, predicted = np.array([3, 3, 3, 4]), [3, 3, 4, 4]
    table = evaluation.per_class(truth, one_hot(predicted))
    assert table.loc["Happy", ["n", "precision", "recall"]].tolist() == pytest.approx([3, 1, 2 / 3])
    assert table.loc["Sad", "precision"] == 0.5
    assert table.loc["Happy", "recall_low"] < 2 / 3 < table.loc["Happy", "recall_high"]


def test_confused_pairs_are_the_cells_above_the_share():
    counts = np.diag([10] * 7)
    counts[1] = [5, 5, 0, 0, 0, 0, 0]
    counts[4] = [0, 0, 1, 0, 8, 0, 2]
    pairs = evaluation.confused_pairs(counts, least=0.15)
    assert [(true, predicted) for true, predicted, _ in pairs] == [(1, 0), (4, 6)]
    assert pairs[0][2][0] == 0.5 and pairs[1][2].n == 11
    assert len(evaluation.confused_pairs(counts, least=0.05)) == 3


def test_rows_without_pictures_are_zero():
    shares = evaluation.row_shares(np.diag([2, 0, 1, 1, 1, 1, 1]))
    assert shares[1].sum() == 0 and shares[0].sum() == 1


def test_mcnemar_counts_the_pictures_only_one_gets_right():
    truth = np.zeros(40, int)
    a, b = np.ones(40, int), np.ones(40, int)
    a[:14], b[10:12], b[:4] = 0, 0, 0  # a right on 0–13, b on 0–3 and 10–11
    only_a, only_b, p = evaluation.mcnemar(truth, one_hot(a), one_hot(b))
    assert (only_a, only_b) == (8, 0)
    assert p == pytest.approx(2 * 0.5**8)  # the sign test on 8 against 0
    assert evaluation.mcnemar(truth, one_hot(a), one_hot(a)) == (0, 0, 1.0)


def test_difference_is_paired_and_its_interval_holds_it():
    rng = np.random.default_rng(0)
    truth = np.zeros(400, int)
    a, b = (rng.random(400) < 0.3).astype(int), (rng.random(400) < 0.5).astype(int)
    gain = evaluation.difference(truth, one_hot(a), one_hot(b))
    assert gain.value == pytest.approx((b.sum() - a.sum()) / 400)
    assert gain.low < gain.value < gain.high and gain.low > 0
    assert evaluation.difference(truth, one_hot(a), one_hot(b)) == gain
