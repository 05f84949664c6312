"""Ensembles of three members, small enough to work out by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
from lesson import definitions

ensembles = SimpleNamespace(**definitions("ensemble"))  # what the notebook defines


def one_hot(predicted):
    return np.eye(7)[np.asarray(predicted)]


TRUTH = np.array([0, 1, 2])
# Each member is right on two of three images; wherever one errs, the two others outvote it.
MEMBERS = [one_hot([0, 1, 3]), one_hot([0, 3, 2]), one_hot([3, 1, 2])]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [([[0, 1, 2]], 0), ([[0, 1], [0, 2]], 0.5), ([[0, 1], [0, 1], [1, 1]], 1 / 3), ([[0], [1], [2]], 1)],
)
def test_disagreement(answers, expected):
    table = ensembles.subsets(np.zeros(len(answers[0]), int), list(map(one_hot, answers)))
    assert table["disagreement"].iloc[-1] == pytest.approx(expected)


def test_the_members_that_complement_one_another_are_chosen():
    useless = one_hot([4, 4, 4])
    assert ensembles.choose_members(TRUTH, [useless, *MEMBERS]) == [1, 2, 3]


def test_a_member_may_be_chosen_twice():
    """Twice the more confident member and once the other classify everything correctly; once each do not."""
    first = np.array([[0.6, 0.4, 0], [0.4, 0.6, 0], [0.45, 0.1, 0.45]])
    other = np.array([[0.35, 0.65, 0], [0.65, 0.35, 0], [0.0, 0.3, 0.7]])
    first, other = np.pad(first, ((0, 0), (0, 4))), np.pad(other, ((0, 0), (0, 4)))
    assert ensembles.choose_members(TRUTH, [first, other], rounds=3) == [0, 0, 1]


def test_nothing_is_added_to_a_perfect_member():
    assert ensembles.choose_members(TRUTH, [MEMBERS[0], one_hot(TRUTH)]) == [1]


def test_subsets():
    table = ensembles.subsets(TRUTH, MEMBERS)
    assert table["size"].tolist() == [1, 1, 1, 2, 2, 2, 3]
    last = table.iloc[-1]
    assert (last["accuracy"], last["gain"]) == pytest.approx((1, 100 / 3))
    assert last["disagreement"] == pytest.approx(2 / 3)
    assert table.loc[table["size"] == 1, ["gain", "disagreement"]].to_numpy().any() == 0
