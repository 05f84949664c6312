"""Votes are joined by row position or refused; what they say about labels is computed as defined."""

import numpy as np
import pandas as pd
import pytest

from fer_utils import data, faces, ferplus
from fer_utils.data import DataError

COLUMNS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")  # of classes 0…6
N = 70
VOTED = np.arange(N) % 7
PARTS = np.repeat(["Training", "PublicTest", "PrivateTest"], [50, 10, 10])


def votes_csv(folder, name="fer2013new.csv", usage=PARTS, **changed):
    """Write a FERPlus csv in which seven people give the label of VOTED, two see contempt, and one no face."""
    columns = {column: 7 * (c == VOTED) for c, column in enumerate(COLUMNS)}
    columns |= {"contempt": 2, "unknown": 0, "NF": 1} | changed
    names = [f"fer{i:07}.png" for i in range(N)]
    frame = pd.DataFrame({"Usage": usage, "Image name": names, **columns})
    shuffled = [*frame.columns[:2], *sorted(frame.columns[2:])]  # FERPlus' order is not that of FER2013 either
    frame[shuffled].to_csv(folder / name, index=False)
    return folder / name


def dataset_of(n=N, labels=VOTED, split=None, source="nowhere.csv", drawn=False):
    """Make a dataset of black images with the rows of `votes_csv`."""
    split = np.repeat(["train", "public", "private"], [50, 10, 10]) if split is None else split
    split = np.where(np.arange(N) % 10 == 3, np.where(split == "train", "val", split), split)
    images = np.zeros((n, 48, 48, 1), np.uint8)
    return data.Dataset(images, labels[:n], split[:n], "FER2013 (test)", str(source), "0", (), drawn)


pytestmark = pytest.mark.usefixtures("own_folders")


@pytest.mark.parametrize("n", [N, 61], ids=["all rows", "the first rows"])
def test_votes_join_by_position(tmp_path, n):
    counts = ferplus.votes(dataset_of(n), votes_csv(tmp_path))
    assert counts.shape == (n, len(ferplus.VOTES)) and counts.dtype == np.int64
    assert (counts[:, :7].argmax(axis=1) == VOTED[:n]).all()
    assert (counts[:, 7:] == [2, 0, 1]).all()


def test_rows_without_a_name_count(tmp_path):
    path = votes_csv(tmp_path)
    path.write_text(path.read_text().replace("fer0000003.png", "").replace("fer0000004.png", ""))
    assert (ferplus.votes(dataset_of(), path)[:, :7].argmax(axis=1) == VOTED).all()
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if ",," not in line))
    with pytest.raises(DataError, match=r"68 rows .* as it is, with the rows that have no name"):
        ferplus.votes(dataset_of(), path)


LABEL_CSV = 'fer0000000.png,"(0, 0, 48, 48)",4,0,0,1,3,2,0,0,0,0\n'


def test_the_label_csv_of_ferplus_folders_is_refused(tmp_path, monkeypatch):
    (tmp_path / "FER2013Train").mkdir()
    path = tmp_path / "FER2013Train" / "label.csv"
    path.write_text(LABEL_CSV * N)
    for given in (path, path.parent):
        monkeypatch.setenv("FER_PLUS", str(given))
        with pytest.raises(DataError, match=r"is not FERPlus' fer2013new.csv .* tells no rows"):
            ferplus.votes(dataset_of(source=tmp_path / "fer2013.csv"))
    monkeypatch.setenv("FER_PLUS", str(tmp_path))
    votes_csv(tmp_path)
    assert ferplus.votes(dataset_of(source="elsewhere/fer2013.csv")) is not None, "$FER_PLUS may be FERPlus' folder"


def test_votes_are_found(tmp_path, monkeypatch):
    beside, inside, named = (tmp_path / name for name in ("beside", "data", "named"))
    for folder in (beside, inside, inside / "fer2013", named):
        folder.mkdir()
    assert ferplus.votes(dataset_of(source=beside / "fer2013.csv")) is None
    votes_csv(beside, "my_FERPlus.csv".lower())
    votes_csv(inside)
    for source in (beside / "fer2013.csv", beside, inside, inside / "fer2013" / "fer2013.csv"):
        assert ferplus.votes(dataset_of(source=source)) is not None, source
    monkeypatch.setenv("FER_PLUS", str(votes_csv(named, "other.csv", contempt=0)))
    assert (ferplus.votes(dataset_of(source=beside / "fer2013.csv"))[:, 7] == 0).all(), "$FER_PLUS goes first"
    assert ferplus.votes(dataset_of(source="drawn", drawn=True)) is None


def test_label_probs_follow_the_votes_but_not_the_images_own_label(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_PLUS", str(votes_csv(tmp_path)))
    dataset = dataset_of(source=tmp_path / "fer2013.csv")
    probs = ferplus.label_probs(dataset)
    labels = dataset.labels[dataset.where("train")]
    assert probs.shape == (len(labels), 7) and probs.dtype == np.float32
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-5)
    assert (probs.argmax(axis=1) == labels).all()
    changed = np.array(dataset.labels)
    changed[dataset.where("train")[0]] = (labels[0] + 1) % 7
    other = ferplus.label_probs(dataset_of(labels=changed, source=tmp_path / "fer2013.csv"))
    np.testing.assert_array_equal(other[0], probs[0])


def test_label_probs_without_votes_say_what_is_missing(tmp_path):
    with pytest.raises(DataError, match=r"has no votes: put FERPlus' fer2013new.csv beside"):
        ferplus.label_probs(dataset_of(source=tmp_path / "fer2013.csv"))


MISFITS = {
    "fewer rows": (lambda: dataset_of(split=np.tile(["train"], N)), {"usage": np.tile(["Training"], N)}, 60, "60 rows"),
    "another Usage": (dataset_of, {"usage": PARTS[::-1]}, N, "image 0 .* Usage is private"),
    "a test that is neither": (lambda: dataset_of(split=np.repeat(["train", "test"], [50, 20])), {}, N, "image 50"),
    "another order": (lambda: dataset_of(labels=(VOTED + 3) % 7), {}, N, "agree with only 0%"),
}


@pytest.mark.parametrize(("make", "changed", "rows", "message"), MISFITS.values(), ids=MISFITS)
def test_votes_that_do_not_fit_are_refused(tmp_path, make, changed, rows, message):
    path = votes_csv(tmp_path, **changed)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[: rows + 1]))
    with pytest.raises(DataError, match=message):
        ferplus.votes(make(), path)


@pytest.mark.parametrize(
    "text", ["emotion,pixels,Usage\n0,1 2 3,Training\n", "", None], ids=["other", "empty", "missing"]
)
def test_another_file_is_refused(tmp_path, text):
    path = tmp_path / "votes.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match="votes.csv: is not FERPlus"):
        ferplus.votes(dataset_of(), path)


def test_votes_beside_fer2013_do_not_change_it(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    folder, images = tmp_path / "source", faces.draw(N, seed=1).images
    folder.mkdir()
    pixels = [" ".join(map(str, image.ravel())) for image in images]
    rows = [f"{VOTED[i]},{pixels[i]},{PARTS[i]}\n" for i in range(N)]
    (folder / "fer2013.csv").write_text("".join(["emotion,pixels,Usage\n", *rows]))
    alone = data.load(folder)
    votes_csv(folder)
    dataset = data.load(folder)
    assert dataset.fingerprint == alone.fingerprint
    assert (ferplus.votes(dataset)[:, :7].argmax(axis=1) == dataset.labels).all()


VOTES = np.array(
    [
        [9, 1, 0, 0, 0, 0, 0, 0, 0, 0],  # clear
        [0, 4, 4, 0, 0, 0, 0, 0, 1, 1],  # a tie of two classes
        [3, 0, 0, 0, 0, 0, 0, 6, 1, 0],  # contempt, which is not one of the seven
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 10],  # none of the seven, which all tie
    ]
)


# votes on one image -> the answer that most people gave
MOST = [
    ([6, 0, 0, 0, 0, 0, 4, 0, 0, 0], 0),
    ([1, 1, 1, 1, 1, 3, 2, 0, 0, 0], 5),
    ([4, 0, 4, 0, 0, 0, 2, 0, 0, 0], -1),
    ([4, 0, 0, 0, 0, 0, 0, 6, 0, 0], 7),
    ([5, 0, 0, 0, 0, 0, 0, 5, 0, 0], -1),
    ([0] * 9 + [10], 9),
    ([0] * 10, -1),
]


@pytest.mark.parametrize(("votes", "expected"), MOST)
def test_most_voted(votes, expected):
    assert ferplus.most_voted(np.array([votes])).tolist() == [expected]


def test_most_voted_answer_and_its_hits():
    assert ferplus.most_voted(VOTES).tolist() == [0, -1, 7, 9]
    assert ferplus.choice_hits(np.array([0, 2, 0, 5]), VOTES) == pytest.approx([1, 1 / 2, 1, 1 / 7])
    assert ferplus.choice_hits(np.array([1, 3, 5, 5]), VOTES) == pytest.approx([0, 0, 0, 1 / 7])


# -- FER2013 -----------------------------------------------------------------------------------------------------------


def test_votes_for_fer2013_see_no_face_in_a_blank_image(real):
    counts = ferplus.votes(real)
    assert counts.shape == (len(real.labels), 10)
    assert (
        ferplus.most_voted(counts)[np.ptp(real.images, axis=(1, 2, 3)) == 0] == ferplus.VOTES.index("not a face")
    ).all()
    first = data.group_identical(real.images)  # copies have the same votes unless the order is wrong
    assert (counts == counts[first]).all(axis=1).mean() > 0.99
