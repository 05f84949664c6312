"""Ensembles of several networks: choose their members, and measure what they gain.

Arguments that the functions share:
    labels: (n,) ints 0…6, the true classes.
    probs_list: list of (n, 7) probabilities of the same images, one per member.
"""

import itertools

import numpy as np
import pandas as pd

from fer_utils import metrics


def mean_probs(probs_list):
    """Return the mean of the members' probabilities, (n, 7); a member that is listed twice counts twice."""
    return np.mean(probs_list, axis=0)


def choose_members(labels, probs_list, rounds=10):
    """Choose the members of an ensemble greedily, with replacement.

    Each round adds the candidate that improves the ensemble most, by accuracy and then by log-likelihood. The best
    ensemble of all rounds is returned. Choose on the validation set: the score on the images of the choice is biased.

    Args:
        rounds: largest size of the ensemble, from 1.

    Returns:
        List of indices into `probs_list`, in the order of their choice, with repetitions.

    References:
        Caruana, Niculescu-Mizil, Crew & Ksikes (2004), Ensemble selection from libraries of models, ICML.
    """

    def score(members):
        return _score(labels, mean_probs([probs_list[i] for i in members]))

    chosen = [[]]  # the ensemble after each round
    for _ in range(rounds):
        candidates = [[*chosen[-1], new] for new in range(len(probs_list))]
        chosen.append(max(candidates, key=score))
    return max(chosen[1:], key=score)


def _score(labels, probs):
    """Return (number of correct images, mean log-likelihood), which are compared in this order."""
    likelihood = np.log(np.maximum(probs[np.arange(len(labels)), labels], 1e-12)).mean()
    return metrics.correct(labels, probs).sum(), round(float(likelihood), 9)  # rounded: doubling all members is a tie


def disagreement(probs_list):
    """Return the share of images that two members answer differently, averaged over all pairs; 0 for one member.

    References:
        Kuncheva & Whitaker (2003), Measures of diversity in classifier ensembles, Machine Learning 51.
    """
    answers = [np.argmax(probs, axis=1) for probs in probs_list]
    pairs = list(itertools.combinations(answers, 2))
    return float(np.mean([(a != b).mean() for a, b in pairs])) if pairs else 0.0


def subsets(labels, probs_list):
    """Compare the ensembles of all subsets of the members: the gain over their own members, and their disagreement.

    Args:
        probs_list: at most 10 members (1,023 subsets).

    Returns:
        DataFrame, one row per ensemble: size, accuracy (of the mean probabilities), members (their mean accuracy),
        disagreement (0…1), gain (accuracy − members, in percentage points).
    """
    if len(probs_list) > 10:
        raise ValueError(f"{len(probs_list)} members form too many ensembles: give at most 10")
    sizes = range(1, len(probs_list) + 1)
    rows = [_gain(labels, members) for size in sizes for members in itertools.combinations(probs_list, size)]
    return pd.DataFrame(rows)


def _gain(labels, members):
    """Return the row of `subsets` for one ensemble."""
    together = metrics.correct(labels, mean_probs(members)).mean()
    alone = np.mean([metrics.correct(labels, probs).mean() for probs in members])
    gain = round(100 * (together - alone), 9)  # 0 instead of 1e-15 for one member
    return {
        "size": len(members),
        "accuracy": together,
        "members": alone,
        "disagreement": disagreement(members),
        "gain": gain,
    }
