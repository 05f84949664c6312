import csv
import gzip
import os
import sys

import numpy as np
import pytest
from PIL import Image

from fer_utils import data, finished, predict, runs
from fer_utils.labels import CLASSES
from fer_utils.readers import DataError

GREY = np.arange(2304).reshape(48, 48) % 256
CELL = " ".join(map(str, GREY.ravel()))


@pytest.fixture(scope="module")
def trained(few_faces, tmp_path_factory):
    """One finished run that predicts more than one class, with its store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_DATA", str(few_faces))
        patch.setenv("FER_RUNS", str(tmp_path_factory.mktemp("runs")))
        brief = {"normalisation": "image", "augmentation": {}, "learning_rate": 3e-3, "batch": 15, "epochs": 2}
        model = {"model": "dnn", "model_settings": {"widths": [64]}}
        yield runs.Run(preset="A-dnn", profile="smoke", **brief, **model).fit()


@pytest.fixture
def weights(trained, tmp_path):
    """A folder with the files of that run that predicting needs."""
    predict.keep(trained, tmp_path / "weights")
    return tmp_path / "weights"


@pytest.fixture
def test_csv(trained, on_few_faces, tmp_path):
    """The public images as the course's test.csv, with ids that are not sorted."""
    images, _ = data.load().part("public")
    ids = np.random.default_rng(1).permutation(len(images))
    rows = [f"{i},{' '.join(map(str, image.ravel()))}" for i, image in zip(ids, images, strict=True)]
    (tmp_path / "test.csv").write_text("\n".join(["id,feature", *rows]))
    return tmp_path / "test.csv"


def read_rows(path):
    return list(csv.reader(path.open(newline="", encoding="utf-8", errors="surrogateescape")))


# -- reading a csv -----------------------------------------------------------------------------------------------------

# forms of the same two rows
GOOD = {
    "plain": f"id,feature\n7,{CELL}\n3,{CELL}\n",
    "columns the other way round": f"feature,id\n{CELL},7\n{CELL}, 3\n",
    "semicolons, quotes, BOM": f'\ufeffid;feature\n"7";"{CELL}"\n"3";"{CELL}"',
    "a label as well": f"id,label,feature\n7,6,{CELL}\n3,0,{CELL}\n",
    "Windows, blank lines": f"id,pixels\r\n\r\n7,{CELL}\r\n3,{CELL}\r\n\r\n",
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
@pytest.mark.parametrize("name", ["test.csv", "a 'test', \"new\".csv", "-x.csv.gz"])
def test_a_csv_is_read_in_its_order(text, name, tmp_path):
    raw = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    inputs = predict.read(tmp_path / name)
    assert inputs.ids == ["7", "3"]
    assert inputs.images.dtype == np.uint8 and (inputs.images == GREY[None, ..., None]).all()


# what is in the file -> words of the message
WRONG = [
    (f"id,image\n1,{CELL}\n", ["row 1", "'id,image'", "columns id and feature"]),
    (f"label,feature\n1,{CELL}\n", ["row 1", "'label,feature'", "columns id and feature"]),
    ("", ["columns id and feature"]),
    ("PK\3\4 no zip", ["columns id and feature"]),
    ("id,feature\n", ["no rows"]),
    (f"id,feature\n1,{CELL}\n2,{CELL} 5\n", ["row 3", "2,305 pixels", "2,304"]),
    (f"id,feature\n1,{CELL[:-4]}\n", ["row 2", "2,303 pixels"]),
    (f"id,feature\n1,{CELL}\n2,256 {CELL[2:]}\n", ["row 3", "pixel 1 is '256'", "0 to 255"]),
    (f"id,feature\n1,-1 {CELL[2:]}\n", ["row 2", "'-1'"]),
    (f"id,feature\n1,0.5 {CELL[2:]}\n", ["row 2", "'0.5'"]),
    ("id,feature\n1,\n", ["row 2", "empty"]),
    (f"id,feature\n1,{CELL}\n2\n", ["row 3", "1 cells where the header has 2"]),
    (f"id,feature\n1,{CELL}\n2,{CELL}\n1,{CELL}\n", ["row 4", "id '1' is already in row 2"]),
    (f"id,feature\n ,{CELL}\n", ["row 2", "id '' is empty"]),
]


@pytest.mark.parametrize(("text", "words"), WRONG, ids=[words[-1] for _, words in WRONG])
def test_a_wrong_csv_is_refused_by_row(text, words, tmp_path, capsys):
    (tmp_path / "test.csv").write_text(text)
    (tmp_path / "out.csv").write_text("an earlier prediction")
    assert predict.main([str(tmp_path / "test.csv"), str(tmp_path / "out.csv")]) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"error: {tmp_path}/test.csv")
    assert [word for word in words if word not in message] == []
    assert (tmp_path / "out.csv").read_text() == "an earlier prediction"


# -- reading a folder --------------------------------------------------------------------------------------------------

NAMES = ["a, b.png", 'q"uote\nline.PNG', "=1+1.png", "學生/臉 1.png", "-x.png"]
NAMES += [os.fsdecode(b"latin\xe9.png")] if sys.platform == "linux" else []  # macOS takes names in UTF-8 alone


def test_a_folder_of_face_crops_whatever_their_names(weights, tmp_path, monkeypatch):
    folder = tmp_path / "some faces"
    (folder / "學生").mkdir(parents=True)
    for name in NAMES:
        Image.fromarray(GREY.astype(np.uint8)).save(folder / name)
    (folder / "notes.txt").write_text("no image")
    out = tmp_path / "out.csv"
    assert predict.main([str(folder), str(out), "--weights", str(weights), "--detail"]) == 0
    header, *rows = read_rows(out)
    assert header == ["id", "label", "class", "probability"]
    assert sorted(row[0] for row in rows) == sorted(NAMES)
    for _, label, name, probability in rows:
        assert CLASSES[int(label)] == name and 1 / 7 <= float(probability) <= 1
    monkeypatch.setattr(finished, "KIT", tmp_path)  # without a name for the csv
    assert predict.main([str(folder), "--weights", str(weights)]) == 0
    assert read_rows(tmp_path / "build/prediction-some faces-weights.csv")[1:] == [row[:2] for row in rows]


def test_crops_of_any_size_and_colour(tmp_path):
    wide = np.zeros((96, 192), np.uint8)  # its middle square is white
    wide[:, 48:144] = 255
    Image.fromarray(wide).save(tmp_path / "1.png")
    Image.fromarray(GREY.astype(np.uint8)).convert("RGB").save(tmp_path / "2.png")
    Image.new("RGB", (500, 500), (255, 0, 0)).save(tmp_path / "3.jpg")
    images = predict.read(tmp_path).images
    assert images.shape == (3, 48, 48, 1) and images.dtype == np.uint8
    assert images[0].mean() > 250
    np.testing.assert_array_equal(images[1, ..., 0], GREY)  # unchanged
    assert abs(int(images[2].mean()) - 76) <= 1  # the luminance of pure red


def test_damaged_images_are_named(tmp_path):
    with pytest.raises(DataError, match="no PNG or JPG"):
        predict.read(tmp_path)
    (tmp_path / "x.png").write_bytes(b"\x89PNG nothing else")
    with pytest.raises(DataError, match="x.png: unreadable"):
        predict.read(tmp_path)
    Image.fromarray(np.zeros((48, 48), np.uint16)).save(tmp_path / "x.png")
    with pytest.raises(DataError, match="x.png.*8 bits"):
        predict.read(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        predict.read(tmp_path / "none")


# -- predicting --------------------------------------------------------------------------------------------------------


def test_the_prediction_is_the_runs_own(trained, test_csv, weights, tmp_path):
    out = tmp_path / "out.csv"
    assert predict.main([str(test_csv), str(out), "--weights", str(weights)]) == 0
    header, *rows = read_rows(out)
    assert header == ["id", "label"]
    assert [row[0] for row in rows] == predict.read(test_csv).ids
    labels = [int(label) for _, label in rows]
    assert labels == trained.probs(data.load(), "public").argmax(axis=1).tolist() and len(set(labels)) > 1


def test_views_are_averaged_if_the_run_did_so(trained, on_few_faces, monkeypatch):
    from fer_utils import training

    images, _ = data.load().part("public")
    monkeypatch.setitem(trained.info["settings"], "tta", "flip")
    monkeypatch.setattr(predict, "CHUNK", 50)
    expected = np.exp(training.predict_views(predict.load_model(trained), images, "flip"))
    of_views = np.abs(predict.predict(trained, images) - expected).max()
    monkeypatch.setitem(trained.info["settings"], "tta", "none")
    assert of_views < 0.1 * np.abs(predict.predict(trained, images) - expected).max()


def test_a_missing_run_is_trained(test_csv, store, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(finished, "KIT", tmp_path)
    assert predict.main([str(test_csv), "--run", "preset=A-dnn", "profile=smoke", "augmentation={}"]) == 0
    (run,) = runs.list_finished()
    assert run.info["settings"]["augmentation"] == {}
    assert len(read_rows(tmp_path / f"build/submission-{run.folder.name}.csv")) == 1 + len(predict.read(test_csv).ids)
    assert "submission-A-dnn-smoke" in capsys.readouterr().out


# arguments -> words of the message
REFUSED = [
    (["{test}", "{test}", "--weights", "{weights}"], "holds the images"),
    (["{test}", "{room}", "--weights", "{weights}"], "is not a file"),
    (["{test}", "/dev/null", "--weights", "{weights}"], "is not a file"),
    (["{test}", "{room}/none/out.csv", "--weights", "{weights}"], "no such folder"),
    (["{test}", "{room}/out.csv", "--weights", "{room}/none"], "has no model.keras: train first"),
    (["{test}", "{room}/out.csv", "--run", "preset=Z"], "not one of: A, A-dnn"),
    (["{test}", "{room}/out.csv", "--run", "epochs"], "name=value"),
    (["{test}", "{room}/out.csv", "--run", "epocs=3"], "there is no setting 'epocs'"),
    (["{test}", "{room}/out.csv", "--run", "source=/none/train.csv"], "/none/train.csv: there is no such file"),
    (["--keep", "{room}", "--weights", "{weights}"], "contains other files"),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_errors_are_reported_and_nothing_is_written(arguments, words, test_csv, weights, store, tmp_path, capsys):
    before = test_csv.read_bytes(), sorted(os.listdir(tmp_path))
    filled = [argument.format(test=test_csv, weights=weights, room=tmp_path) for argument in arguments]
    assert predict.main(filled) == 1
    assert words in capsys.readouterr().err
    assert (test_csv.read_bytes(), sorted(os.listdir(tmp_path))) == before


def test_a_damaged_model_is_reported(weights, test_csv, tmp_path, capsys):
    (weights / "model.keras").write_bytes((weights / "model.keras").read_bytes()[:5000])
    assert predict.main([str(test_csv), str(tmp_path / "out.csv"), "--weights", str(weights)]) == 1
    assert "model.keras cannot be loaded" in capsys.readouterr().err and not (tmp_path / "out.csv").exists()


def test_nothing_to_do_is_an_error():
    with pytest.raises(SystemExit):
        predict.main([])


# -- writing -----------------------------------------------------------------------------------------------------------


def test_a_prediction_is_written_completely_or_not_at_all(tmp_path, monkeypatch):
    out, probs = tmp_path / "out.csv", np.eye(7, dtype=np.float32)
    predict.write(out, list("abcdefg"), probs)
    assert out.read_bytes() == b"id,label\n" + b"".join(b"%c,%d\n" % (97 + i, i) for i in range(7))
    with pytest.raises(ValueError, match="zip"):
        predict.write(out, ["fewer"], probs)

    def full(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        predict.write(out, ["other"], probs[:1])
    assert os.listdir(tmp_path) == ["out.csv"] and len(read_rows(out)) == 8


def test_old_weights_stay_until_the_new_ones_are_complete(trained, weights, tmp_path, monkeypatch):
    before = {path.name: path.read_bytes() for path in weights.iterdir()}
    assert sorted(before) == ["model.keras", "run.json"]
    (weights / "run.json").write_text("older")
    half = runs.Finished(trained.folder)
    half.folder = tmp_path / "half"
    half.folder.mkdir()
    (half.folder / "model.keras").write_text("new")  # and no run.json
    with pytest.raises(FileNotFoundError):
        predict.keep(half, weights)
    assert (weights / "run.json").read_text() == "older"
    predict.keep(trained, weights)
    assert {path.name: path.read_bytes() for path in weights.iterdir()} == before
    assert sorted(os.listdir(tmp_path)) == ["half", "weights"]
