"""Weights that come with the kit: exported, loaded, and used as any other run."""

import json
import os
from pathlib import Path

import numpy as np
import pydantic
import pytest

from fer_utils import data, pretrained, runs

ALL = 6_000_000  # bytes that all weights may have together …
TINY = 102_709, 0.5e6  # … and parameters and bytes of the student


@pytest.fixture
def exported(on_few_faces, store, tmp_path, monkeypatch):
    """A finished run, kept under the name `mini`."""
    widths = {"model_settings": {"widths": [4, 8]}}
    run = runs.Run(preset="fast", profile="smoke", **widths).fit()
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    pretrained.export(run, "mini")
    return run


def test_exported_weights_are_a_run_that_needs_no_training(exported, monkeypatch):
    again, dataset = runs.Run(preset="pretrained:mini", profile="quick").fit(), data.load()
    half_precision = {"atol": 0.01}
    np.testing.assert_allclose(again.probs(dataset, "public"), exported.probs(dataset, "public"), **half_precision)
    assert again.info["settings"]["depends"] == pretrained.card("mini")["settings"]["depends"]
    assert again.info["data"]["training_images"] == 0
    assert again.history["loss"].tolist() == exported.history["loss"].tolist()
    assert again.model().input_shape == (None, 48, 48, 1)
    assert again.folder.name.startswith("pretrained-mini-quick-s0-")


def test_the_network_is_loaded_without_data(exported):
    loaded = pretrained.load("mini")
    for ours, theirs in zip(loaded.get_weights(), exported.model().get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=1e-4)
    normalise, original = loaded.get_layer("normalise"), exported.model().get_layer("normalise")
    assert (normalise.scale, normalise.offset) == pytest.approx((original.scale, original.offset))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"preset": "pretrained:big"}, "pretrained:big is not there; there are: mini"),
        ({"preset": "pretrained:mini", "batch": 7}, "batch cannot be changed"),
    ],
)
def test_what_is_not_there_or_cannot_be_is_said(exported, given, words):
    with pytest.raises(pydantic.ValidationError, match=words):
        runs.Run(**given)


@pytest.mark.parametrize("name", pretrained.names())
def test_a_card_tells_where_weights_come_from(name):
    known = pretrained.card(name)
    assert {"fingerprint", "name", "training_images"} <= set(known["data"])
    assert known["terms"] and known["seconds"] > 0 and known["epochs"] == len(known["history"].split()) - 1
    assert known["scores"]["public"]["low"] < known["scores"]["public"]["value"] < known["scores"]["public"]["high"]
    assert sum(np.size(w) for w in pretrained.arrays(name)) == known["parameters"]


def test_the_weights_are_small_enough_to_ship():
    sizes = {name: os.path.getsize(pretrained.FOLDER / f"{name}.npz") for name in pretrained.names()}
    assert sum(sizes.values()) <= ALL
    if "tiny" in sizes:
        assert pretrained.card("tiny")["parameters"] <= TINY[0] and sizes["tiny"] <= TINY[1]


@pytest.mark.parametrize("name", pretrained.names())
def test_the_card_says_what_the_weights_reach(name, monkeypatch, store):
    folder = os.environ.get("FER_TEST_DATA")
    if not folder:
        pytest.skip("needs the real FER2013 ($FER_TEST_DATA)")
    monkeypatch.setenv("FER_DATA", str(Path(folder) / "fer2013-train-public.csv.xz"))
    run = runs.Run(preset=f"pretrained:{name}").fit()
    if data.fingerprint() != pretrained.card(name)["data"]["fingerprint"]:
        pytest.skip("other images than the weights were trained on")
    said, seen = (info["scores"]["public"] for info in (pretrained.card(name), run.info))
    assert seen["n"] == said["n"] and seen["value"] == pytest.approx(said["value"], abs=0.003)  # half precision
    assert json.loads((run.folder / "run.json").read_text())["settings"]["preset"] == f"pretrained:{name}"


@pytest.mark.parametrize("name", pretrained.names())
def test_shipped_weights_are_a_preset_of_their_own_recipe(name, on_few_faces, store):
    run = runs.Run(preset=f"pretrained:{name}")
    assert run.depends == pretrained.card(name)["settings"]["depends"]
    assert pretrained.recipe(f"pretrained:{name}") == name and pretrained.recipe("A") == "A"
