import dataclasses
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import nbformat
import numpy as np
import pytest
from catalogs import write_catalogs
from fer_report import handin, trial
from fer_report.project import Project, UserError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

KIT = Path(__file__).resolve().parents[1]
SETTINGS = (  # quick to train, and enough to answer in more than one way
    "preset=A-dnn model=dnn model_settings={'widths': [64]} normalisation=image augmentation={} batch=15 epochs=2 "
    "learning_rate=0.003"
)
EDITION = "title: Tiny homework\nquestions: [{notebook: cnn}]\n"


def make_project(root):
    """The kit's own modules with two short notebooks, of which one names a preset."""
    for folder in ("notebooks", "report/editions"):
        (root / folder).mkdir(parents=True)
    (root / "fer_utils").symlink_to(KIT / "fer_utils")
    shutil.copy(KIT / "requirements.txt", root)
    (root / "report/editions/tiny.yaml").write_text(EDITION, "utf-8")
    write_catalogs(root / "notebooks/locale/zh_TW", {"report": {"Tiny homework": "小作業"}})
    (root / "report/author.yaml").write_text('name: "王小明 *#[$x"\nid: "007"\n', "utf-8")
    for name, preset in (("math", ""), ("cnn", 'preset = "E"  # which network')):
        cells = [new_markdown_cell(f"# {name}")]
        cells += [new_code_cell(preset, metadata={"tags": ["parameters"]})] if preset else []
        nbformat.write(new_notebook(cells=cells), root / f"notebooks/{name}.ipynb")
    return Project(root)


@pytest.fixture(scope="module")
def faces(few_faces):
    """Drawn training faces and their labels."""
    arrays = np.load(few_faces)
    train = arrays["split"] == "train"
    return arrays["images"][train], arrays["labels"][train]


@pytest.fixture(scope="module")
def train_csv(faces, tmp_path_factory):
    """They as the course's train.csv."""
    path = tmp_path_factory.mktemp("course") / "my train.csv"
    rows = [f"{label},{' '.join(map(str, face.ravel()))}" for face, label in zip(*faces, strict=True)]
    path.write_text("\n".join(["label,feature", *rows]))
    return path


@pytest.fixture(scope="module")
def made(faces, train_csv, tmp_path_factory):
    """A project whose hand-in is made, and what was said while it was."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_DATA", str(train_csv))
        patch.setenv("FER_RUNS", str(tmp_path_factory.mktemp("runs")))
        patch.setattr(trial, "LIMIT", 6000)  # however busy this machine is
        patch.setattr(trial, "faces", lambda: faces[0])
        project, said = make_project(tmp_path_factory.mktemp("a project")), []
        assert handin.handin(project, "tiny", "smoke", SETTINGS, echo=said.append), said
        yield project, "\n".join(said)


@pytest.fixture
def unpacked(made, tmp_path):
    """The hand-in, in a folder with an awkward name."""
    place = tmp_path / '王\'s "hand-in" $x & more'
    with zipfile.ZipFile(made[0].build / "handin-tiny.zip") as packed:
        packed.extractall(place)
    return place / "handin-tiny"


def run_script(folder, name, *arguments, cwd, **environment):
    """Runs a script of the hand-in; returns its exit code and what it said."""
    ours = ("FER_", "PYTHON", "KERAS_")
    usual = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    command = ["sh", str(folder / name), *map(str, arguments)]
    environment = usual | {"PYTHON": sys.executable} | environment
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


# -- what is handed in -------------------------------------------------------------------------------------------------


def test_it_passes_its_trial(made):
    table = [line for line in made[1].splitlines() if line[10:34].strip() in trial.STEPS]
    assert [(line[10:34].strip(), line[2:8].strip()) for line in table] == [(title, "ok") for title in trial.STEPS]
    assert "as A-dnn-smoke" in made[1] and "trained on FER2013 (my train.csv)" in made[1]


def test_folder_and_zip_hold_what_is_needed_and_nothing_else(made):
    build = made[0].build
    folder, archive = build / "handin-tiny", zipfile.ZipFile(build / "handin-tiny.zip")
    files = sorted(path.relative_to(build).as_posix() for path in folder.rglob("*") if path.is_file())
    assert archive.namelist() == files
    modules = {Path(name).stem for name in files if name.startswith("handin-tiny/fer_utils/")}
    assert {"predict", "training", "models", "runs"} < modules and not {"plots", "explain", "prose"} & modules
    assert sorted(path.name for path in (folder / "weights").iterdir()) == ["model.keras", "run.json"]
    assert (folder / "report.pdf").read_bytes() == (build / "report-tiny-zh-TW.pdf").read_bytes()
    assert (folder / "report-en.pdf").read_bytes() == (build / "report-tiny-en.pdf").read_bytes()
    executable = [info.filename for info in archive.infolist() if info.external_attr >> 16 & 0o111]
    assert sorted(Path(name).name for name in executable) == ["environment.sh", "hw3_test.sh", "hw3_train.sh"]
    assert not [path for path in build.iterdir() if path.name.startswith(".")]


def test_the_readme_and_the_requirements_say_what_holds(made):
    folder = made[0].build / "handin-tiny"
    readme, needed = (folder / "README.md").read_text("utf-8"), (folder / "requirements.txt").read_text("utf-8")
    wanted = ["王小明 *#[$x · 007", "preset=A-dnn", "2 epochs over 210 images of FER2013 (my train.csv)"]
    wanted += ["Accuracy on val", "95 % interval", "`report-en.pdf`", "It opens with Keras alone"]
    assert [words for words in wanted if words not in readme] == [] and "@" not in readme
    lines = (KIT / "requirements.txt").read_text("utf-8").splitlines()
    assert set(needed.splitlines()) < set(lines)
    packages = {line.split("==")[0] for line in needed.splitlines()}
    assert {"keras", "tensorflow", "tensorflow-cpu", "numpy", "exca"} < packages
    assert not {"kagglehub", "papermill", "typst", "matplotlib", "pytest"} & packages


def test_the_same_content_gives_the_same_bytes_and_a_failure_leaves_nothing(made, monkeypatch):
    project, archive = made[0], made[0].build / "handin-tiny.zip"
    first = archive.read_bytes()
    monkeypatch.setattr(trial, "check", lambda *_: True)
    assert handin.handin(project, "tiny", "smoke", SETTINGS, echo=str)
    assert archive.read_bytes() == first
    monkeypatch.setattr(trial, "check", lambda *_: False)
    try:
        assert not handin.handin(project, "tiny", "smoke", SETTINGS, echo=str)
        assert not [path for path in project.build.iterdir() if "handin" in path.name]
        monkeypatch.setattr(handin.build, "report", lambda *_, **__: False)
        archive.write_bytes(b"older")
        assert not handin.handin(project, "tiny", "smoke", SETTINGS, echo=str) and not archive.exists()
    finally:
        archive.write_bytes(first)


def test_which_run_is_handed_in(made, tmp_path):
    project = made[0]
    assert handin.settings_of(project, "tiny") == ["preset=E", "profile=quick", "seed=0"]
    given = handin.settings_of(project, "tiny", "full", "seed=3 augmentation={'shift': 0.1} preset=B")
    assert given == ["preset=B", "profile=full", "seed=3", "augmentation={'shift': 0.1}"]
    (project.root / "report/editions/two.yaml").write_text("questions: [{notebook: math}, {notebook: cnn}]")
    assert handin.settings_of(project, "two")[0] == "preset=E"
    (project.root / "report/editions/none.yaml").write_text("questions: [{notebook: math}]")
    with pytest.raises(UserError, match="trains nothing"):
        handin.settings_of(project, "none")
    assert handin.settings_of(project, "none", given="preset=C")[0] == "preset=C"
    assert handin.settings_of(Project(KIT), "2017-fall")[0] == "preset=A"


# -- its scripts -------------------------------------------------------------------------------------------------------

CELL = " ".join(["0"] * 2304)
NO_PYTHON = {"PYTHON": "/none/python3"}

# script, arguments, environment -> words of the message
MISTAKES = [
    ("hw3_test.sh", [], {}, "usage:"),
    ("hw3_test.sh", ["test.csv"], {}, "usage:"),
    ("hw3_train.sh", ["a", "b"], {}, "usage:"),
    ("hw3_test.sh", ["good.csv", "out.csv"], NO_PYTHON, "there is no /none/python3"),
    ("hw3_test.sh", ["-b'a\"d, $x.csv", "out.csv"], {}, "row 2: pixel 1 is '256'"),
    ("hw3_test.sh", ["", "out.csv"], {}, "an empty file name"),
    ("hw3_train.sh", ["-b'a\"d, $x.csv"], {}, "x.csv"),
]


@pytest.mark.parametrize(("script", "arguments", "environment", "words"), MISTAKES, ids=[m[-1] for m in MISTAKES])
def test_scripts_refuse_what_is_wrong(script, arguments, environment, words, unpacked, tmp_path):
    (tmp_path / "good.csv").write_text(f"id,feature\n1,{CELL}\n")
    (tmp_path / "-b'a\"d, $x.csv").write_text(f"id,feature\n1,256{CELL[1:]}\n")
    before = (unpacked / "weights/run.json").read_bytes()
    code, said = run_script(unpacked, script, *arguments, cwd=tmp_path, **environment)
    assert code and words in said and "Traceback" not in said
    assert not (tmp_path / "out.csv").exists() and (unpacked / "weights/run.json").read_bytes() == before


def test_without_weights_it_says_so(unpacked, tmp_path):
    (tmp_path / "good.csv").write_text(f"id,feature\n1,{CELL}\n")
    shutil.rmtree(unpacked / "weights")
    code, said = run_script(unpacked, "hw3_test.sh", "good.csv", "out.csv", cwd=tmp_path)
    assert code == 1 and "train first" in said


def test_training_means_the_very_same_run(made, unpacked, train_csv, tmp_path):
    """Of the same settings, pictures and copied code, it finds the run finished that is put into its store."""
    (run,) = [path.parent for path in Path(os.environ["FER_RUNS"]).glob("*/run.json")]
    shutil.copytree(run, unpacked / "training" / run.name)
    kept = unpacked / "weights"
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    shutil.rmtree(kept)
    other = {"FER_RUNS": "/none", "FER_DATA": "/none", "KERAS_BACKEND": "none", "CLUSTER": "slurm"}
    code, said = run_script(unpacked, "hw3_train.sh", train_csv, cwd=tmp_path, **other)
    assert code == 0 and run.name in said and "train A-dnn" not in said
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    assert (kept / "run.json").read_bytes() == (run / "run.json").read_bytes()


def test_layers_that_keras_does_not_know_are_named(tmp_path):
    @keras.saving.register_keras_serializable("somebody")
    class Half(keras.layers.Layer):
        def call(self, x):
            return x / 2

    inputs = keras.Input((3,))
    plain = keras.Model(inputs, keras.layers.Dense(2, activation="relu")(inputs - keras.ops.mean(inputs)))
    own = [keras.Input((3,)), plain, Half(), keras.layers.Lambda(lambda x: 2 * x)]
    for name, model in (("plain", plain), ("own", keras.Sequential(own))):
        model.save(tmp_path / f"{name}.keras")
    assert trial.other_layers(tmp_path / "plain.keras") == []
    assert trial.other_layers(tmp_path / "own.keras") == ["Half", "Lambda"]


# -- its trial ---------------------------------------------------------------------------------------------------------


def rezip(source, target, drop=None, add=()):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            if not (drop and name.endswith(drop)):
                new.writestr(name, old.read(name))
        for name in add:
            new.writestr(name, "x")


# what happened to the zip -> words of the table
DAMAGE = {
    "cut short": (lambda zipped, out: out.write_bytes(zipped.read_bytes()[:-3000]), "no whole zip"),
    "no zip": (lambda zipped, out: out.write_bytes(b"x"), "no whole zip"),
    "not there": (lambda zipped, out: None, "no whole zip"),
    "a flipped bit": (
        lambda zipped, out: out.write_bytes((raw := zipped.read_bytes())[:90] + bytes([raw[90] ^ 1]) + raw[91:]),
        "zip is whole",
    ),
    "no weights": (lambda zipped, out: rezip(zipped, out, drop="model.keras"), "no weights/model.keras"),
    "leads out": (lambda zipped, out: rezip(zipped, out, add=["../evil"]), "lead out"),
    "two folders": (lambda zipped, out: rezip(zipped, out, add=["other/x"]), "one folder"),
}


@pytest.mark.parametrize(("harm", "words"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_zip_is_found_out(harm, words, made, tmp_path):
    harm(made[0].build / "handin-tiny.zip", tmp_path / "harmed.zip")
    said = []
    assert not trial.check(tmp_path / "harmed.zip", made[0].root, said.append)
    failed = [line for line in said if "FAILED" in line]
    assert len(failed) == 1 and words in failed[0] and "not checked" in said[-1] and len(said) == len(trial.STEPS)


IDS = ["5", "3", "9"]

# a prediction for these ids -> words of the refusal
BAD_PREDICTIONS = [
    (None, "there is no"),
    ("", "header"),
    ("id;label\n5;0\n3;1\n9;2\n", "header is id;label"),
    ("id,label\n5,0\n3,1\n", "2 rows for 3 images"),
    ("id,label\n3,0\n5,1\n9,2\n", "row 2 has id 3 where the test has 5"),
    ("id,label\n5,0\n3,7\n9,2\n", "'7' is no class"),
    ("id,label\n5,0\n3,1.0\n9,2\n", "'1.0' is no class"),
    ("id,label\n5,0\n3\n9,2\n", "row 3 has not two cells"),
]


@pytest.fixture
def tried(tmp_path):
    tried = trial.Trial(tmp_path / "x.zip", KIT, tmp_path, folder=tmp_path, test=tmp_path / "test.csv", ids=IDS)
    tried.test.write_text("id,feature\n" + "".join(f"{number},{CELL}\n" for number in IDS))
    return tried


@pytest.mark.parametrize(("text", "words"), BAD_PREDICTIONS, ids=[words for _, words in BAD_PREDICTIONS])
def test_a_bad_prediction_is_found_out(text, words, tried):
    if text is not None:
        tried.prediction.write_text(text)
    with pytest.raises(trial.Failed, match=words):
        trial.prediction(tried)


def test_a_prediction_that_is_not_the_runs_is_found_out(tried, store, monkeypatch):
    record = tried.folder / "weights/run.json"
    record.parent.mkdir()
    record.write_text("{}")
    with pytest.raises(trial.Skipped, match="not in this run store"):
        trial.same(tried)
    (store / "a run").mkdir(parents=True)
    shutil.copy(record, store / "a run")
    own = "id,label\n5,0\n3,1\n9,2\n"
    monkeypatch.setattr(trial, "predictor", lambda root, *words, stdout: Path(words[-1]).write_text(own))
    tried = dataclasses.replace(tried, labels=["0", "1", "2"])
    assert trial.same(tried) == "all 3 as a run"
    with pytest.raises(trial.Failed, match="1 of 3 differ"):
        trial.same(dataclasses.replace(tried, labels=["0", "1", "3"]))


def test_ten_minutes_are_the_limit(tried, monkeypatch):
    monkeypatch.setattr(trial, "LIMIT", 600)
    per_image = trial.LIMIT / trial.ALL_IMAGES
    assert "at most 540 s" in trial.in_time(dataclasses.replace(tried, seconds=3 * 0.9 * per_image))
    with pytest.raises(trial.Failed, match="at most 660 s"):
        trial.in_time(dataclasses.replace(tried, seconds=3 * 1.1 * per_image))


def test_a_script_that_takes_anything_is_found_out(tried):
    tried.prediction.write_text("earlier")
    (tried.folder / "hw3_test.sh").write_text("echo fine")
    with pytest.raises(trial.Failed, match="a pixel of 256"):
        trial.refuses(tried)
