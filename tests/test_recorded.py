"""Trainings that ship with the kit: recorded, found, scored on other images, trained anew; weights as a preset."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pydantic
import pytest

from fer_utils import claims, data, estimate, metrics, presets, recorded, runs, trainings
from fer_utils.finished import LongTraining
from fer_utils.studies import selftrain

ALL = 12_000_000  # bytes that all weights may have together …
TINY = 102_709, 0.5e6  # … and parameters and bytes of the student
MINI = {"preset": "fast", "profile": "smoke", "model_settings": {"widths": [4, 8]}}


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """An empty folder of recorded trainings."""
    monkeypatch.setattr(recorded, "FOLDER", tmp_path / "recorded")
    (tmp_path / "recorded").mkdir()
    return tmp_path / "recorded"


@pytest.fixture
def mini(on_few_faces, store, shelf):
    """A finished run, recorded with its weights under the name `mini`, and gone from the store."""
    run = runs.Run(**MINI).fit()
    recorded.write(run, "mini", weights=True)
    run.model_before = run.model()
    run.folder.rename(store / "elsewhere")
    run.folder = store / "elsewhere"
    return run


# -- as a run ----------------------------------------------------------------------------------------------------------


def test_a_recorded_run_is_finished_at_once_and_says_so(mini, shelf, store, monkeypatch):
    monkeypatch.setattr(runs.Run, "make", lambda *_: pytest.fail("was trained"))
    found, dataset = runs.Run(**MINI).fit(), data.load()
    assert found.folder == shelf / "mini" and found.is_recorded and found.name == "recorded/mini"
    assert found.origin == f"recorded on {mini.info['processor']}, {mini.info['finished'][:10]}"
    assert not mini.is_recorded and mini.origin == "trained here"
    assert found.history.equals(mini.history)
    for split in ("val", "public", "private"):
        np.testing.assert_allclose(found.probs(dataset, split), mini.probs(dataset, split), atol=2e-3)
        accuracy = metrics.accuracy(dataset.part(split)[1], found.probs(dataset, split))
        assert accuracy.value == mini.info["scores"][split]["value"]
    assert found.model().input_shape == (None, 48, 48, 1)
    assert [run.name for run in trainings.list_recorded()] == ["recorded/mini"] and not list(store.glob("*-s0-*"))


@pytest.mark.parametrize("change", [{"seed": 1}, {"epochs": 2}, {"data": "0" * 16}, {"profile": "quick"}])
def test_another_setting_or_other_training_images_are_not_recorded(mini, change):
    assert runs.Run(**MINI).record() and runs.Run(**MINI | change).record() is None


def test_settings_that_are_newer_than_a_record_do_not_hide_it(mini, shelf):
    told = json.loads((shelf / "mini" / "run.json").read_text())
    del told["settings"]["teacher_weight"]
    (shelf / "mini" / "run.json").write_text(json.dumps(told))
    assert runs.Run(**MINI).record() and runs.Run(**MINI, teacher_weight=0.5).record() is None


def test_a_fresh_training_is_compared_with_its_record(mini, shelf, capsys):
    assert trainings.main(["--reproduce", "mini"]) == 0
    assert "recorded/mini" in (said := capsys.readouterr().out) and "agrees" in said and "n = 41" in said
    assert runs.Run(**MINI).fit().name.startswith("fast-smoke")  # one's own comes first
    told = json.loads((shelf / "mini" / "run.json").read_text())
    labels = data.load().part("public")[1]
    np.savez(shelf / "mini" / "predictions.npz", public=np.eye(7)[labels])  # it claims to know everything
    (shelf / "mini" / "run.json").write_text(json.dumps(told | {"finished": "2020-01-01"}))
    assert trainings.main(["--fresh", "preset=fast", "profile=smoke", "model_settings={'widths': [4, 8]}"]) == 1
    assert "DIFFERS" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "words"),
    [(["E"], "'E' is not recorded; there are: none"), ([], "nothing is recorded for these training images")],
)
def test_what_cannot_be_reproduced_is_said(asked, words, on_few_faces, store, shelf, capsys):
    assert trainings.main(["--reproduce", *asked]) == 1
    assert words in capsys.readouterr().err


# -- other images ------------------------------------------------------------------------------------------------------


def other_test_images(dataset):
    """The same training and validation images, but another public test set."""
    images = np.array(dataset.images)
    public = dataset.where("public")
    images[public] = images[public][::-1]
    return dataclasses.replace(dataset, images=images)


def test_other_test_images_are_predicted_once_and_kept(mini, store, monkeypatch):
    dataset = data.load()
    other = other_test_images(dataset)
    assert other.training == dataset.training and other.fingerprint != dataset.fingerprint
    found = runs.Run(**MINI).fit(other)
    np.testing.assert_allclose(found.probs(other, "public"), mini.probs(dataset, "public")[::-1], atol=0.01)
    monkeypatch.setattr(runs.Finished, "model", lambda _: pytest.fail("was predicted again"))
    assert found.probs(other, "public").shape == (41, 7)
    assert found.probs(other, "val").shape == (35, 7)  # these are the same
    assert not list(store.glob("*/run.json"))[1:]


def test_a_record_without_weights_says_what_is_missing(mini, shelf):
    (shelf / "mini" / "weights.npz").unlink()
    found = runs.Run(**MINI).fit()
    assert found.probs(data.load(), "public").shape == (41, 7)
    with pytest.raises(LongTraining, match="ships without its weights.*make train PRESET=fast.*FRESH=1"):
        found.model()


# -- asked before it trains --------------------------------------------------------------------------------------------


def test_a_report_asks_before_a_long_training(on_few_faces, store, shelf, tmp_path, monkeypatch):
    monkeypatch.setenv("FER_TRAIN", "ask")
    monkeypatch.setenv("FER_CITED", str(tmp_path / "cited"))
    monkeypatch.setattr(runs.Run, "train", lambda self: pytest.fail("was trained"))
    monkeypatch.setattr(estimate, "LONG", 0)
    wanted = [runs.Run(preset="small", profile="full", seed=seed) for seed in (0, 1)]
    with pytest.raises(LongTraining, match=r"2 training\(s\) would take about \d+ .*TRAIN=1"):
        runs.fit_all(wanted)
    (line,) = map(json.loads, (tmp_path / "cited").read_text().splitlines())
    assert line["missing"] == [run.name for run in wanted] and line["seconds"] >= 0
    monkeypatch.setattr(estimate, "LONG", 1e6)
    with pytest.raises(pytest.fail.Exception, match="was trained"):
        wanted[0].fit()


def test_the_work_of_a_training_is_known_before(on_few_faces, store):
    dataset = data.load()
    train, settings = len(dataset.where("train")), presets.PRESETS["A"]
    run = runs.Run(preset="A", profile="full")
    assert run.work(dataset) == train * settings["epochs"] * settings["rounds"]
    assert runs.Run(preset="A", limit=100, epochs=2, rounds=1).work(dataset) == 200
    arm = {"profile": "smoke", "limit": 300, "portion": 100, "first_steps": 10, "steps": 2, "batch": 50}
    assert selftrain.SelfTraining(**arm).work(dataset) == 50 * (10 + 2 * 2)  # three rounds
    assert selftrain.SelfTraining(**arm, arm="FixMatch").work(dataset) == 2 * 50 * (10 + 2 * 2)


@pytest.mark.parametrize("kind", [runs.Run, selftrain.SelfTraining])
def test_the_speed_is_measured(kind, on_few_faces, store):
    settings = kind(preset="small", profile="smoke", batch=16).settings()
    assert estimate.images_per_second(settings, data.load(), seconds=0.05) > 16


# -- weights as a preset -----------------------------------------------------------------------------------------------


def test_recorded_weights_are_a_preset_that_needs_no_training(mini):
    again, dataset = runs.Run(preset="pretrained:mini", profile="quick").fit(), data.load()
    np.testing.assert_allclose(again.probs(dataset, "public"), mini.probs(dataset, "public"), atol=0.01)
    assert again.info["settings"]["depends"] == [recorded.digest("mini")]
    assert again.info["data"]["training_images"] == 0
    assert again.history["loss"].tolist() == mini.history["loss"].tolist()
    assert again.folder.name.startswith("pretrained-mini-quick-s0-")


def test_the_network_is_loaded_without_data(mini):
    loaded = recorded.load("mini")
    for ours, theirs in zip(loaded.get_weights(), mini.model_before.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=1e-4)
    normalise, original = loaded.get_layer("normalise"), mini.model_before.get_layer("normalise")
    assert (normalise.scale, normalise.offset) == pytest.approx((original.scale, original.offset))


def test_weights_are_not_scored_on_images_that_they_were_trained_on(mini, shelf):
    dataset = data.load()
    np.save(shelf / "trained_on.npy", recorded.checksums(dataset.part("train")[0]))
    assert recorded.share_seen("mini", dataset.part("val")[0]) == 0 and runs.Run(preset="pretrained:mini").fit()
    images, split = np.array(dataset.images), np.array(dataset.split)
    split[dataset.where("train")[:100]] = "val"
    shuffled = dataclasses.replace(dataset, images=images, split=split)
    with pytest.raises(data.DataError, match="pretrained:mini was trained on 74% of the val images"):
        runs.Run(preset="pretrained:mini").fit(shuffled)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"preset": "pretrained:big"}, "pretrained:big is not there; there are: mini"),
        ({"preset": "pretrained:mini", "batch": 7}, "batch cannot be changed"),
    ],
)
def test_what_is_not_there_or_cannot_be_is_said(mini, given, words):
    with pytest.raises(pydantic.ValidationError, match=words):
        runs.Run(**given)


@pytest.mark.parametrize("value", [1e6, np.inf, np.nan])
def test_what_half_precision_cannot_hold_is_refused(value):
    with pytest.raises(ValueError, match="float16"):
        recorded.in_half_precision(np.array([1.0, value]))


def test_rounding_changes_no_answer():
    logits = np.array([[8.0001, 8.0, 1, 0, 0, 0, 0], [8.0, 8.0001, 1, 0, 0, 0, 0]], np.float32)
    half = recorded.same_answers(logits)
    assert (
        half.dtype == np.float16
        and half.argmax(axis=1).tolist() == [0, 1] != np.float16(logits).argmax(axis=1).tolist()
    )


# -- what ships --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", recorded.names())
def test_a_record_is_complete(name):
    run = runs.Finished(recorded.FOLDER / name)
    arm, facts = run.info["settings"].get("arm"), {"settings", "data", "seconds", "processor", "finished", "scores"}
    assert facts <= set(run.info) and run.info["seconds"] > 0
    assert arm or {"best_epoch", "flops"} <= set(run.info) and run.info["epochs"] == len(run.history)
    assert run.info["settings"]["data"] == run.info["data"]["fingerprint"]
    assert ("pflop_before" in run.info) == bool(run.info["settings"].get("start"))  # the compute of what it began with
    score = run.info["scores"]["public"]
    assert score["low"] < score["value"] < score["high"] and score["n"] == 3589
    with np.load(run.folder / "predictions.npz") as stored:
        expected = {("public", (3589, 7), "float16")} | ({("val", (2872, 7), "float16")} if not arm else set())
        there = {(name, logits.shape, str(logits.dtype)) for name, logits in stored.items() if "+" not in name}
        assert there == expected
        assert not {"train", "private"} & set(stored)
    if name in recorded.names(weights=True):
        assert run.info["terms"] and sum(np.size(w) for w in recorded.arrays(name)) == run.info["parameters"]


def test_records_are_what_their_presets_train():
    """`Run(preset=E, profile=full)` on FER2013 finds the record of E."""
    for name in set(recorded.names()) & set(claims.REPORTED):
        settings = recorded.info(name)["settings"]
        run = runs.Run(preset=name, profile="full", seed=settings["seed"], data=settings["data"], depends=[])
        assert run.record() == recorded.FOLDER / name, name


def test_the_readme_has_the_recorded_results():
    """After a change: python -m fer_utils.trainings --results."""
    assert trainings.results() in (Path(__file__).parents[1] / "README.md").read_text("utf-8")


def test_the_weights_are_small_enough_to_ship():
    sizes = {name: os.path.getsize(recorded.FOLDER / name / "weights.npz") for name in recorded.names(weights=True)}
    assert sum(sizes.values()) <= ALL
    assert recorded.info("tiny")["parameters"] <= TINY[0] and sizes["tiny"] <= TINY[1]


@pytest.fixture
def fer2013(monkeypatch, store):
    """The real FER2013, loaded; skips where there is none, or another one than that of the records."""
    folder = os.environ.get("FER_TEST_DATA")
    if not folder:
        pytest.skip("needs the real FER2013 ($FER_TEST_DATA)")
    monkeypatch.setenv("FER_DATA", str(Path(folder) / "fer2013-train-public.csv.xz"))
    return data.load()


def test_records_are_of_the_real_fer2013(fer2013):
    for name in recorded.names():
        run = runs.Finished(recorded.FOLDER / name)
        if run.info["data"]["fingerprint"] != fer2013.training:
            continue
        for split in ("val", "public"):
            accuracy = metrics.accuracy(fer2013.part(split)[1], run.probs(fer2013, split))
            assert accuracy.value == pytest.approx(run.info["scores"][split]["value"], abs=1e-9), (name, split)


@pytest.mark.parametrize("name", recorded.names(weights=True))
def test_weights_reach_what_their_record_says(name, fer2013):
    run = runs.Run(preset=f"pretrained:{name}").fit()
    said, seen = (info["scores"]["public"] for info in (recorded.info(name), run.info))
    assert seen["n"] == said["n"] and seen["value"] == pytest.approx(said["value"], abs=0.003)  # half precision
    assert json.loads((run.folder / "run.json").read_text())["settings"]["preset"] == f"pretrained:{name}"


@pytest.mark.parametrize("name", recorded.names(weights=True))
def test_shipped_weights_are_a_preset_of_their_own_recipe(name, on_few_faces, store):
    run = runs.Run(preset=f"pretrained:{name}")
    assert run.depends == [recorded.digest(name)]
    assert recorded.recipe(f"pretrained:{name}") == recorded.info(name)["settings"]["preset"]
    assert recorded.recipe("A") == "A"


def test_the_arm_of_the_ablation_with_the_settings_of_e_is_not_trained_again():
    told = recorded.info("E")["settings"]
    arm = {name: presets.settings("E", "full")[name] for name in ("normalisation", "augmentation")}
    run = runs.Run(preset="E", profile="full", epochs=None, **arm, data=told["data"])
    assert run.record() == recorded.FOLDER / "E"
    assert runs.Run(preset="E", profile="full", normalisation="zscore", data=told["data"]).record() is None
