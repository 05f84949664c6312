"""Arms with several seeds, and rare classes, on cases small enough to work out by hand."""

import itertools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fer_utils import metrics
from fer_utils.studies import compare

NAN = float("nan")


def one_hot(predicted):
    return np.eye(7)[np.asarray(predicted)]


def answers(rights):
    """Return predictions (n, 7) for images whose truth is class 0, right where `rights` says so."""
    return one_hot(np.where(np.asarray(rights, bool), 0, 1))


def flipped_by_brute_force(gains):
    """Return the p-value of the sign-flip test by its definition: try all assignments of signs."""
    sums = [np.dot(signs, np.abs(gains)) for signs in itertools.product([-1, 1], repeat=len(gains))]
    return np.mean(np.abs(sums) >= abs(np.sum(gains)))


@pytest.mark.parametrize(
    "gains",
    [[1], [1, -1], [2, 2, 2], [3, -1, 2, 0, 1], [1, 1, 2, 2, 3, 3, -1], [-6, -4, 2, -2], [0, 0], []],
)
def test_sign_flip_is_exact(gains):
    assert compare.sign_flip(gains) == pytest.approx(flipped_by_brute_force(gains))


@pytest.mark.parametrize(("only_a", "only_b"), [(8, 0), (5, 5), (30, 12), (0, 1), (400, 300)])
def test_sign_flip_of_one_seed_is_mcnemars_exact_test(only_a, only_b):
    right_a = np.repeat([1, 0, 1, 0], [only_a, only_b, 20, 10])
    right_b = np.repeat([0, 1, 1, 0], [only_a, only_b, 20, 10])
    truth = np.zeros(len(right_a), int)
    *counts, p = metrics.mcnemar(truth, answers(right_a), answers(right_b))
    assert counts == [only_a, only_b]
    assert compare.sign_flip(right_a - right_b) == pytest.approx(p)


class TestCompareArms:
    truth = np.zeros(10, int)
    plain = [answers([1] * 5 + [0] * 5), answers([1] * 7 + [0] * 3)]
    better = [answers([1] * 9 + [0]), answers([1] * 9 + [0])]

    def test_means_and_differences(self):
        table = compare.compare_arms(self.truth, {"plain": self.plain, "better": self.better})
        assert table.index.tolist() == ["plain", "better"]
        assert table["seeds"].tolist() == [2, 2]
        assert table["accuracy"].tolist() == pytest.approx([0.6, 0.9])
        assert table["sd"].tolist() == pytest.approx([np.sqrt(2) / 10, 0])
        assert table.loc["better", "difference"] == pytest.approx(30)
        assert table.loc["better", "low"] < 30 < table.loc["better", "high"]
        assert table.loc["plain", ["difference", "low", "high", "p", "p_holm"]].isna().all()

    def test_a_gain_is_averaged_over_seeds(self):
        """Images 5 and 6 gain half a hit, 7 and 8 a whole one: signs of (1, 1, 2, 2), in halves."""
        table = compare.compare_arms(self.truth, {"plain": self.plain, "better": self.better})
        assert table.loc["better", "p"] == pytest.approx(flipped_by_brute_force([1, 1, 2, 2]))

    def test_more_seeds_with_the_same_answers_add_no_certainty(self):
        once = compare.compare_arms(self.truth, {"plain": self.plain[:1], "better": self.better[:1]})
        often = compare.compare_arms(self.truth, {"plain": self.plain[:1] * 6, "better": self.better[:1] * 3})
        same = ["difference", "low", "high", "p", "p_holm"]
        assert often.loc["better", same].tolist() == pytest.approx(once.loc["better", same].tolist())
        assert np.isnan(once.loc["better", "sd"]) and often.loc["better", "sd"] == 0

    def test_holm_is_over_the_arms(self):
        arms = {"plain": self.plain, "better": self.better, "again": self.better}
        table = compare.compare_arms(self.truth, arms)
        assert table["p_holm"].tolist() == pytest.approx([NAN, *2 * [2 * table.loc["better", "p"]]], nan_ok=True)

    def test_pairs_are_tested_each_by_itself_and_adjusted_together(self):
        up, down, same = (self.plain[0], self.better[0]), (self.better[0], self.plain[1]), 2 * self.plain[:1]
        pairs = {"up": up, "down": down, "same": same}
        table = compare.compare_pairs(self.truth, pairs)
        assert table.index.tolist() == list(pairs)
        assert table["difference"].tolist() == pytest.approx([40, -20, 0])
        assert table["accuracy"].tolist() == pytest.approx([0.9, 0.7, 0.5])
        assert table["p"].tolist() == pytest.approx([2 / 2**4, 2 / 2**2, 1])
        assert table["p_holm"].tolist() == pytest.approx([6 / 2**4, 1, 1])

    def test_equal_arms(self):
        table = compare.compare_arms(self.truth, {"plain": self.plain, "same": self.plain})
        assert table.loc["same", ["difference", "low", "high", "p"]].tolist() == [0, 0, 0, 1]

    def test_formatted(self):
        arms = {"plain": self.plain, "better": self.better[:1]}
        printed = compare.formatted_arms(compare.compare_arms(self.truth, arms))
        assert [column[0] for column in printed.values()] == ["plain", 2, "60.0 ± 14.1", "–", "–", "–"]
        assert printed["accuracy"][1] == "90.0"
        assert printed["difference"][1].startswith("+30.0 [+")

    @pytest.mark.parametrize(("low", "p", "unadjusted"), [(1, 0.2, True), (1, 0.01, False), (-1, 0.2, False)])
    def test_an_interval_that_contradicts_the_adjusted_test_is_called_unadjusted(self, low, p, unadjusted):
        said = compare.told(pd.Series({"difference": 2, "low": low, "high": 3, "p_holm": p}))
        assert said.startswith("+2.0 [") and f"p = {p:.3f}" in said
        assert ("not adjusted" in said) == unadjusted

    def test_formatted_scores(self):
        arms = {"plain": self.plain, "better": self.better}
        compared, f1 = compare.compare_arms(self.truth, arms), compare.compare_macro_f1(self.truth, arms)
        columns = compare.formatted_scores(compared, f1)
        assert list(columns) == ["arm", "accuracy", "difference", "p (Holm)", "macro-F1", "its difference"]
        assert columns["arm"] == ["plain", "better"] and columns["its difference"][0] == "–"
        assert columns["macro-F1"] == [f"{100 * value:.1f}" for value in f1["macro_f1"]]


def test_the_depth_is_that_of_layers_with_kernels():
    kinds = ["InputLayer", "StandardisedConv2D", "BatchNormalization", "Flatten", "Dense", "Dropout", "Dense"]
    assert compare.depth(SimpleNamespace(info={"layers": [{"kind": kind} for kind in kinds]})) == 3


def test_mean_accuracy_has_the_interval_of_its_images():
    truth = np.zeros(10, int)
    once = compare.mean_accuracy(truth, [answers([1] * 9 + [0])])
    assert once == metrics.accuracy(truth, answers([1] * 9 + [0]))
    assert compare.mean_accuracy(truth, [answers([1] * 9 + [0])] * 4) == once


class TestRareClasses:
    truth = np.repeat([0, 1], [8, 2])
    plain = [one_hot([0] * 8 + [0, 1])]  # finds one of the two images of the rare class
    louder = [one_hot([0] * 6 + [1, 1] + [1, 1])]  # finds both, and takes two others for it

    def test_recalls(self):
        table = compare.compare_recalls(self.truth, {"plain": self.plain, "louder": self.louder})
        rows = [[0, "plain", 8], [0, "louder", 8], [1, "plain", 2], [1, "louder", 2]]
        assert table[["class", "arm", "n"]].values.tolist() == rows
        assert table["recall"].tolist() == pytest.approx([1, 0.75, 0.5, 1])
        assert table["difference"].tolist() == pytest.approx([NAN, -25, NAN, 50], nan_ok=True)
        assert table["p"].tolist() == pytest.approx([NAN, 0.5, NAN, 1], nan_ok=True)
        assert table["p_holm"].tolist() == pytest.approx([NAN, 1, NAN, 1], nan_ok=True)
        assert table["recall"].between(table["recall_low"], table["recall_high"]).all()

    def test_macro_f1(self):
        arms = {"plain": self.plain, "louder": self.louder * 2}
        table = compare.compare_macro_f1(self.truth, arms, draws=200)
        expected = [metrics.macro_f1(self.truth, arm[0]) for arm in arms.values()]
        assert table["macro_f1"].tolist() == pytest.approx(expected)
        assert table.loc["louder", "difference"] == pytest.approx(100 * (expected[1] - expected[0]))
        assert table.loc["plain", ["difference", "low", "high"]].isna().all()
        assert table["macro_f1"].between(table["macro_f1_low"], table["macro_f1_high"]).all()

    def test_macro_f1_is_paired(self):
        """Equal arms do not differ in any bootstrap sample."""
        table = compare.compare_macro_f1(self.truth, {"plain": self.plain, "same": self.plain}, draws=50)
        assert table.loc["same", ["difference", "low", "high"]].tolist() == [0, 0, 0]
        assert table.loc["same", "macro_f1_low"] < table.loc["same", "macro_f1_high"]
