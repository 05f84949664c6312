import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pydantic
import pytest

from fer_utils import data, metrics, runs

FIT = """
import sys
from fer_utils import runs
print(runs.Run(preset="{preset}", profile="smoke", passes={passes}, batch=30).fit().folder.name)
"""


def fit_elsewhere(preset="small", passes=1):
    """Another process that fits one run."""
    code = FIT.format(preset=preset, passes=passes)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def weights(run):
    return hashlib.sha256(b"".join(w.tobytes() for w in run.model().get_weights())).hexdigest()


@pytest.fixture(scope="module")
def trained(few_faces, tmp_path_factory):
    """One finished run of two passes, with its store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_DATA", str(few_faces))
        patch.setenv("FER_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield runs.Run(preset="small", profile="smoke", passes=2).fit()


def test_a_finished_run_is_complete(trained):
    assert sorted(p.name for p in trained.folder.iterdir()) == [
        "history.csv", "model.keras", "predictions.npz", "run.json", "tensorboard",
    ]  # fmt: skip
    assert trained.folder.name.startswith("small-smoke-passes=2-s0-")
    assert trained.history["pass"].tolist() == [1, 2]
    assert trained.info["settings"]["model"] == "cnn_small"
    assert trained.info["parameters"] == 171_527
    assert trained.info["data"]["training_pictures"] == 210


def test_stored_logits_are_those_of_the_stored_model(trained, on_few_faces):
    dataset = data.load()
    for split in ("val", "public", "private"):
        images, labels = dataset.part(split)
        np.testing.assert_allclose(trained.model().predict(images, verbose=0), trained.probs(split), atol=2e-2)
        score = trained.info["scores"][split]
        assert score["value"] == metrics.accuracy(labels, trained.probs(split)).value
        assert (score["n"], score["low"] < score["value"] < score["high"]) == (len(labels), True)


def test_whoever_asks_is_told_which_runs_were_used(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("FER_CITED", str(tmp_path / "cited"))
    runs.Run(preset="small", profile="smoke", passes=2).fit()
    (record,) = map(json.loads, (tmp_path / "cited").read_text().splitlines())
    assert record["name"] == trained.folder.name and record["changed"] == {"passes": 2}
    assert record["scores"] == trained.info["scores"] and "layers" not in record


def test_the_second_fit_loads_and_imports_no_tensorflow(trained):
    code = FIT.format(preset="small", passes=2).replace(", batch=30", "")
    code += "import sys; assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == trained.folder.name


# one setting changed -> another run
CHANGES = [{"seed": 1}, {"learning_rate": 1e-4}, {"augmentation": {}}, {"limit": 50}, {"model_settings": {"width": 8}},
           {"data": "another"}, {"code": "another"}, {"precision": "float32"}, {"votes": 0.5}]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_every_setting_makes_another_run(change, on_few_faces, store):
    same, other = runs.Run(preset="small"), runs.Run(preset="small", **change)
    assert same.name == runs.Run(preset="small", passes=None).name != other.name


def test_where_the_pictures_lie_does_not_make_another_run(few_faces, store, tmp_path):
    copy = tmp_path / "copy.npz"
    copy.write_bytes(few_faces.read_bytes())
    assert runs.Run(source=str(few_faces)).name == runs.Run(source=str(copy)).name


# what is asked, words of the refusal
REFUSED = [
    ({"preset": "Z"}, "not one of: A, A-dnn"),
    ({"profile": "slow"}, "smoke, quick, full"),
    ({"passes": 0}, "greater than 0"),
    ({"passes": "many"}, "valid integer"),
    ({"pases": 3}, "pases"),
    ({"keep": "all"}, "best|last"),
]


@pytest.mark.parametrize(("asked", "words"), REFUSED)
def test_bad_settings_are_refused_before_anything_is_made(asked, words, on_few_faces, store):
    with pytest.raises((pydantic.ValidationError, ValueError), match=words):
        runs.Run(**asked)
    assert not store.exists()


def test_killed_at_any_moment_it_ends_as_if_it_had_not_been(on_few_faces, store, tmp_path, monkeypatch):
    killed = fit_elsewhere("A", passes=2)
    history = lambda: next(store.glob("A-*.partial/history.csv"), None)  # noqa: E731
    deadline = time.monotonic() + 120
    while not (history() and len(history().read_text().splitlines()) >= 2) and time.monotonic() < deadline:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert finished(store)[0].endswith(".partial"), "the process had ended before it could be killed"
    resumed = runs.Run(preset="A", profile="smoke", passes=2, batch=30).fit()
    assert finished(store) == [resumed.folder.name]
    assert not list(resumed.folder.glob("*.h5"))
    monkeypatch.setenv("FER_RUNS", str(tmp_path / "undisturbed"))
    undisturbed = runs.Run(preset="A", profile="smoke", passes=2, batch=30).fit()
    columns = ["pass", "loss", "accuracy", "val_loss", "val_accuracy"]
    pd.testing.assert_frame_equal(resumed.history[columns], undisturbed.history[columns])
    assert weights(resumed) == weights(undisturbed)


def test_two_processes_train_once(on_few_faces, store):
    both = [fit_elsewhere(), fit_elsewhere()]
    outputs = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    trainings = [errors.count("train small: 100%") > 0 for _, errors in outputs]
    assert sorted(trainings) == [False, True]


def test_damage_names_the_folder_and_spares_the_others(trained, tmp_path):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "run.json").write_text(json.dumps(trained.info)[:100])
    with pytest.raises(runs.RunError, match=f"{damaged} is damaged.*delete this folder"):
        runs.Finished(damaged)
    (damaged / "run.json").write_text(json.dumps(trained.info))
    (damaged / "predictions.npz").write_bytes(b"PK")
    with pytest.raises(runs.RunError, match="predictions.npz is damaged"):
        runs.Finished(damaged).logits("public")
    with pytest.raises(runs.RunError, match="no predictions for 'train'"):
        trained.logits("train")


def test_a_full_disk_is_said_and_the_training_goes_on_later(on_few_faces, store, monkeypatch):
    from fer_utils import training

    first = runs.Run(preset="small", profile="smoke", seed=1).fit()
    save = training.save_weights

    def disk_full_after_one_pass(model, path):
        if path.name.startswith("best") and len(training.read_history(path.parent)) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(model, path)

    run = runs.Run(preset="small", profile="smoke", passes=4)
    monkeypatch.setattr(training, "save_weights", disk_full_after_one_pass)
    monkeypatch.setattr(training, "best_pass", lambda history: len(history) - 1)  # every pass is written
    with pytest.raises(runs.RunError, match="small-smoke.*partial.*No space left on device.*run again"):
        run.fit()
    assert finished(store) == sorted([first.folder.name, f"{run.name}.partial"])
    monkeypatch.undo()
    monkeypatch.setenv("FER_RUNS", str(store))
    monkeypatch.setenv("FER_DATA", str(on_few_faces))
    assert run.fit().history["pass"].tolist() == [1, 2, 3, 4]


def test_a_deleted_folder_is_trained_again(on_few_faces, store):
    run = runs.Run(preset="small", profile="smoke")
    first = run.fit()
    os.rename(first.folder, store / "moved-away")
    assert run.fit().folder.exists()


def test_early_stopping_reads_only_the_history():
    from fer_utils import training

    history = pd.DataFrame({"val_accuracy": [0.3, 0.5, 0.4, 0.5]})
    assert training.best_pass(history) == 1  # the first of equals
    assert [training.patience_over(history, patience) for patience in (1, 2, 3, None)] == [True, True, False, False]
    assert not training.patience_over(history[:0], 1)


def test_the_code_hash_ignores_docstrings_and_other_networks(monkeypatch):
    before = runs.code_hash("cnn_small")
    assert before != runs.code_hash("cnn_a")
    read = runs.Path.read_text
    for old, new, changes in [
        ('"""A small CNN for many quick trainings', '"""Another text', False),
        ("(50, 5), (80, 5)", "(50, 5), (90, 5)", False),
        ("[width, 2 * width, 4 * width]", "[width, 2 * width, 5 * width]", True),
        ("return layers.Rescaling(1 / 255", "return layers.Rescaling(1 / 256", True),
    ]:
        monkeypatch.setattr(runs.Path, "read_text", lambda path, o=old, n=new, **kw: read(path, **kw).replace(o, n))
        assert (runs.code_hash("cnn_small") != before) is changes, old


# -- many runs, several devices ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [{"JOBS": "2"}, {"CLUSTER": "local"}], ids=lambda way: next(iter(way)))
def test_a_list_of_runs_is_trained_elsewhere_and_kept(way, on_few_faces, store, monkeypatch):
    for name, value in way.items():
        monkeypatch.setenv(name, value)
    wanted = [runs.Run(preset="small", profile="smoke", seed=seed) for seed in (0, 1, 0)]
    results = runs.fit_all(wanted)
    assert [run.info["settings"]["seed"] for run in results] == [0, 1, 0]
    assert len(finished(store)) == 2
    stamps = [path.stat().st_mtime_ns for path in store.glob("*/run.json")]
    runs.fit_all(wanted)
    assert [path.stat().st_mtime_ns for path in store.glob("*/run.json")] == stamps
    assert {run.folder.name for run in runs.finished()} == {run.folder.name for run in results}


MIRRORED = """
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from fer_utils import runs, training
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
training.devices = lambda: strategy
run = runs.Run(preset="small", profile="smoke", passes=2, tta="flip").fit()
print(len(run.history), run.probs("public").shape)
"""


def test_several_devices_share_a_training(on_few_faces, store):
    done = subprocess.run([sys.executable, "-c", MIRRORED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == "2"


def test_the_command_lists_what_is_there(trained, on_few_faces, store, capsys):
    runs.main(["preset=small", "profile=smoke", "normalisation=picture"])
    (store / "left.partial").mkdir()
    runs.main([])
    listed = capsys.readouterr().out
    assert "small-smoke-normalisation=picture-s0-" in listed
    assert "left: 0 passes so far" in listed


# -- rounds, averaged weights, balance, views --------------------------------------------------------------------------

# history of (round, validation accuracy), sizes -> (round, first pass, end, size) that come next, of 3 passes, 2 rounds
NEXT = [
    ([], [], (1, 0, 3, None)),
    ([(1, 0.3)], [], (1, 1, 3, None)),
    ([(1, 0.3), (1, 0.2), (1, 0.2)], [], (2, 3, 6, None)),
    ([(1, 0.3), (1, 0.4), (1, 0.3), (2, 0.1), (2, 0.2)], [], (2, 5, 6, None)),
    ([(1, 0.3), (1, 0.4), (1, 0.3), (2, 0.3), (2, 0.2), (2, 0.2)], [], None),
    ([], [24, 36, 48], (1, 0, 1, 24)),
    ([(1, 0.3)], [24, 36, 48], (1, 1, 2, 36)),
    ([(1, 0.3)], [24, 48], (1, 1, 2, 24)),
    ([(1, 0.3), (1, 0.4), (1, 0.5)], [24, 48], (2, 3, 5, 24)),
    ([(1, 0.3)], [12, 18, 24, 36, 48, 60], (1, 1, 2, 24)),  # more sizes than passes: some are left out
]


@pytest.mark.parametrize(("past", "sizes", "expected"), NEXT)
def test_rounds_and_sizes_go_on_from_where_the_last_one_stopped(past, sizes, expected):
    from fer_utils import training

    history = pd.DataFrame(past, columns=["round", "val_accuracy"])
    settings = {"passes": 3, "rounds": 2, "patience": 2, "sizes": sizes}
    assert training.next_passes(history, settings) == expected


def test_patience_ends_a_round_not_the_training():
    from fer_utils import training

    history = pd.DataFrame({"round": [1, 1, 1], "val_accuracy": [0.5, 0.4, 0.4]})
    assert training.next_passes(history, {"passes": 9, "rounds": 2, "patience": 2, "sizes": []}) == (2, 3, 12, None)
    assert training.next_passes(history, {"passes": 9, "rounds": 1, "patience": 2, "sizes": []}) is None


def test_the_averaged_weights_are_the_ones_that_are_kept(on_few_faces, store):
    plain = runs.Run(preset="small", profile="smoke", passes=2, keep="last").fit()
    averaged = runs.Run(preset="small", profile="smoke", passes=2, keep="last", ema=0.5).fit()
    assert plain.history["loss"].tolist() == pytest.approx(averaged.history["loss"].tolist(), rel=1e-3)  # one training
    assert weights(plain) != weights(averaged)  # another average of it


def test_the_learning_rate_rises_and_falls_to_nothing():
    from fer_utils import training

    rates = [float(training.Triangle(2.0, 50)(step)) for step in range(51)]
    assert np.argmax(rates) == 10 and rates[10] == pytest.approx(2.0)
    assert rates[0] == pytest.approx(0.2) and rates[-1] == pytest.approx(0.0)
    assert np.all(np.diff(rates[:10]) > 0) and np.all(np.diff(rates[10:]) < 0)


def teacher(answer):
    """A network whose logits are what `answer` makes of pictures (n, 48, 48, 1)."""
    import keras

    inputs = keras.Input((48, 48, 1))
    logits = keras.layers.Lambda(lambda x: answer(keras.ops.cast(x, "float32")), name="logits")(inputs)
    return keras.Model(inputs, keras.layers.Softmax()(logits))


def test_teachers_say_the_mean_of_their_answers():
    import keras

    from fer_utils import training

    def sure_of(c):
        return teacher(lambda pictures: 50 * keras.ops.one_hot(keras.ops.full_like(pictures[:, 0, 0, 0], c), 7))

    images = np.zeros((5, 48, 48, 1), np.uint8)
    said = training.lessons([sure_of(1), sure_of(2)], images, portion=2)
    np.testing.assert_allclose(said, [[0, 0.5, 0.5, 0, 0, 0, 0]] * 5, atol=1e-6)


def test_pictures_are_shown_at_their_side():
    import tensorflow as tf

    from fer_utils import training

    pictures, truth = tf.ones([2, 48, 48, 1]), tf.one_hot([4, 1], 7)
    for side, width in ((24, 24), (None, 48)):
        shown, target = training.shown_at(side)(pictures, truth)
        assert shown.shape == (2, width, width, 1) and target is truth


def test_votes_take_their_share_of_the_target(on_few_faces):
    from fer_utils import training

    dataset = data.load()
    chances = np.random.default_rng(0).dirichlet(np.ones(7), len(dataset.where("train"))).astype(np.float32)
    images, labels, truth = training.training_part(dataset, 50, 0.25, chances)
    assert len(images) == len(labels) == 50
    rows = [np.flatnonzero((dataset.part("train")[0] == image).all(axis=(1, 2, 3)))[0] for image in images]
    np.testing.assert_allclose(truth, 0.25 * chances[rows] + 0.75 * np.eye(7)[labels], atol=1e-6)
    assert (training.training_part(dataset, 50)[2] == np.eye(7)[labels]).all()


def test_a_run_with_votes_needs_them(on_few_faces, store):
    with pytest.raises(data.DataError, match="has no votes"):
        runs.Run(preset="small", profile="smoke", votes=0.5).fit()
    assert finished(store) == []


def test_a_teacher_is_asked_about_the_mirror_image_too():
    import keras

    from fer_utils import training

    def side_of_the_light(pictures):
        bright = keras.ops.mean(pictures[:, :, 24:], (1, 2, 3)) > 0
        return 50 * keras.ops.one_hot(keras.ops.cast(bright, "int32"), 7)

    images = np.zeros((1, 48, 48, 1), np.uint8)
    images[:, :, 40:] = 255
    said = training.lessons([teacher(side_of_the_light)], images)
    np.testing.assert_allclose(said, [[0.5, 0.5, 0, 0, 0, 0, 0]], atol=1e-6)


def test_a_student_trains_its_teachers_first_and_another_teacher_makes_another_student(on_few_faces, store):
    taught = {"preset": "small", "profile": "smoke", "teachers": [{"preset": "small", "seed": 5}]}
    student = runs.Run(**taught).fit()
    teacher = runs.Run(preset="small", profile="smoke", seed=5)
    assert finished(store) == sorted([student.folder.name, teacher.name])
    assert student.history["loss"].tolist() != runs.Run(preset="small", profile="smoke").fit().history["loss"].tolist()
    other = runs.Run(**taught | {"teachers": [{"preset": "small", "seed": 5, "passes": 2}]})
    assert other.name != student.folder.name


def test_a_training_begins_with_another_runs_weights(on_few_faces, store):
    own = {"preset": "small", "profile": "smoke", "augmentation": {}}
    first = runs.Run(**own, passes=3).fit()
    second = runs.Run(**own, learning_rate=1e-6, start={"preset": "small", "passes": 3, "augmentation": {}}).fit()
    np.testing.assert_allclose(second.logits("val"), first.logits("val"), atol=0.05)
    assert second.info["settings"]["code"].endswith(f"+{first.folder.name}")


def test_another_run_may_be_named_by_its_preset(on_few_faces, store):
    by_name, in_full = ({"start": start, "teachers": [start]} for start in ("small", {"preset": "small"}))
    assert runs.Run(preset="small", **by_name).code == runs.Run(preset="small", **in_full).code
    assert runs.Run(preset="small", **by_name).code != runs.Run(preset="small").code


def test_pictures_grow_and_the_kept_model_has_one_size(on_few_faces, store):
    widths = {"model_settings": {"widths": [4, 8]}}
    run = runs.Run(preset="fast", profile="smoke", passes=2, sizes=[24, 48], **widths).fit()
    assert run.history["pass"].tolist() == [1, 2]
    assert run.model().input_shape == (None, 48, 48, 1)
    assert run.logits("public+tta").shape == run.logits("public").shape


def test_class_weights_give_every_class_the_same_say():
    from fer_utils import training

    labels = np.repeat([0, 1, 2], [60, 30, 10])
    given = training.class_weights(labels)
    assert [given[c] * n for c, n in enumerate([60, 30, 10])] == pytest.approx([100 / 3] * 3)
    assert given[6] == 0
    assert np.mean([given[c] for c in labels]) == pytest.approx(1)


def test_views_are_averaged_as_probabilities(trained, on_few_faces):
    from fer_utils import training

    images = data.load().part("val")[0][:5]
    model = trained.model()
    both = (trained.probs("val")[:5] + model.predict(np.asarray(images)[:, :, ::-1], verbose=0)) / 2
    np.testing.assert_allclose(np.exp(training.predict_views(model, images, "flip")), both, atol=2e-2)
    many = np.exp(training.predict_views(model, images, "flip+shift"))
    np.testing.assert_allclose(many.sum(axis=1), 1, atol=1e-5)
