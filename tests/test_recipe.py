"""The recipe of a training beside the one of its report."""

from types import SimpleNamespace

import pytest

from fer_utils import augment, claims, models, presets, runs
from fer_utils.studies import recipe


def finished(preset, profile="full", images=25_837, **given):
    """Stands for a Finished of these settings, trained for all its epochs."""
    settings = runs.Run(preset=preset, profile=profile, data="x", depends=[], **given).settings()
    known = {"epochs": settings["epochs"], "best_epoch": 1, "seconds": 4113.7, "processor": "a machine, 2 cores"}
    parameters = claims.REPORTED.get(preset, {"parameters": 5})["parameters"]
    info = {"settings": settings, "parameters": parameters, "data": {"training_images": images}, **known}
    return SimpleNamespace(info=info, is_recorded=False)


def table_of(run):
    """The rows as dict of setting -> the other cells."""
    network = models.build(run.info["settings"]["model"])
    rows = recipe.table(run, network)
    return rows, {row["setting"]: list(row.values())[1:] for row in rows}


# preset, profile -> settings that differ from the report
DEVIATIONS = [
    ("A", "full", {"epochs", "early stopping"}),
    ("A", "quick", {"augmentation", "batch size", "epochs", "early stopping"}),
    ("A-dnn", "full", set()),
    ("B", "full", set()),
    ("B", "quick", {"early stopping"}),
    ("C", "full", set()),
    ("D", "full", {"epochs"}),
    ("D-dnn", "full", set()),
    ("E", "full", set()),
    ("E", "quick", {"epochs"}),
]


@pytest.mark.parametrize(("preset", "profile", "expected"), DEVIATIONS)
def test_what_differs_from_the_report_is_marked(preset, profile, expected):
    rows, _ = table_of(finished(preset, profile))
    assert {row["setting"] for row in rows if row["comparison"] == "differs"} == expected
    assert all((row["comparison"] is None) == (row["in its report"] is None) for row in rows)
    (sentence,) = recipe.compared(rows)
    assert all(name in sentence for name in expected) and ("Different" in sentence) == bool(expected)


def test_a_preset_without_a_report_has_its_recipe_alone():
    rows, cells = table_of(finished("small"))
    assert all(list(row) == ["setting", "here"] for row in rows) and recipe.compared(rows) == []
    assert cells["augmentation"] == ["shift ±10\u00a0%, rotation ±10°, mirroring"]
    assert cells["epochs"] == ["30 (30 at most); 1 was the best"]
    assert cells["time"] == ["1 h 9 min"] and cells["machine"] == ["a machine, 2 cores"]
    assert "label smoothing" not in cells and "penalty on the weights" not in cells


def test_values_are_in_words():
    _, cells = table_of(finished("A"))
    assert cells["epochs"] == ["15 (3 rounds of 15); 1 was the best", "rounds of 20 epochs", "differs"]
    assert cells["early stopping"] == ["none", "yes, value not stated", "differs"]  # 15 of 15 epochs
    _, cells = table_of(finished("B"))
    assert cells["early stopping"][0] == "after 12 epochs without progress"
    _, cells = table_of(finished("E"))
    assert cells["penalty on the weights"][0] == cells["penalty on the weights"][1] == "L1 3×10⁻⁵, L2 5×10⁻⁵"
    _, cells = table_of(finished("fast"))
    assert cells["learning rate"] == ["0.003, rises over the first fifth of the steps, then falls to 0"]
    assert cells["label smoothing"] == ["0.1"] and cells["image sizes"] == ["24, 36, 48"]


def test_weights_that_were_not_trained_here_have_no_time_and_no_machine():
    assert {"time", "machine"}.isdisjoint(table_of(finished("A", images=0))[1])


def test_every_setting_has_a_label_and_every_augmentation_words():
    own = {"preset", "source", "data", "depends", "infra", "model", "model_settings"}
    assert set(runs.Run.model_fields) - own == set(recipe.LABELS) - {"penalty"}
    assert set(augment.SETTINGS) == set(recipe.AMOUNTS)
    assert set(claims.STATED) <= set(claims.REPORTED)


@pytest.mark.parametrize("preset", presets.PRESETS)
def test_every_recipe_can_be_told(preset):
    rows, _ = table_of(finished(preset))
    assert all(row["here"] for row in rows)


def test_differing_names_settings_and_not_the_network():
    settings = {"batch": 32, "preset": "A", "model": "cnn_a", "epochs": 4, "keep": "best", "patience": 8}
    cnn = SimpleNamespace(info={"settings": settings})
    others = {"preset": "A-dnn", "model": "dnn_a", "epochs": 15, "patience": None}
    run = SimpleNamespace(info={"settings": settings | others})
    said = ["epochs 15 instead of 4", "early stopping none instead of after 8 epochs without progress"]
    assert recipe.differing(run, cnn) == said
    assert recipe.differing(cnn, cnn) == []


@pytest.mark.parametrize(("seconds", "said"), [(34.2, "34 s"), (150, "2 min"), (4113.7, "1 h 9 min")])
def test_durations(seconds, said):
    assert recipe.duration(seconds) == said
