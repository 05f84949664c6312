"""Mutual confusions, agreement with people's votes, and the notebook about them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import papermill
import pytest

from fer_utils import data, ferplus, metrics, runs
from fer_utils.studies import mistakes

KIT = Path(__file__).resolve().parents[1]
RNG = np.random.default_rng(0)


def mixed_up(there, back, n_a, n_b):
    """(7, 7) counts where class 2 (n_a images) and class 4 (n_b) are taken for each other; the rest is correct."""
    counts = np.diag([50, 50, n_a - there, 50, n_b - back, 50, 50])
    counts[2, 4], counts[4, 2] = there, back
    return counts


def the_pair(counts):
    table = mistakes.asymmetry(counts)
    return table[[{a, b} == {2, 4} for a, b in zip(table["a"], table["b"], strict=True)]].iloc[0]


def test_a_mutual_confusion_is_symmetric_whatever_the_sizes_of_the_classes():
    row = the_pair(mixed_up(there=100, back=20, n_a=500, n_b=100))
    assert (row["difference"].value, row["p"]) == (0, 1)
    assert (row["there"].value, row["back"].value) == (0.2, 0.2)


def test_asymmetry_is_found_despite_equal_counts_and_the_frequent_direction_comes_first():
    row = the_pair(mixed_up(there=40, back=40, n_a=500, n_b=100))
    assert (row["a"], row["b"]) == (4, 2) and (row["there"], row["back"]) == (
        metrics.share(40, 100),
        metrics.share(40, 500),
    )
    assert row["difference"].low > 0 and row["difference"].value == pytest.approx(32)
    assert row["p_holm"] == pytest.approx(21 * row["p"]) and row["p_holm"] < 0.001  # of all 21 pairs


def test_a_class_without_images_is_not_tested():
    counts = mixed_up(there=40, back=0, n_a=500, n_b=0)
    table = mistakes.asymmetry(counts)
    assert len(table) == 21 and table["p"].isna().sum() == table["p_holm"].isna().sum() == 6


def test_second_choices_are_compared_with_the_other_mistakes():
    labels = np.repeat([2, 0], 40)
    probs = np.zeros((80, 7))
    probs[:40, [4, 2]] = 0.6, 0.4  # class 2 is taken for 4, itself second
    probs[40:, [6, 1, 0]] = 0.6, 0.3, 0.1
    every, table = mistakes.truth_second(labels, probs, [(2, 4, None), (0, 6, None)])
    assert every == metrics.share(40, 80)
    assert [share.value for share in table["share"]] == [1, 0]
    assert table["more"].tolist() == [True, False] and table["less"].tolist() == [False, True]
    assert len(mistakes.truth_second(labels, probs, [])[1]) == 0


def test_the_most_frequent_mistakes_recur():
    labels, answers = np.array([0, 0, 2, 3, 3, 3]), np.array([1, 1, 4, 5, 5, 5])
    assert mistakes.most_frequent(labels, answers) == [((3, 5), 3), ((0, 1), 2)]


def test_agreement_leaves_out_ties_and_answers_that_are_none_of_the_seven_classes():
    classes, said = np.array([0, 1, 2, 3, 4, 5, 6]), np.array([0, 2, -1, 6, -1, 7, 9])
    assert mistakes.agreement(classes, said) == metrics.share(1, 3)


# -- the notebook, where images have twins and votes -------------------------------------------------------------------


@pytest.fixture
def faces_with_twins_and_votes(few_faces, tmp_path, monkeypatch):
    """Draw faces: five test images are copies of training images, and the votes agree with four labels of five."""
    arrays = dict(np.load(few_faces))
    train, public = (np.flatnonzero(arrays["split"] == split) for split in ("train", "public"))
    arrays["images"][public[:5]] = arrays["images"][train[:5]]
    np.savez(tmp_path / "faces.npz", **arrays)
    said = np.where(np.arange(len(arrays["labels"])) % 5, arrays["labels"], 3)
    votes = pd.DataFrame(10 * np.eye(10, dtype=int)[said], columns=ferplus.VOTE_COLUMNS)
    usage = {split: name for name, split in ferplus.USAGES.items()}
    votes.insert(0, "Usage", [usage[split] for split in arrays["split"]])
    votes.to_csv(tmp_path / "fer2013new.csv", index=False)
    monkeypatch.setenv("FER_DATA", str(tmp_path / "faces.npz"))
    monkeypatch.setenv("FER_PLUS", str(tmp_path / "fer2013new.csv"))


@pytest.fixture
def finished(faces_with_twins_and_votes, store):
    """Leave a finished run with random predictions in the store, so that the notebook has nothing to train."""
    folder, dataset = runs.Run(preset="small", profile="smoke").folder, data.load()
    folder.mkdir(parents=True)
    logits = {split: RNG.normal(size=(len(dataset.where(split)), 7)) for split in ("val", "public")}
    np.savez(folder / "predictions.npz", **logits)
    known = {
        "name": dataset.name,
        "fingerprint": dataset.training,
        "splits": dataset.fingerprints,
        "training_images": 100,
    }
    (folder / "run.json").write_text(json.dumps({"epochs": 1, "data": known}))


def test_the_notebook_reports_twins_and_votes(finished, tmp_path):
    notebook, given = KIT / "notebooks/confusion.ipynb", {"profile": "smoke", "preset": "small"}
    out = str(tmp_path / "out.ipynb")
    executed = papermill.execute_notebook(str(notebook), out, given, cwd=str(tmp_path), progress_bar=False)
    outputs = [
        output.get("metadata", {}).get("fer", {}) for cell in executed.cells for output in cell.get("outputs", [])
    ]
    rows = {fer["name"]: fer["rows"] for fer in outputs if fer.get("kind") == "table"}
    said = json.dumps([fer["text"] for fer in outputs if fer.get("kind") == "say"])
    assert '"seen.n:,": "5"' in said and "Without the test images that also occur in training" in said
    assert len(rows["tab-people"]) == 3
