"""A student's own network: notebooks/mine.py, a function in a cell, a trained file; what is said of their errors."""

import dataclasses
import json
import shutil
from pathlib import Path

import nbformat
import numpy as np
import papermill
import pytest
from fer_report import __main__ as command
from fer_report import handin, keys, parameters
from fer_report.project import Project
from nbformat.v4 import new_code_cell, new_notebook

from fer_utils import data, own, presets, recorded, runs

KIT = Path(__file__).resolve().parents[1]
MINE = '''import keras
from keras import layers


def model(width=4):
    """A network."""
    return keras.Sequential([
        keras.Input((48, 48, 1)),
        layers.Rescaling(1 / 255),
        layers.Conv2D(width, 5, strides=4, activation="relu"),
        layers.Flatten(),
        layers.Dense(7, activation="softmax"),
    ])


def wide():
    return model(8)


settings = {
    "epochs": 2,
    "batch": 50,
    "smoke": {"augmentation": {"flip": True}},
}
'''


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Write a mine.py and let the kit use it: a function of its text, or of (old, new) to replace in MINE."""
    path = tmp_path / "mine.py"
    monkeypatch.setattr(own, "MINE", path)

    def write(text=MINE, new=None):
        path.write_text(MINE.replace(text, new) if new is not None else text)
        return path

    write()
    return write


# -- notebooks/mine.py -------------------------------------------------------------------------------------------------


def test_the_shipped_example_is_short_and_says_its_settings():
    assert len((KIT / "notebooks/mine.py").read_text().splitlines()) < 50
    assert presets.settings("mine", "quick")["epochs"] == 8 and presets.settings("mine", "full")["epochs"] == 30


def test_what_settings_leave_out_is_as_usual(mine):
    found = presets.settings("mine", "smoke")
    assert (found["batch"], found["optimizer"], found["normalisation"]) == (50, "adam", "own")
    assert (found["epochs"], found["limit"], found["augmentation"]) == (1, 210, {"flip": True})  # as the profile says
    mine("def model(): pass")
    assert presets.settings("mine", "full") == own.USUAL | {"model": "mine", "limit": None}


def test_it_is_trained_explained_and_found_again(mine, on_few_faces, store):
    dataset = data.load()
    run = runs.Run(preset="mine", profile="smoke").fit(dataset)
    assert run.folder.name.startswith("mine-smoke-s0-") and run.info["epochs"] == 1
    model = run.model()
    assert [layer.name for layer in model.layers] == ["images", "rescaling", "conv2d", "flatten", "logits", "probs"]
    images = dataset.part("val")[0]
    np.testing.assert_allclose(model.predict(images, verbose=0), run.probs(dataset, "val"), atol=2e-2)
    assert run.info["code"]["source"] == MINE
    assert runs.Run(preset="mine:wide", profile="smoke").fit().info["layers"][2]["output"] == "11×11×8"


# edit of mine.py, whether the run is another one
EDITS = [
    ("layers.Flatten()", "layers.Flatten(),  # a comment", False),
    ("A network.", "The network.", False),
    ("strides=4", "strides=3", True),
    ('"batch": 50', '"batch": 60', True),
]


@pytest.mark.parametrize(("old", "new", "other"), EDITS, ids=[edit[1] for edit in EDITS])
def test_an_edit_of_the_network_makes_another_run(old, new, other, mine, on_few_faces, store, tmp_path):
    names = []
    for text in ((MINE, None), (old, new)):
        path = mine(*text)
        names.append((runs.Run(preset="mine", profile="smoke").name, own.digest("mine", path)))
    assert [a != b for a, b in zip(*names, strict=True)] == [other, other]


def test_a_file_beside_it_is_part_of_it(mine, on_few_faces, store, tmp_path):
    mine("from keras import layers", "from keras import layers\nfrom blocks import STRIDES")
    digests = []
    for strides in (2, 3):
        (tmp_path / "blocks.py").write_text(f"STRIDES = {strides}")
        digests.append(own.digest("mine"))
    assert digests[0] != digests[1]


# what is wrong in mine.py (old, new), the line that is named, words of the message
WRONG = [
    ("strides=4,", "strides=4 4,", 10, "invalid syntax"),
    ("layers.Flatten()", "layers.Flaten()", 11, "has no attribute 'Flaten'"),
    ("Conv2D(width, 5", "Conv2D(width, 50, padding='odd'", 10, "padding"),
    ("import keras\n", "import keras, nowhere\n", 1, "No module named 'nowhere'"),
    ("(48, 48, 1)", "(48, 48, 3)", 5, "the images are grey"),
    ("Dense(7", "Dense(6", 5, r"gives (6,) for an image, not (7,)"),
    ('"softmax"', '"sigmoid"', 5, "ends in sigmoid"),
    ("return keras.Sequential", "keras.Sequential", 5, "must return a keras.Model, not NoneType"),
    ("def model", "def modell", None, "has no function 'model' that builds the network; its functions: modell, wide"),
    ('"epochs": 2', '"epocs": 2', 21, "there is no setting 'epocs'; there are: augmentation, batch"),
    ('"batch": 50', '"batch": "many"', 22, "batch must be a valid integer"),
    ('"epochs": 2', '"optimizer": "adamm"', 21, "optimizer must"),
    ('"epochs": 2', '"epochs": keras.x', 21, "is no plain value"),
    ('{"flip"', '{"flipp"', 23, "there is no augmentation 'flipp'; there are:"),
    ('"batch": 50', '"model_settings": {"depth": 3}', 5, "unexpected keyword argument 'depth'"),
    ('"batch": 50', '"sizes": [24, 48]', 5, "unexpected keyword argument 'side'"),
]


@pytest.mark.parametrize(("old", "new", "line", "words"), WRONG, ids=[wrong[3][:20] for wrong in WRONG])
def test_an_error_is_one_line_with_its_place_before_anything_is_trained(
    old, new, line, words, mine, on_few_faces, store, capsys
):
    path = mine(old, new)
    assert runs.main(["preset=mine profile=smoke"]) == 1
    said = [text for text in capsys.readouterr().err.splitlines() if text.startswith("error: ")]
    assert len(said) == 1 and words in said[0] and f"{path}" in said[0]
    assert line is None or f"line {line}" in said[0]
    assert not list(store.glob("mine*"))


def test_a_layer_class_of_ones_own_is_stored_and_loaded(mine, on_few_faces, store):
    own_class = "class Twice(layers.Layer):\n    def call(self, x):\n        return 2 * x\n\n\ndef model"
    mine(MINE.replace("def model", own_class, 1).replace("layers.Flatten()", "Twice(), layers.Flatten()"))
    run = runs.Run(preset="mine", profile="smoke").fit()
    assert "Twice" in [type(layer).__name__ for layer in run.model().layers]


def test_a_normalisation_takes_the_place_of_its_own(mine, on_few_faces):
    from fer_utils import models

    kinds = [type(layer).__name__ for layer in models.build("mine", normalisation="image").layers]
    assert kinds[:3] == ["InputLayer", "PerImage", "Conv2D"]


# -- a function in a cell ----------------------------------------------------------------------------------------------

CELL = """
import keras
from fer_utils import data, runs
width = 4
def build(strides=4):
    x = inputs = keras.Input((48, 48, 1))
    x = keras.layers.Conv2D(width, 5, strides=strides)(x / 255)
    return keras.Model(inputs, keras.layers.Dense(7)(keras.layers.Flatten()(x)))
dataset = data.load()
run = runs.Run(model=build, optimizer="sgd", epochs=2, profile="smoke")
name = run.name
"""
AGAIN = """
fitted = run.fit(dataset)
width = 5
print(name, runs.Run(model=build, optimizer="sgd", epochs=2, profile="smoke").name, len(fitted.history))
"""


def test_a_function_from_a_cell_of_a_real_kernel(on_few_faces, store, tmp_path):
    nbformat.write(new_notebook(cells=[new_code_cell(CELL), new_code_cell(AGAIN)]), tmp_path / "in.ipynb")
    done = papermill.execute_notebook(
        tmp_path / "in.ipynb", tmp_path / "out.ipynb", kernel_name="python3", progress_bar=False
    )
    printed = "".join(out.get("text", "") for out in done.cells[1].outputs if out.get("name") == "stdout").split()
    assert printed[0].startswith("cell-build-") and printed[0] != printed[1] and printed[2] == "2"
    assert (store / printed[0] / "run.json").is_file()


def test_a_network_in_place_of_its_function_is_told(on_few_faces, store):
    import keras

    with pytest.raises(own.NetworkError, match="the function that builds the network, not the network itself"):
        runs.Run(model=keras.Sequential())
    namespace = {}
    exec("def build(): pass", namespace)
    with pytest.raises(own.NetworkError, match="source of build cannot be read"):
        runs.Run(model=namespace["build"])


# -- a trained file ----------------------------------------------------------------------------------------------------


def any_model(end, **first):
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    ends = {
        "softmax": [layers.Dense(7, activation="softmax")],
        "a layer": [layers.Dense(7), layers.Softmax()],
        "an activation": [layers.Dense(7), layers.Activation("softmax"), layers.Activation("linear", dtype="float32")],
        "logits": [layers.Dense(7, name="logits")],
    }
    body = [layers.Rescaling(1 / 255), layers.Conv2D(3, 5, strides=4), layers.BatchNormalization(), layers.Flatten()]
    if end == "nested":
        inner = keras.Sequential([keras.Input((48, 48, 1)), *body, *ends["softmax"]])
        images = keras.Input((48, 48, 1))
        return keras.Model(images, inner(layers.RandomFlip()(images)))
    return keras.Sequential([*([keras.Input((48, 48, 1))] if first.get("input", True) else []), *body, *ends[end]])


IMAGES = np.random.default_rng(0).integers(0, 256, (5, 48, 48, 1)).astype(np.float32)


@pytest.mark.parametrize("end", ["softmax", "a layer", "an activation", "logits", "nested"])
def test_any_model_ends_in_logits_and_probs_and_computes_the_same(end):
    import keras

    from fer_utils import adapt

    model = any_model(end, input=end != "softmax")
    expected = np.asarray(model(IMAGES, training=False))
    made = adapt.standard(model)
    assert [layer.name for layer in made.layers[-2:]] == ["logits", "probs"]
    assert not any(isinstance(layer, keras.Model) for layer in made.layers)
    expected = np.asarray(keras.ops.softmax(expected)) if end == "logits" else expected
    np.testing.assert_allclose(np.asarray(made(IMAGES, training=False)), expected, atol=1e-6)
    np.testing.assert_allclose(
        np.asarray(adapt.standard(made)(IMAGES, training=False)), expected, atol=1e-6
    )  # twice is the same


def test_other_probabilities_become_their_logarithms():
    import keras
    from keras import layers

    from fer_utils import adapt

    images = keras.Input((48, 48, 1))
    answers = [layers.Dense(7, activation="softmax")(layers.Flatten()(images / 255)) for _ in range(2)]
    model = keras.Model(images, layers.Average()(answers))
    np.testing.assert_allclose(
        np.asarray(adapt.standard(model)(IMAGES, training=False)), np.asarray(model(IMAGES, training=False)), atol=1e-6
    )


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_file_is_scored_once_and_never_trained(suffix, on_few_faces, store, tmp_path, monkeypatch):
    dataset, path = data.load(), tmp_path / f"my{suffix}"
    model = any_model("nested")
    model.save(path)
    monkeypatch.chdir(tmp_path)
    run = runs.run_of(f"preset=file:my{suffix} profile=smoke").fit(dataset)
    images = dataset.part("public")[0]
    np.testing.assert_allclose(run.probs(dataset, "public"), model.predict(images, verbose=0), atol=0.02)
    assert run.info["epochs"] == 0 and run.history["val_accuracy"].notna().all()
    assert run.info["settings"]["preset"] == f"file:{path}" and run.folder.name.startswith(f"file-my{suffix}-smoke")
    with pytest.raises(ValueError, match="is trained already: epochs cannot be changed"):
        runs.Run(preset=f"file:{path}", epochs=2)
    again = runs.Run(preset=recorded.recipe(f"file:{path}"), profile="smoke").fit(dataset)  # what a question trains
    assert again.info["epochs"] == 1 and again.info["parameters"] == run.info["parameters"]


# name of a file, what is said
BAD_FILES = [
    ("none.keras", "there is no such file"),
    ("my.weights.h5", "holds no network: save it by model.save"),
    ("damaged.keras", "it cannot be loaded"),
    ("custom.keras", "it has a layer Odd of its own: copy the class Odd into"),
]


@pytest.mark.parametrize(("name", "words"), BAD_FILES)
def test_a_file_that_holds_no_network_is_told(name, words, mine, on_few_faces, store, tmp_path, capsys):
    import keras

    class Odd(keras.layers.Layer):
        def call(self, x):
            return x

    if name == "custom.keras":
        keras.Sequential([keras.Input((48, 48, 1)), Odd(), *any_model("softmax").layers]).save(tmp_path / name)
    elif name != "none.keras":
        (tmp_path / name).write_bytes(b"nothing")
    assert runs.main([f"preset=file:{tmp_path / name}"]) == 1
    (line,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("error: ")]
    assert words in line and name in line


# -- the data that a run is given --------------------------------------------------------------------------------------


def test_a_run_is_trained_on_the_data_that_it_is_given(few_faces, store, tmp_path, monkeypatch):
    monkeypatch.setenv("FER_DATA", str(few_faces))
    with np.load(few_faces) as arrays:
        np.savez(tmp_path / "mine.npz", **{name: array[:400] for name, array in arrays.items()})
    given, usual = data.load(tmp_path / "mine.npz"), data.load()
    run = runs.Run(preset="small", profile="smoke", limit=50)
    fitted = run.fit(given)
    assert fitted.info["data"]["fingerprint"] == given.training != usual.training
    assert (
        fitted.folder.name == runs.Run(preset="small", profile="smoke", limit=50, source=given.source).name != run.name
    )
    assert run.on(None) is run and run.on(usual) is run
    with pytest.raises(runs.RunError, match="its predictions say nothing of"):
        fitted.probs(usual, "val")
    assert [other.folder for other in runs.fit_all([run], given)] == [fitted.folder]


def test_teachers_learn_from_the_same_data(few_faces, store, tmp_path, monkeypatch):
    monkeypatch.setenv("FER_DATA", str(few_faces))
    given = dataclasses.replace(data.load(), labels=np.roll(data.load().labels, 1), name="rolled")
    taught = runs.Run(preset="small", profile="smoke", limit=50, teachers=[{"preset": "small", "limit": 50}])
    fitted = taught.fit(given)
    (teacher,) = [run for run in runs.list_finished() if run.folder != fitted.folder]
    assert teacher.info["data"]["name"] == "rolled" and fitted.info["settings"]["depends"] == [teacher.folder.name]


def test_data_altered_in_memory_have_a_fingerprint_of_their_own_and_stay_here(on_few_faces, store):
    dataset = data.load()
    altered = dataclasses.replace(dataset, labels=np.where(dataset.labels == 1, 0, dataset.labels))
    assert altered.fingerprint != dataset.fingerprint == dataclasses.replace(dataset, name="b").fingerprint
    run = runs.Run(preset="small", profile="smoke").on(altered)
    del altered  # as in another process, which has the source alone
    with pytest.raises(runs.RunError, match="altered in memory cannot be sent to another process"):
        run.own_dataset()


# -- a report about one system -----------------------------------------------------------------------------------------


def test_a_preset_is_that_of_all_questions_but_those_that_are_fixed():
    project = Project(KIT)
    edition = project.edition("2019-fall")
    fixed = dataclasses.replace(edition.questions[0], fixed=True)
    edition = dataclasses.replace(edition, questions=(fixed, *edition.questions[1:]))
    asked = parameters.with_given(edition, project, "preset=mine").questions
    assert asked[0].parameters["preset"] == "C"
    assert {question.parameters.get("preset") for question in asked[1:] if "layer" in question.parameters} == set()
    has = [q for q in asked[1:] if "preset" in parameters.defaults(project.read_notebook(q.notebook))]
    assert has and all(question.parameters["preset"] == "mine" for question in has)
    assert parameters.with_given(edition, project, "") is edition
    with pytest.raises(parameters.settings.SettingsError, match="has no parameter prset"):
        parameters.with_given(edition, project, "prset=mine")


def test_the_code_of_a_network_is_part_of_a_questions_key(tmp_path):
    notebook = {"cells": []}
    (tmp_path / "notebooks").mkdir()
    made = []
    for text in (MINE, MINE + "# a comment", MINE.replace("5", "3")):
        (tmp_path / "notebooks/mine.py").write_text(text)
        made.append(keys.ingredients(notebook, {"preset": "mine"}, tmp_path, "data")["network"])
    assert made[0] == made[1] != made[2]
    assert "network" not in keys.ingredients(notebook, {"preset": "A"}, tmp_path, "data")


def test_an_error_in_mine_is_one_message_of_the_report(on_few_faces, store, tmp_path, capfd):
    for folder in ("fer_utils", "report", "notebooks"):
        shutil.copytree(KIT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "notebooks/mine.py").write_text(MINE.replace("Flatten()", "Flaten()"))
    arguments = ["--set", "preset=mine", "--profile", "smoke", "--langs", "en", "--root", str(tmp_path)]
    assert command.main(["question", "confusion", *arguments]) == 1
    said = capfd.readouterr()
    assert "notebooks/mine.py, line 11" in said.err and "Traceback" not in said.err and "running" not in said.out


def test_a_hand_in_takes_the_network_along(tmp_path):
    (tmp_path / "my.keras").write_bytes(b"-")
    (tmp_path / "handin").mkdir()
    given = [f"preset=file:{tmp_path}/my.keras", "profile=smoke", "seed=0"]
    settings, code = handin.with_own_network(given, tmp_path / "handin")
    assert settings == ["preset=file:network/my.keras", *given[1:]] and code == ""
    assert (tmp_path / "handin/network/my.keras").is_file()
    assert handin.with_own_network(["preset=mine"], tmp_path) == (["preset=mine"], "import mine")
    assert "notebooks/mine.py" in keys.reached_modules(["import mine"], KIT)


def test_weights_that_are_copied_bring_their_code(mine, on_few_faces, store, tmp_path):
    from fer_utils import predict

    run = runs.Run(preset="mine", profile="smoke").fit()
    predict.keep(run, tmp_path / "weights")
    kept = predict.weights_in(tmp_path / "weights")
    own.MINE.unlink()
    assert json.loads((tmp_path / "weights/run.json").read_text())["code"]["source"] == MINE
    assert predict.predict(kept, IMAGES.astype(np.uint8)).shape == (5, 7)
