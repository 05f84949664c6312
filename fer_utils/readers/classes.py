"""Which class a label means: words say it, numbers need an order."""

import os
import re
from collections.abc import Callable

import numpy as np

from fer_utils.labels import CLASSES
from fer_utils.readers.rows import DataError, shown

SPELLINGS = (
    *("angry anger ang an", "disgust disgusted dis di", "fear fearful afraid scared fea fe"),
    *("happy happiness joy hap ha", "sad sadness sa", "surprise surprised sur su"),
    "neutral neutrality neu ne",
)
WORDS = {word: label for label, words in enumerate(SPELLINGS) for word in words.split()}
OFFICIAL = tuple(str(name).lower() for name in CLASSES)  # FER2013's own order, 0 angry … 6 neutral
ORDERS = {
    "official": OFFICIAL,
    "alphabetical": tuple(sorted(OFFICIAL)),
    "FERPlus": ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear"),
    "AffectNet": ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry"),
    "RAF-DB": ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral"),
}


def order_given() -> tuple[str, ...]:
    """Return the classes that the source's numbers mean, as $FER_ORDER says: by default the official order.

    Raises:
        DataError: $FER_ORDER is neither the name of an order nor the seven classes.
    """
    given = os.environ.get("FER_ORDER", "").strip()
    named = {name.lower(): order for name, order in ORDERS.items()}
    if not given or given.lower() in named:
        return named[given.lower() or "official"]
    labels = [WORDS.get(word.lower()) for word in re.split(r"[\s,;]+", given)]
    if None in labels or sorted(labels) != list(range(len(CLASSES))):
        raise DataError(
            f"ORDER={shown(given)} (FER_ORDER) is no order of the classes. "
            f'Write {", ".join(ORDERS)}, or the class of each number: ORDER="{" ".join(ORDERS["alphabetical"])}".'
        )
    return tuple(OFFICIAL[label] for label in labels)


def name_of(order: tuple[str, ...]) -> str:
    """Return what to write behind ORDER= for an order."""
    return next((name for name, known in ORDERS.items() if known == order), f'"{" ".join(order)}"')


def word_label(text: str) -> int | None:
    """Return the class that a word means, also behind a number ("3_happy"); None if it means none."""
    text = text.strip().lower()
    return WORDS.get(text, WORDS.get(re.sub(r"^[0-9]+[\s._-]+|^[0-9]+(?=[^\W\d])", "", text)))


def number(text: str | int) -> int | None:
    """Return a whole number that is written as one, or as 2.0; None for anything else."""
    if isinstance(text, int):
        return text
    match = re.fullmatch(r"([+-]?[0-9]{1,9})(\.0*)?", text.strip())
    return int(match[1]) if match else None


def labels_of(tokens: list, where: Callable, unknown: str | int | None = None) -> tuple[np.ndarray, bool]:
    """Return class numbers of labels that are all words or all numbers.

    Args:
        tokens: N labels as the source writes them, str or int.
        where: place (from 0) -> context manager that completes the message of a ValueError.
        unknown: a token that stands for "no label".

    Returns:
        (N,) int64, -1 = unknown; and whether the source has numbers.
    """
    distinct = {token: place for place, token in reversed(list(enumerate(tokens)))}  # its first place
    distinct.pop(unknown, None)
    numbers = {token: number(token) for token in distinct}
    words = {token: word_label(str(token)) for token in distinct}
    numbered = any(value is not None for value in numbers.values())
    order, first = order_given(), 0
    if numbered and os.environ.get("FER_ORDER") and sorted({*numbers.values()} - {None})[-1] == len(CLASSES):
        first = 1  # whoever names the order of seven numbers may count them from 1
    meaning = {unknown: -1}
    for token, place in sorted(distinct.items(), key=lambda item: item[1]):
        value = numbers[token] if numbered else words[token]
        if value is None or (numbered and not 0 <= value - first < len(CLASSES)):
            with where(place):
                raise ValueError(label_error(token, numbers))
        meaning[token] = OFFICIAL.index(order[value - first]) if numbered else value
    return np.array([meaning[token] for token in tokens], np.int64), numbered


def label_error(token: str | int, numbers: dict) -> str:
    """Say what is wrong with a label."""
    written = token if isinstance(token, int) else shown(token.strip())
    wrong = f"label {written} is not a class number from 0 to {len(CLASSES) - 1}"
    if {*numbers.values()} == set(range(1, len(CLASSES) + 1)):
        return f'{wrong}. If the labels count from 1, say which classes they are: ORDER="{" ".join(OFFICIAL)}"'
    return wrong if any(value is not None for value in numbers.values()) else f"{wrong} or one of {', '.join(OFFICIAL)}"
