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

from fer_utils import data, machine, metrics, runs, trainings

FIT = """
import sys
from fer_utils import runs
print(runs.Run(preset="{preset}", profile="smoke", epochs={epochs}, batch=30).fit().folder.name)
"""


def fit_elsewhere(preset="small", epochs=1):
    """Another process that fits one run."""
    code = FIT.format(preset=preset, epochs=epochs)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def weights(run):
    return hashlib.sha256(b"".join(w.tobytes() for w in run.model().get_weights())).hexdigest()


@pytest.fixture(scope="module")
def trained(few_faces, tmp_path_factory):
    """One finished run of two epochs, with its store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_DATA", str(few_faces))
        patch.setenv("FER_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield runs.Run(preset="small", profile="smoke", epochs=2).fit()


def test_a_finished_run_is_complete(trained):
    assert sorted(p.name for p in trained.folder.iterdir()) == [
        "history.csv", "model.keras", "predictions.npz", "run.json", "tensorboard",
    ]  # fmt: skip
    assert trained.folder.name.startswith("small-smoke-epochs=2-s0-")
    assert trained.history["epoch"].tolist() == [1, 2]
    assert trained.info["settings"]["model"] == "cnn_small"
    assert trained.info["parameters"] == 171_527
    assert trained.info["data"]["training_images"] == 210


def test_stored_logits_are_those_of_the_stored_model(trained, on_few_faces):
    dataset = data.load()
    for split in ("val", "public", "private"):
        images, labels = dataset.part(split)
        np.testing.assert_allclose(trained.model().predict(images, verbose=0), trained.probs(dataset, split), atol=2e-2)
        score = trained.info["scores"][split]
        assert score["value"] == metrics.accuracy(labels, trained.probs(dataset, split)).value
        assert (score["n"], score["low"] < score["value"] < score["high"]) == (len(labels), True)


def test_runs_that_are_used_are_cited(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("FER_CITED", str(tmp_path / "cited"))
    runs.Run(preset="small", profile="smoke", epochs=2).fit()
    (record,) = map(json.loads, (tmp_path / "cited").read_text().splitlines())
    assert record["name"] == trained.folder.name and record["changed"] == {"epochs": 2}
    assert record["scores"] == trained.info["scores"] and "layers" not in record


def test_the_second_fit_loads_and_imports_no_tensorflow(trained):
    code = FIT.format(preset="small", epochs=2).replace(", batch=30", "")
    code += "import sys; assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == trained.folder.name


# one setting changed -> another run
CHANGES = [{"seed": 1}, {"learning_rate": 1e-4}, {"augmentation": {}}, {"limit": 50}, {"model_settings": {"width": 8}},
           {"data": "another"}, {"depends": ["another"]}, {"precision": "float32"}, {"votes": 0.5}]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_every_setting_makes_another_run(change, on_few_faces, store):
    same, other = runs.Run(preset="small"), runs.Run(preset="small", **change)
    assert same.name == runs.Run(preset="small", epochs=None).name != other.name


def test_where_the_images_lie_does_not_make_another_run(few_faces, store, tmp_path):
    copy = tmp_path / "copy.npz"
    copy.write_bytes(few_faces.read_bytes())
    assert runs.Run(source=str(few_faces)).name == runs.Run(source=str(copy)).name


# what is asked, words of the refusal
REFUSED = [
    ({"preset": "Z"}, "not one of: A, A-dnn"),
    ({"profile": "slow"}, "smoke, quick, full"),
    ({"epochs": 0}, "greater than 0"),
    ({"epochs": "many"}, "valid integer"),
    ({"pases": 3}, "pases"),
    ({"keep": "all"}, "best|last"),
]


@pytest.mark.parametrize(("asked", "words"), REFUSED)
def test_bad_settings_are_refused_before_anything_is_made(asked, words, on_few_faces, store):
    with pytest.raises((pydantic.ValidationError, ValueError), match=words):
        runs.Run(**asked)
    assert not store.exists()


def test_a_killed_training_resumes_and_ends_as_an_uninterrupted_one(on_few_faces, store, tmp_path, monkeypatch):
    killed = fit_elsewhere("A", epochs=2)
    history = lambda: next(store.glob("A-*.partial/history.csv"), None)  # noqa: E731
    deadline = time.monotonic() + 120
    while not (history() and len(history().read_text().splitlines()) >= 2) and time.monotonic() < deadline:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert finished(store)[0].endswith(".partial"), "the process had ended before it could be killed"
    resumed = runs.Run(preset="A", profile="smoke", epochs=2, batch=30).fit()
    assert finished(store) == [resumed.folder.name]
    assert not list(resumed.folder.glob("*.h5"))
    monkeypatch.setenv("FER_RUNS", str(tmp_path / "undisturbed"))
    undisturbed = runs.Run(preset="A", profile="smoke", epochs=2, batch=30).fit()
    columns = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    pd.testing.assert_frame_equal(resumed.history[columns], undisturbed.history[columns])
    assert weights(resumed) == weights(undisturbed)


def test_two_processes_train_once(on_few_faces, store):
    both = [fit_elsewhere(), fit_elsewhere()]
    outputs = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    trainings = [errors.count("train small: 100%") > 0 for _, errors in outputs]
    assert sorted(trainings) == [False, True]


def test_damage_names_the_folder_and_spares_the_others(trained, tmp_path, on_few_faces):
    dataset = data.load()
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "run.json").write_text(json.dumps(trained.info)[:100])
    with pytest.raises(runs.RunError, match=f"{damaged} is damaged.*delete this folder"):
        runs.Finished(damaged)
    (damaged / "run.json").write_text(json.dumps(trained.info))
    (damaged / "predictions.npz").write_bytes(b"PK")
    with pytest.raises(runs.RunError, match="predictions.npz is damaged"):
        runs.Finished(damaged).logits(dataset, "public")
    with pytest.raises(runs.RunError, match="no predictions for 'train'"):
        trained.logits(dataset, "train")


def test_a_full_disk_is_reported_and_the_training_resumes_later(on_few_faces, store, monkeypatch):
    from fer_utils import training

    first = runs.Run(preset="small", profile="smoke", seed=1).fit()
    save = training.save_weights

    def disk_full_after_one_epoch(model, path):
        if path.name.startswith("best") and len(training.read_history(path.parent)) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(model, path)

    run = runs.Run(preset="small", profile="smoke", epochs=4)
    monkeypatch.setattr(training, "save_weights", disk_full_after_one_epoch)
    monkeypatch.setattr(training, "best_epoch", lambda history: len(history) - 1)  # every epoch is written
    with pytest.raises(runs.RunError, match="small-smoke.*partial.*No space left on device.*run again"):
        run.fit()
    assert finished(store) == sorted([first.folder.name, f"{run.name}.partial"])
    monkeypatch.undo()
    monkeypatch.setenv("FER_RUNS", str(store))
    monkeypatch.setenv("FER_DATA", str(on_few_faces))
    assert run.fit().history["epoch"].tolist() == [1, 2, 3, 4]


def test_a_deleted_folder_is_trained_again(on_few_faces, store):
    run = runs.Run(preset="small", profile="smoke")
    first = run.fit()
    os.rename(first.folder, store / "moved-away")
    assert run.fit().folder.exists()


def test_early_stopping_reads_only_the_history():
    from fer_utils import training

    history = pd.DataFrame({"val_accuracy": [0.3, 0.5, 0.4, 0.5]})
    assert training.best_epoch(history) == 1  # the first of equals
    assert [training.patience_over(history, patience) for patience in (1, 2, 3, None)] == [True, True, False, False]
    assert not training.patience_over(history[:0], 1)


def test_the_identity_of_a_run_is_its_settings_its_data_and_a_version(monkeypatch, store):
    """A literal name: neither Python's version nor a change of the code may change it, only what the test changes."""
    settings = {"preset": "A", "profile": "full", "data": "0123456789abcdef"}
    assert runs.Run(**settings).name == "A-full-s0-7d335863"
    monkeypatch.setattr(runs.Run.model_fields["infra"].default, "version", "another")
    assert runs.Run(**settings, infra={"version": "another"}).name != "A-full-s0-7d335863"


def test_the_votes_are_part_of_the_identity(tmp_path, monkeypatch, few_faces, store):
    votes = tmp_path / "fer2013new.csv"
    monkeypatch.setenv("FER_PLUS", str(votes))
    monkeypatch.setenv("FER_DATA", str(few_faces))
    names = []
    for text in ("1", "2", "1"):
        votes.write_text(text)
        names.append(runs.Run(preset="small", votes=0.5).name)
    assert names[0] == names[2] != names[1]
    assert runs.Run(preset="small").depends == []


def test_other_data_than_its_own_are_refused(trained, on_few_faces, few_faces, tmp_path, monkeypatch):
    """Another data set of the same sizes: its labels must not be compared with the run's predictions."""
    with np.load(few_faces) as arrays:
        changed = dict(arrays) | {"labels": arrays["labels"][::-1]}
    np.savez(tmp_path / "other.npz", **changed)
    assert trained.probs(data.load(), "public").shape == (len(data.load().where("public")), 7)
    with pytest.raises(runs.RunError, match="small-smoke.*was trained on.*its predictions say nothing of.*other.npz"):
        trained.probs(data.load(tmp_path / "other.npz"), "public")


def test_another_network_does_not_inherit_what_belongs_to_the_presets_own(on_few_faces, store):
    run = runs.Run(preset="fast", profile="full", model="dnn_matched", model_settings={"parameters": 20_000})
    assert run.sizes == [] and runs.Run(preset="fast", profile="full").sizes == [24, 36, 48]
    assert runs.Run(preset="tiny", model="cnn_small").model_settings == {}


# -- many runs, several devices ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cluster", ["", "local"])
def test_a_list_of_runs_is_trained_and_kept(cluster, on_few_faces, store, monkeypatch):
    monkeypatch.setenv("CLUSTER", cluster)
    wanted = [runs.Run(preset="small", profile="smoke", seed=seed) for seed in (0, 1, 0)]
    results = runs.fit_all(wanted)
    assert [run.info["settings"]["seed"] for run in results] == [0, 1, 0]
    assert len(finished(store)) == 2
    stamps = [path.stat().st_mtime_ns for path in store.glob("*/run.json")]
    by_name = runs.fit_all({"a": wanted[:2], "b": wanted[2:]})
    assert {name: [run.folder for run in some] for name, some in by_name.items()} == {
        "a": [run.folder for run in results[:2]],
        "b": [results[2].folder],
    }
    assert [path.stat().st_mtime_ns for path in store.glob("*/run.json")] == stamps
    assert {run.folder.name for run in runs.list_finished()} == {run.folder.name for run in results}


MIRRORED = """
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from fer_utils import data, runs, training
dataset = data.load()
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
training.devices = lambda: strategy
run = runs.Run(preset="small", profile="smoke", epochs=2, tta="flip").fit()
print(len(run.history), run.probs(dataset, "public").shape)
"""


def test_several_devices_share_a_training(on_few_faces, store):
    done = subprocess.run([sys.executable, "-c", MIRRORED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == "2"


# what is typed, what is answered: one line, and nothing is trained
MISTYPED = [
    ("preset=Q", "'Q' is not one of: A, A-dnn"),
    ("preset=small epocs=3", "there is no setting 'epocs'; there are: augmentation"),
    ("preset=small epochs=many", "epochs must be a valid integer"),
    ("preset=small learning_rate=fast", "learning_rate must be a valid number"),
    ("preset=small quickly", "quickly"),
    ("source=/nowhere/fer2013.csv", "there is no such file or folder"),
]


@pytest.mark.parametrize("way", [[], ["--background"]], ids=["here", "background"])
@pytest.mark.parametrize(("typed", "answer"), MISTYPED)
def test_the_command_refuses_in_one_line(typed, answer, way, on_few_faces, store, capsys):
    assert trainings.main([*way, typed]) == 1
    line, *more = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and answer in line
    assert not more or "source=" in typed  # … where the message goes on to say what can be read
    assert not list(store.glob("*small*"))


def test_a_training_in_the_background_writes_a_log(on_few_faces, store, capsys):
    settings = ["preset=small profile=smoke epochs=1"]
    assert trainings.main(["--background", *settings]) == 0
    assert "process " in capsys.readouterr().out
    deadline = time.monotonic() + 120
    while not list(store.glob("small-*/run.json")) and time.monotonic() < deadline:
        time.sleep(0.1)
    (log,) = store.glob("*.log")
    assert "train small: 100%" in log.read_text()
    assert trainings.main(["--background", *settings]) == 0
    assert (told := capsys.readouterr().out).startswith("small-smoke-s0-") and "trained here" in told


def test_one_bar_shows_the_whole_training(on_few_faces, store, capsys):
    """Not one for every size and round: rounds that patience ends early are skipped on it."""
    settings = {"model_settings": {"widths": [4, 8]}, "batch": 105, "sizes": [24, 48], "rounds": 2, "patience": 9}
    runs.Run(preset="fast", profile="smoke", epochs=2, **settings).fit()
    lines = [line for line in capsys.readouterr().err.replace("\r", "\n").splitlines() if "train fast" in line]
    device, *bars = lines
    assert device.startswith(f"train fast on {machine.name()}, ")
    assert all("/8 [" in bar for bar in bars) and "100%" in bars[-1] and "epoch=4" in bars[-1]
    done = [int(bar.split("|")[-1].split("/")[0]) for bar in bars]
    assert done == sorted(done) and done[-1] == 8


def test_the_command_lists_what_is_there(trained, on_few_faces, store, capsys):
    runs.main(["preset=small", "profile=smoke", "normalisation=image"])
    (store / "left.partial").mkdir()
    trainings.main([])
    listed = capsys.readouterr().out
    assert "small-smoke-normalisation=image-s0-" in listed
    assert "left: 0 epochs so far" in listed
    assert "recorded/E: 50 epochs" in listed and "recorded on AMD EPYC" in listed


# -- rounds, averaged weights, balance, views --------------------------------------------------------------------------

# history of (round, validation accuracy), sizes -> (round, first epoch, end, size) of the next stage; 3 epochs a round
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
    ([(1, 0.3)], [12, 18, 24, 36, 48, 60], (1, 1, 2, 24)),  # more sizes than epochs: some are left out
]


@pytest.mark.parametrize(("past", "sizes", "expected"), NEXT)
def test_rounds_and_sizes_continue_where_the_last_one_ended(past, sizes, expected):
    from fer_utils import training

    history = pd.DataFrame(past, columns=["round", "val_accuracy"])
    settings = {"epochs": 3, "rounds": 2, "patience": 2, "sizes": sizes}
    assert training.next_stage(history, settings) == expected


def test_patience_ends_a_round_not_the_training():
    from fer_utils import training

    history = pd.DataFrame({"round": [1, 1, 1], "val_accuracy": [0.5, 0.4, 0.4]})
    assert training.next_stage(history, {"epochs": 9, "rounds": 2, "patience": 2, "sizes": []}) == (2, 3, 12, None)
    assert training.next_stage(history, {"epochs": 9, "rounds": 1, "patience": 2, "sizes": []}) is None


def test_the_averaged_weights_are_the_ones_that_are_kept(on_few_faces, store):
    plain = runs.Run(preset="small", profile="smoke", epochs=2, keep="last").fit()
    averaged = runs.Run(preset="small", profile="smoke", epochs=2, keep="last", ema=0.5).fit()
    assert plain.history["loss"].tolist() == pytest.approx(averaged.history["loss"].tolist(), rel=1e-3)  # one training
    assert weights(plain) != weights(averaged)  # another average of it


def test_the_learning_rate_rises_and_falls_to_nothing():
    from fer_utils import training

    rates = [float(training.Triangle(2.0, 50)(step)) for step in range(51)]
    assert np.argmax(rates) == 10 and rates[10] == pytest.approx(2.0)
    assert rates[0] == pytest.approx(0.2) and rates[-1] == pytest.approx(0.0)
    assert np.all(np.diff(rates[:10]) > 0) and np.all(np.diff(rates[10:]) < 0)


def teacher(answer):
    """A network whose logits are `answer` of images (n, 48, 48, 1)."""
    import keras

    inputs = keras.Input((48, 48, 1))
    logits = keras.layers.Lambda(lambda x: answer(keras.ops.cast(x, "float32")), name="logits")(inputs)
    return keras.Model(inputs, keras.layers.Softmax()(logits))


def test_teachers_predict_the_mean_of_their_probabilities():
    import keras

    from fer_utils import training

    def sure_of(c):
        return teacher(lambda images: 50 * keras.ops.one_hot(keras.ops.full_like(images[:, 0, 0, 0], c), 7))

    images = np.zeros((5, 48, 48, 1), np.uint8)
    probs = training.teacher_probs([sure_of(1), sure_of(2)], images, portion=2)
    np.testing.assert_allclose(probs, [[0, 0.5, 0.5, 0, 0, 0, 0]] * 5, atol=1e-6)


def test_images_are_resized_to_their_side():
    import tensorflow as tf

    from fer_utils import training

    images, truth = tf.ones([2, 48, 48, 1]), tf.one_hot([4, 1], 7)
    for side, width in ((24, 24), (None, 48)):
        shown, target = training.resized(side)(images, truth)
        assert shown.shape == (2, width, width, 1) and target is truth


def test_votes_take_their_share_of_the_target(on_few_faces):
    from fer_utils import training

    dataset = data.load()
    probs = np.random.default_rng(0).dirichlet(np.ones(7), len(dataset.where("train"))).astype(np.float32)
    images, labels, truth = training.training_part(dataset, 50, 0.25, probs)
    assert len(images) == len(labels) == 50
    rows = [np.flatnonzero((dataset.part("train")[0] == image).all(axis=(1, 2, 3)))[0] for image in images]
    np.testing.assert_allclose(truth, 0.25 * probs[rows] + 0.75 * np.eye(7)[labels], atol=1e-6)
    assert (training.training_part(dataset, 50)[2] == np.eye(7)[labels]).all()


def test_a_run_with_votes_needs_them(on_few_faces, store):
    with pytest.raises(data.DataError, match="has no votes"):
        runs.Run(preset="small", profile="smoke", votes=0.5).fit()
    assert finished(store) == []


def test_a_teacher_sees_the_mirror_image_too():
    import keras

    from fer_utils import training

    def side_of_the_light(images):
        bright = keras.ops.mean(images[:, :, 24:], (1, 2, 3)) > 0
        return 50 * keras.ops.one_hot(keras.ops.cast(bright, "int32"), 7)

    images = np.zeros((1, 48, 48, 1), np.uint8)
    images[:, :, 40:] = 255
    probs = training.teacher_probs([teacher(side_of_the_light)], images)
    np.testing.assert_allclose(probs, [[0.5, 0.5, 0, 0, 0, 0, 0]], atol=1e-6)


def test_a_student_trains_its_teachers_first_and_another_teacher_makes_another_student(on_few_faces, store):
    taught = {"preset": "small", "profile": "smoke", "teachers": [{"preset": "small", "seed": 5}]}
    student = runs.Run(**taught).fit()
    teacher = runs.Run(preset="small", profile="smoke", seed=5)
    assert finished(store) == sorted([student.folder.name, teacher.name])
    assert student.history["loss"].tolist() != runs.Run(preset="small", profile="smoke").fit().history["loss"].tolist()
    other = runs.Run(**taught | {"teachers": [{"preset": "small", "seed": 5, "epochs": 2}]})
    assert other.name != student.folder.name


def test_a_training_starts_with_another_runs_weights(on_few_faces, store):
    dataset = data.load()
    own = {"preset": "small", "profile": "smoke", "augmentation": {}}
    first = runs.Run(**own, epochs=3).fit()
    second = runs.Run(**own, learning_rate=1e-6, start={"preset": "small", "epochs": 3, "augmentation": {}}).fit()
    np.testing.assert_allclose(second.logits(dataset, "val"), first.logits(dataset, "val"), atol=0.05)
    assert second.info["settings"]["depends"] == [first.folder.name]
    assert first.pflop > 0 and second.pflop == pytest.approx(first.pflop * 4 / 3)  # one epoch after three


def test_another_run_may_be_named_by_its_preset(on_few_faces, store):
    by_name, in_full = ({"start": start, "teachers": [start]} for start in ("small", {"preset": "small"}))
    assert runs.Run(preset="small", **by_name).depends == runs.Run(preset="small", **in_full).depends
    assert runs.Run(preset="small", **by_name).depends != runs.Run(preset="small").depends


def test_images_grow_and_the_kept_model_has_one_size(on_few_faces, store):
    dataset, widths = data.load(), {"model_settings": {"widths": [4, 8]}}
    run = runs.Run(preset="fast", profile="smoke", epochs=2, sizes=[24, 48], **widths).fit()
    assert run.history["epoch"].tolist() == [1, 2]
    assert run.model().input_shape == (None, 48, 48, 1)
    assert run.logits(dataset, "public+tta").shape == run.logits(dataset, "public").shape
    per_image = (0.5**2 + 1) / 2 * 3 * run.info["flops"]  # an epoch at half the side costs a quarter
    assert run.pflop == pytest.approx(2 * run.info["data"]["training_images"] * per_image / 1e15)
    assert run.accuracy("public")._asdict().items() <= run.info["scores"]["public+tta"].items()


def test_class_weights_give_every_class_the_same_share():
    from fer_utils import training

    labels = np.repeat([0, 1, 2], [60, 30, 10])
    given = training.class_weights(labels)
    assert [given[c] * n for c, n in enumerate([60, 30, 10])] == pytest.approx([100 / 3] * 3)
    assert given[6] == 0
    assert np.mean([given[c] for c in labels]) == pytest.approx(1)


def test_views_are_averaged_as_probabilities(trained, on_few_faces):
    from fer_utils import training

    dataset = data.load()
    images, model = dataset.part("val")[0][:5], trained.model()
    both = (trained.probs(dataset, "val")[:5] + model.predict(np.asarray(images)[:, :, ::-1], verbose=0)) / 2
    np.testing.assert_allclose(np.exp(training.predict_views(model, images, "flip")), both, atol=2e-2)
    many = np.exp(training.predict_views(model, images, "flip+shift"))
    np.testing.assert_allclose(many.sum(axis=1), 1, atol=1e-5)
