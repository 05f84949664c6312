"""FERPlus: ten people's votes on each image of FER2013. NumPy in, NumPy out; no Keras.

References:
    Barsoum, Zhang, Canton Ferrer & Zhang (2016), Training deep networks for facial expression recognition with
    crowd-sourced label distribution, ICMI.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils import data, metrics
from fer_utils.data import DataError
from fer_utils.labels import CLASSES
from fer_utils.words import marked

VOTES = (*CLASSES, *marked("contempt", "unknown", "not a face"))  # the ten answers
VOTE_COLUMNS = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", "contempt", "unknown", "NF"]
WHICH = (
    "Votes are joined by row position, so that file is needed as it is, with the rows that have no name; the label.csv "
    "in FERPlus' folders FER2013Train, FER2013Valid and FER2013Test tells no rows."
)
USAGES = {"Training": "train", "PublicTest": "public", "PrivateTest": "private"}
LEAST_AGREEMENT = 0.4  # of labels and votes: rows in a wrong order agree by chance in about 0.2


# -- reading -----------------------------------------------------------------------------------------------------------


def votes(dataset, path=None):
    """Read the votes on each image of a dataset; they are joined by row position.

    Args:
        dataset: data.Dataset with all or the first rows of fer2013.csv, in their order.
        path: FERPlus' csv (fer2013new.csv, plain or packed). None: $FER_PLUS, or the one in that folder, else the one
            beside the dataset's source (fer2013new.csv or a name with "ferplus"); drawn faces have none.

    Returns:
        (N, 10) int64, columns in the order of VOTES; None if no file is found.

    Raises:
        DataError: the file is not FERPlus' csv, or its rows are not those of the dataset.
    """
    if path is None and not dataset.drawn:
        path = data.votes_file(Path(dataset.source))
    if path is None:
        return None
    table = read_votes(path)
    counts = table[VOTE_COLUMNS].to_numpy(np.int64)[: len(dataset.labels)]
    check_rows(path, dataset, table["Usage"].map(USAGES).to_numpy(str), counts)
    return counts


def read_votes(path):
    """Read FERPlus' csv as a DataFrame with the columns Usage and VOTE_COLUMNS."""
    try:
        return pd.read_csv(path, usecols=["Usage", *VOTE_COLUMNS], dtype=dict.fromkeys(VOTE_COLUMNS, np.int64))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: is not FERPlus' fer2013new.csv ({error}). {WHICH}") from None


def check_rows(path, dataset, usage, counts):
    """Raise a DataError unless the votes fit the dataset's rows: enough, in the same sets, on the same faces."""
    part = data.parts(dataset.split)
    if len(usage) < len(part):
        raise DataError(f"{path}: has {len(usage):,} rows where {dataset.name} has {len(part):,} images. {WHICH}")
    different = np.flatnonzero(usage[: len(part)] != part)
    if len(different):
        row = different[0]
        raise DataError(
            f"{path}, image {row:,} (from 0): Usage is {usage[row]}, but {dataset.name} has it in {part[row]}. "
            f"Use the votes with fer2013.csv, or remove this file. {WHICH}"
        )
    known = dataset.labels >= 0
    agreement = metrics.correct(dataset.labels[known], counts[known, : len(CLASSES)]).mean()
    if agreement < LEAST_AGREEMENT:
        raise DataError(
            f"{path}: its votes agree with only {agreement:.0%} of the labels of {dataset.name}; "
            "the images seem to be in another order than in fer2013.csv. Use that file, or remove this one."
        )


# -- votes and labels --------------------------------------------------------------------------------------------------


def most_voted(votes):
    """Return the answer with the most votes, (n,) places in VOTES; -1 on a tie.

    Args:
        votes: (n, 10) from `votes`.
    """
    most = votes == votes.max(axis=1, keepdims=True)
    return np.where(most.sum(axis=1) == 1, most.argmax(axis=1), -1)


def choice_hits(labels, votes):
    """Compute the chance (n,) that the most voted of the seven classes is the label, if ties are broken at random.

    Args:
        labels: (n,) ints 0…6. votes: (n, 10) from `votes`.
    """
    seven = votes[:, : len(CLASSES)]
    most = seven == seven.max(axis=1, keepdims=True)
    return most[np.arange(len(labels)), labels] / most.sum(axis=1)


def label_probs(dataset, folds=5):
    """Predict the label of each training image from its votes: training targets that express how doubtful an image is.

    Multinomial logistic regression on the shares of the votes, fitted to the train split with cross-fitting: the
    probabilities of an image come from a model that has not seen its label.

    Args:
        dataset: data.Dataset with `votes`.
        folds: number of parts for cross-fitting.

    Returns:
        (n, 7) float32 for the n images of the train split; rows sum to 1.

    Raises:
        DataError: there are no votes; the message says where to put them.

    References:
        Peterson, Battleday, Griffiths & Russakovsky (2019), Human Uncertainty Makes Classification More Robust,
        arXiv:1908.07086.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import KFold

    counts = votes(dataset)
    if counts is None:
        raise DataError(
            f"{dataset.name} has no votes: put FERPlus' fer2013new.csv beside fer2013.csv, or set FER_PLUS to its path."
        )
    where = dataset.where("train")
    shares, labels = counts[where] / counts[where].sum(axis=1, keepdims=True).clip(1), dataset.labels[where]
    features = np.hstack([shares, np.sqrt(shares)])  # the root distinguishes one vote in ten from none
    probs = np.zeros((len(where), len(CLASSES)), np.float32)
    for fitted, predicted in KFold(folds, shuffle=True, random_state=0).split(features):
        model = LogisticRegression(max_iter=500).fit(features[fitted], labels[fitted])
        probs[np.ix_(predicted, model.classes_)] = model.predict_proba(features[predicted])
    return probs
