"""Arms with several seeds, rare classes and ensembles, on cases small enough to work out by hand."""

import itertools

import numpy as np
import pytest

from fer_utils import metrics

NAN = float("nan")


def one_hot(predicted):
    return np.eye(7)[np.asarray(predicted)]


def answers(rights):
    """Predictions (n, 7) for pictures whose truth is class 0, right where `rights` says so."""
    return one_hot(np.where(np.asarray(rights, bool), 0, 1))


def flipped_by_brute_force(gains):
    """The sign-flip test as it is defined: every way to give the signs."""
    sums = [np.dot(signs, np.abs(gains)) for signs in itertools.product([-1, 1], repeat=len(gains))]
    return np.mean(np.abs(sums) >= abs(np.sum(gains)))


@pytest.mark.parametrize(
    "gains",
    [[1], [1, -1], [2, 2, 2], [3, -1, 2, 0, 1], [1, 1, 2, 2, 3, 3, -1], [-6, -4, 2, -2], [0, 0], []],
)
def test_sign_flip_is_exact(gains):
    assert metrics.sign_flip(gains) == pytest.approx(flipped_by_brute_force(gains))


@pytest.mark.parametrize(("only_a", "only_b"), [(8, 0), (5, 5), (30, 12), (0, 1), (400, 300)])
def test_sign_flip_of_one_seed_is_mcnemars_exact_test(only_a, only_b):
    right_a = np.repeat([1, 0, 1, 0], [only_a, only_b, 20, 10])
    right_b = np.repeat([0, 1, 1, 0], [only_a, only_b, 20, 10])
    truth = np.zeros(len(right_a), int)
    *counts, p = metrics.mcnemar(truth, answers(right_a), answers(right_b))
    assert counts == [only_a, only_b]
    assert metrics.sign_flip(right_a - right_b) == pytest.approx(p)


# p-values and what Holm makes of them (Holm 1979: the smallest times m, the next times m − 1, …, never falling)
HOLM = [
    ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
    ([NAN, 0.02, 0.5], [NAN, 0.04, 0.5]),
    ([0.9, 0.6], [1.0, 1.0]),
    ([NAN], [NAN]),
]


@pytest.mark.parametrize(("given", "adjusted"), HOLM)
def test_holm(given, adjusted):
    assert metrics.holm(given).tolist() == pytest.approx(adjusted, nan_ok=True)


class TestCompareArms:
    truth = np.zeros(10, int)
    plain = [answers([1] * 5 + [0] * 5), answers([1] * 7 + [0] * 3)]
    better = [answers([1] * 9 + [0]), answers([1] * 9 + [0])]

    def test_means_and_differences(self):
        table = metrics.compare_arms(self.truth, {"plain": self.plain, "better": self.better})
        assert table.index.tolist() == ["plain", "better"]
        assert table["seeds"].tolist() == [2, 2]
        assert table["accuracy"].tolist() == pytest.approx([0.6, 0.9])
        assert table["sd"].tolist() == pytest.approx([np.sqrt(2) / 10, 0])
        assert table.loc["better", "difference"] == pytest.approx(30)
        assert table.loc["better", "low"] < 30 < table.loc["better", "high"]
        assert table.loc["plain", ["difference", "low", "high", "p", "p_holm"]].isna().all()

    def test_seeds_count_as_shares_of_a_picture(self):
        """Pictures 5 and 6 gain half a hit, 7 and 8 a whole one: signs of (1, 1, 2, 2), in halves."""
        table = metrics.compare_arms(self.truth, {"plain": self.plain, "better": self.better})
        assert table.loc["better", "p"] == pytest.approx(flipped_by_brute_force([1, 1, 2, 2]))

    def test_more_seeds_of_the_same_answers_do_not_make_it_more_certain(self):
        once = metrics.compare_arms(self.truth, {"plain": self.plain[:1], "better": self.better[:1]})
        often = metrics.compare_arms(self.truth, {"plain": self.plain[:1] * 6, "better": self.better[:1] * 3})
        same = ["difference", "low", "high", "p", "p_holm"]
        assert often.loc["better", same].tolist() == pytest.approx(once.loc["better", same].tolist())
        assert np.isnan(once.loc["better", "sd"]) and often.loc["better", "sd"] == 0

    def test_holm_is_over_the_arms(self):
        arms = {"plain": self.plain, "better": self.better, "again": self.better}
        table = metrics.compare_arms(self.truth, arms)
        assert table["p_holm"].tolist() == pytest.approx([NAN, *2 * [2 * table.loc["better", "p"]]], nan_ok=True)

    def test_equal_arms(self):
        table = metrics.compare_arms(self.truth, {"plain": self.plain, "same": self.plain})
        assert table.loc["same", ["difference", "low", "high", "p"]].tolist() == [0, 0, 0, 1]

    def test_printed(self):
        arms = {"plain": self.plain, "better": self.better[:1]}
        printed = metrics.formatted_arms(metrics.compare_arms(self.truth, arms))
        assert printed.loc["plain"].tolist() == ["2", "60.0 ± 14.1", "–", "–", "–"]
        assert printed.loc["better", "accuracy"] == "90.0"
        assert printed.loc["better", "difference"].startswith("+30.0 [+")


def test_mean_accuracy_has_the_interval_of_its_pictures():
    truth = np.zeros(10, int)
    once = metrics.mean_accuracy(truth, [answers([1] * 9 + [0])])
    assert once == metrics.accuracy(truth, answers([1] * 9 + [0]))
    assert metrics.mean_accuracy(truth, [answers([1] * 9 + [0])] * 4) == once


class TestRareClasses:
    truth = np.repeat([0, 1], [8, 2])
    plain = [one_hot([0] * 8 + [0, 1])]  # finds one of two of the rare class
    louder = [one_hot([0] * 6 + [1, 1] + [1, 1])]  # finds both, and calls two others by its name

    def test_recalls(self):
        table = metrics.compare_recalls(self.truth, {"plain": self.plain, "louder": self.louder})
        assert table[["class", "arm", "n"]].values.tolist() == [
            [0, "plain", 8],
            [0, "louder", 8],
            [1, "plain", 2],
            [1, "louder", 2],
        ]
        assert table["recall"].tolist() == pytest.approx([1, 0.75, 0.5, 1])
        assert table["difference"].tolist() == pytest.approx([NAN, -25, NAN, 50], nan_ok=True)
        assert table["p"].tolist() == pytest.approx([NAN, 0.5, NAN, 1], nan_ok=True)
        assert table["p_holm"].tolist() == pytest.approx([NAN, 1, NAN, 1], nan_ok=True)
        assert ((table["recall_low"] <= table["recall"]) & (table["recall"] <= table["recall_high"])).all()

    def test_macro_f1(self):
        arms = {"plain": self.plain, "louder": self.louder * 2}
        table = metrics.compare_macro_f1(self.truth, arms, draws=200)
        expected = [metrics.macro_f1(self.truth, arm[0]) for arm in arms.values()]
        assert table["macro_f1"].tolist() == pytest.approx(expected)
        assert table.loc["louder", "difference"] == pytest.approx(100 * (expected[1] - expected[0]))
        assert table.loc["plain", ["difference", "low", "high"]].isna().all()
        assert (table["macro_f1_low"] <= table["macro_f1"]).all() and (
            table["macro_f1"] <= table["macro_f1_high"]
        ).all()

    def test_macro_f1_is_paired(self):
        """Equal arms differ by nothing, in every draw."""
        table = metrics.compare_macro_f1(self.truth, {"plain": self.plain, "same": self.plain}, draws=50)
        assert table.loc["same", ["difference", "low", "high"]].tolist() == [0, 0, 0]
        assert table.loc["same", "macro_f1_low"] < table.loc["same", "macro_f1_high"]


class TestEnsembles:
    truth = np.array([0, 1, 2])
    # Each member is right on two of three pictures; wherever one errs, the two others outvote it.
    members = [one_hot([0, 1, 3]), one_hot([0, 3, 2]), one_hot([3, 1, 2])]

    def test_ensemble_is_the_mean(self):
        probs = metrics.ensemble([np.array([[0.2, 0.8]]), np.array([[0.6, 0.4]])])
        assert probs.tolist() == [pytest.approx([0.4, 0.6])]

    @pytest.mark.parametrize(
        ("answers", "expected"),
        [([[0, 1, 2]], 0), ([[0, 1], [0, 2]], 0.5), ([[0, 1], [0, 1], [1, 1]], 1 / 3), ([[0], [1], [2]], 1)],
    )
    def test_disagreement(self, answers, expected):
        assert metrics.disagreement([one_hot(a) for a in answers]) == pytest.approx(expected)

    def test_choice_takes_what_helps_together(self):
        useless = one_hot([4, 4, 4])
        assert metrics.choose_members(self.truth, [useless, *self.members]) == [1, 2, 3]

    def test_choice_may_repeat_a_member(self):
        """Two of the surer member and one of the other answer everything; one of each does not."""
        first = np.array([[0.6, 0.4, 0], [0.4, 0.6, 0], [0.45, 0.1, 0.45]])
        other = np.array([[0.35, 0.65, 0], [0.65, 0.35, 0], [0.0, 0.3, 0.7]])
        first, other = np.pad(first, ((0, 0), (0, 4))), np.pad(other, ((0, 0), (0, 4)))
        assert metrics.choose_members(self.truth, [first, other], rounds=3) == [0, 0, 1]

    def test_choice_of_a_perfect_member_stops_there(self):
        assert metrics.choose_members(self.truth, [self.members[0], one_hot(self.truth)]) == [1]

    def test_bags(self):
        table = metrics.bags(self.truth, self.members)
        assert table["size"].tolist() == [1, 1, 1, 2, 2, 2, 3]
        last = table.iloc[-1]
        assert (last["accuracy"], last["members"], last["gain"]) == pytest.approx((1, 2 / 3, 100 / 3))
        assert last["disagreement"] == pytest.approx(2 / 3)
        assert table.loc[table["size"] == 1, ["gain", "disagreement"]].to_numpy().any() == 0

    def test_too_many_members(self):
        with pytest.raises(ValueError, match="at most 10"):
            metrics.bags(self.truth, self.members * 4)
