"""Learning from few labels: what is chosen, what is read, what is repeated, and how it is drawn."""

import dataclasses

import numpy as np
import pydantic
import pytest

from fer_utils import data, recorded, trainings
from fer_utils.labels import CLASSES
from fer_utils.studies import selftrain


def sure(*predictions):
    """Probabilities (n, 7) from pairs of a predicted class and its probability."""
    probs = np.array([np.full(7, (1 - confidence) / 6) for _, confidence in predictions])
    probs[range(len(predictions)), [c for c, _ in predictions]] = [confidence for _, confidence in predictions]
    return probs


PROBS = sure((3, 0.9), (3, 0.6), (0, 0.5), (3, 0.8), (0, 0.7), (6, 0.3))

# threshold, share, the images that are chosen
SELECTED = [
    (0.0, 1.0, [0, 1, 2, 3, 4, 5]),
    (0.6, 1.0, [0, 1, 3, 4]),
    (0.95, 1.0, []),
    (0.0, 0.5, [0, 3, 4, 5]),  # the surest half of each class, rounded up
    (0.0, 0.34, [0, 3, 4, 5]),
    (0.0, 0.33, [0, 4, 5]),  # one of three; every class that is predicted keeps one
    (0.75, 0.5, [0, 3]),
    (0.0, 0.0, []),
]


@pytest.mark.parametrize(("threshold", "share", "expected"), SELECTED)
def test_selection(threshold, share, expected):
    chosen, labels = selftrain.select(PROBS, threshold, share)
    assert chosen.tolist() == expected
    assert labels.tolist() == [[3, 3, 0, 3, 0, 6][i] for i in expected]


def test_of_equally_sure_ones_the_first_are_taken():
    assert selftrain.select(sure(*[(2, 0.4)] * 5), share=0.4)[0].tolist() == [0, 1]


# labelled, unlabelled, portion, images that have arrived in each round
ARRIVALS = [(400, 2000, 400, [0, 400, 800, 1200, 1600, 2000]), (1000, 1500, 1000, [0, 1000, 1500]),
            (2400, 0, 400, [0] * 6), (200, 2200, 400, [0, 400, 800, 1200, 1600, 2200]), (50, 0, 80, [0])]  # fmt: skip


@pytest.mark.parametrize(("labelled", "unlabelled", "portion", "expected"), ARRIVALS)
def test_arrivals(labelled, unlabelled, portion, expected):
    assert selftrain.arrivals(labelled, unlabelled, portion) == expected


def test_the_cut_holds_a_fifth_out_and_keeps_the_parts_apart(on_few_faces):
    dataset = data.load(val_share=selftrain.VAL_SHARE)
    labelled, unlabelled, held_out = selftrain.cut(dataset, seed=0, labels=50, limit=200)
    assert len(labelled) == 50 and len(labelled) + len(unlabelled) == pytest.approx(160, abs=2)
    assert len(held_out) == pytest.approx(40, abs=2)
    assert set(dataset.split[np.concatenate([labelled, unlabelled])]) == {"train"}
    assert set(dataset.split[held_out]) == {"val"}
    assert not set(labelled) & set(unlabelled)
    other = selftrain.cut(dataset, seed=1, labels=50, limit=200)[0]
    assert set(other) != set(labelled)
    more = selftrain.cut(dataset, seed=0, labels=100, limit=200)[0]
    assert more[:50].tolist() == labelled.tolist()  # more labels: the same ones and others


def test_judgement():
    truth = np.array([3, 3, 0, 6])
    table = selftrain.judge(np.array([[-1, -1, -1, -1], [3, 3, 3, -1], [3, 3, 0, 6]]), truth)
    assert table["round"].tolist() == [2, 3] and table["n"].tolist() == [3, 4]
    assert table["precision"].tolist() == [pytest.approx(2 / 3), 1]
    assert (table["low"] < table["precision"]).all()
    assert table["top"].tolist() == [3, 3] and table["top_share"].tolist() == [1, 0.5]
    assert table["distance"].tolist() == [pytest.approx(0.5), 0]
    rows = selftrain.last_rounds({"threshold": table[:1], "none": table[:0], "both": table}, truth)
    assert [(row["arm"], row["n"]) for row in rows] == [("threshold", 3), ("both", 4)]
    assert f"{rows[0]['precision']:.2f}" == "67\u00a0% [21, 94]"
    assert [(row["class"], row["share"], row["true share"]) for row in rows] == [
        (CLASSES[3], 1, 0.5), (CLASSES[3], 0.5, 0.5),
    ]  # fmt: skip


def test_every_arm_has_a_name_that_can_be_translated():
    assert (*selftrain.ARMS, "oracle") == selftrain.NAMES


def test_unlabelled_images_have_no_share():
    assert selftrain.class_shares(np.array([3, -1, 3, 0, -1, 3])).tolist() == [0.25, 0, 0, 0.75, 0, 0, 0]
    assert selftrain.class_shares(np.array([-1])).tolist() == [0] * 7


# -- trainings ---------------------------------------------------------------------------------------------------------

# Soon sure of something; float32 everywhere, so that one traced network serves all tests.
SMOKE = {"profile": "smoke", "model_settings": {"width": 4}, "learning_rate": 0.01, "precision": "float32"}
THRESHOLD = {"threshold": 0.3, "FixMatch": 0.3}  # lets some of that through, not all


class Learned:
    """One training, without its scores; its updates are counted where they are made."""

    def __init__(self, dataset, source, folder, arm, **more):
        run = selftrain.SelfTraining(**SMOKE | {"arm": arm, "threshold": THRESHOLD.get(arm), "source": source} | more)
        self.sizes, self.original = [], selftrain.build
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(selftrain, "build", self.build)
            patch.setattr(selftrain, "finish", self.keep)
            selftrain.train(run.settings(), dataset, folder)
        self.pseudo_labels = np.load(folder / "pseudo_labels.npz")["pseudo_labels"]

    def build(self, settings):
        network = self.original(settings)
        return network._replace(
            train_step=lambda *batch: self.sizes.append(len(batch[0])) or network.train_step(*batch)
        )

    def keep(self, network, settings, dataset, validation, history, folder, policy):
        self.weights = [weight.copy() for weight in network.model.get_weights()]
        self.history, self.updates = history, selftrain.updates(network)


@pytest.fixture(scope="module")
def learn(few_faces, tmp_path_factory):
    """Trains an arm; `poison` are rows of the dataset that get other labels before."""
    dataset = data.load(few_faces, selftrain.VAL_SHARE)

    def train(arm, poison=(), **more):
        labels = np.array(dataset.labels)
        labels[list(poison)] = (labels[list(poison)] + 3) % 7
        folder = tmp_path_factory.mktemp("arm")
        return Learned(dataclasses.replace(dataset, labels=labels), str(few_faces), folder, arm, **more)

    train.labelled, train.unlabelled, _ = selftrain.cut(dataset, seed=0, labels=80, limit=300)
    return train


@pytest.fixture(scope="module")
def learned(learn):
    """Every arm, and the oracle."""
    arms = {arm: learn(arm) for arm in selftrain.ARMS}
    return arms | {"oracle": learn("supervised", labels=1000)}


def same(some, others):
    return all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))


@pytest.mark.parametrize("arm", selftrain.ARMS)
def test_no_arm_reads_the_labels_that_it_must_not(arm, learn, learned):
    poisoned = learn(arm, poison=learn.unlabelled)
    assert same(poisoned.weights, learned[arm].weights)
    assert np.array_equal(poisoned.pseudo_labels, learned[arm].pseudo_labels)


@pytest.mark.parametrize(("arm", "labels"), [("FixMatch", None), ("supervised", 1000)])
def test_labels_that_are_read_make_another_network(arm, labels, learn, learned):
    """Without this the test above would prove nothing."""
    rows = learn.unlabelled if labels else learn.labelled
    poisoned = learn(arm, poison=rows[:20], labels=labels)
    assert not same(poisoned.weights, learned["oracle" if labels else arm].weights)


def test_arms_differ_in_nothing_but_pseudo_labels(learned):
    """Equal updates, the same network until the first pseudo-label, and another one after it."""
    for arm, one in learned.items():
        more = 16 if arm == "FixMatch" else 0  # its images without labels come on top, not instead
        assert one.sizes == [16] * 4 + [16 + more] * 4 and one.updates == 8
    firsts = [one.history[0] for arm, one in learned.items() if arm != "oracle"]
    assert len({(row["accuracy"], row["val_accuracy"]) for row in firsts}) == 1
    weights = [one.weights for one in learned.values()]
    assert not any(same(some, other) for i, some in enumerate(weights) for other in weights[:i])


def test_kept_pseudo_labels_follow_the_arrivals(learned):
    """Keep all gives every image its label when it arrives, for good; the others are choosier."""
    pseudo_labels, history = learned["keep all"].pseudo_labels, learned["keep all"].history
    arrived = selftrain.arrivals(80, pseudo_labels.shape[1], 80)
    counts = {arm: [(labels >= 0).sum() for labels in one.pseudo_labels] for arm, one in learned.items()}
    assert counts["keep all"] == arrived
    assert [row["images"] for row in history] == [80 + n for n in arrived]
    earlier = pseudo_labels[1] >= 0
    assert np.array_equal(pseudo_labels[2][earlier], pseudo_labels[1][earlier])
    for arm in ("threshold", "top share", "FixMatch"):
        assert 0 < counts[arm][-1] < arrived[-1], arm
    assert counts["supervised"] == [0, 0, 0]


@pytest.fixture
def network(few_faces):
    return selftrain.build(selftrain.SelfTraining(**SMOKE, source=str(few_faces)).settings())


def test_fixmatch_learns_strong_views_by_what_weak_ones_say(network, few_faces):
    images = np.load(few_faces)["images"][:40]
    seed = np.array([0, 7])
    probs = network.predict_step(network.weak(images, seed)).numpy()
    threshold = float(np.median(probs.max(axis=1)))
    strong, labels, weights = selftrain.fixmatch(network, images, seed, threshold)
    assert labels.tolist() == probs.argmax(axis=1).tolist()
    assert weights.tolist() == [1 / 40 if p >= threshold else 0 for p in probs.max(axis=1)]
    weak = np.asarray(network.weak(images, seed))
    assert (np.abs(strong - weak).mean(axis=(1, 2, 3)) > 5).all()  # grey levels
    gentle, rough = (np.abs(view - images).mean() for view in (weak, np.asarray(strong)))
    assert gentle < rough


def test_weight_zero_teaches_nothing(few_faces):
    """Two updates that differ in an uncertain image's label alone make the same network."""
    settings = selftrain.SelfTraining(**SMOKE, source=str(few_faces)).settings()
    images, results = np.load(few_faces)["images"][:2].astype("float32"), []
    for label, weight in [(0, 0.0), (3, 0.0), (3, 0.5)]:
        network = selftrain.build(settings)
        network.train_step(images, np.array([5, label]), np.array([0.5, weight]))
        results.append([weight.copy() for weight in network.model.get_weights()])
    assert same(results[0], results[1]) and not same(results[1], results[2])


def test_the_penalties_of_the_model_count(few_faces):
    """Even where no image has any weight, E's L1 and L2 penalties move its weights."""
    given = {"preset": "E-dnn", "profile": "smoke", "precision": "float32", "source": str(few_faces)}
    network = selftrain.build(selftrain.SelfTraining(**given).settings())
    before = [weight.numpy() for weight in network.model.trainable_weights]
    images = np.load(few_faces)["images"][:2].astype("float32")
    network.train_step(images, np.array([0, 3]), np.zeros(2))
    assert not same([weight.numpy() for weight in network.model.trainable_weights], before)


# count, size, steps
BATCHES = [(10, 4, 5), (3, 8, 2), (16, 16, 3)]


@pytest.mark.parametrize(("count", "size", "steps"), BATCHES)
def test_every_image_comes_once_before_any_comes_again(count, size, steps):
    rows = selftrain.draw_batches(np.random.default_rng(0), count, size, steps)
    assert rows.shape == (steps, size)
    times = np.bincount(rows.ravel(), minlength=count)
    assert times.max() - times.min() <= 1
    assert selftrain.draw_batches(np.random.default_rng(0), 0, size, steps).shape == (steps, 0)


# -- the store ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arm", ["keep all", "FixMatch"])
def test_stopped_in_a_round_it_ends_as_if_it_had_not_been(arm, learned, on_few_faces, store, monkeypatch):
    given = SMOKE | {"arm": arm, "threshold": THRESHOLD.get(arm)}
    run, original, rounds = selftrain.SelfTraining(**given), selftrain.fit_round, []

    def stops(*arguments):
        rounds.append(1)
        if len(rounds) == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(selftrain, "fit_round", stops)
    with pytest.raises(KeyboardInterrupt):
        run.fit()
    assert [path.name for path in store.glob("small*")] == [f"{run.name}.partial"]
    resumed = run.fit()
    assert len(rounds) == 4  # the third one again, not those before
    assert sorted(path.name for path in resumed.folder.iterdir()) == [
        "history.csv", "model.keras", "predictions.npz", "pseudo_labels.npz", "run.json",
    ]  # fmt: skip
    assert resumed.history.drop(columns="seconds").to_dict("records") == [
        {name: value for name, value in row.items() if name != "seconds"} for row in learned[arm].history
    ]
    assert np.array_equal(resumed.pseudo_labels, learned[arm].pseudo_labels)
    assert same(resumed.model().get_weights(), learned[arm].weights)
    assert resumed.info["updates"] == 8 and {"val", "public"} <= set(resumed.info["scores"])
    assert np.array_equal(run.fit().pseudo_labels, resumed.pseudo_labels)
    assert len(rounds) == 4  # finished: loaded, not trained


def test_an_arm_is_recorded_found_and_trained_anew(on_few_faces, store, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(recorded, "FOLDER", tmp_path / "recorded")
    run = selftrain.SelfTraining(**SMOKE | {"arm": "keep all"})
    trained = run.fit()
    recorded.write(trained, "self_training/keep-all-s0")
    history = trained.history
    trained.folder.rename(store / "elsewhere")
    found = run.fit()
    assert found.name == "recorded/self_training/keep-all-s0" and found.history.equals(history)
    assert np.array_equal(found.pseudo_labels, selftrain.Trained(store / "elsewhere").pseudo_labels)
    assert trainings.main(["--reproduce", "self_training/keep-all-s0"]) == 0
    assert "agrees" in capsys.readouterr().out and run.is_finished()


# one setting changed -> another run
CHANGES = [{"seed": 1}, {"arm": "FixMatch"}, {"threshold": 0.5}, {"share": 0.3}, {"labels": 60}, {"steps": 3},
           {"data": "another"}, {"strong": {}}]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_every_setting_makes_another_run(change, on_few_faces, store):
    same, other = selftrain.SelfTraining(), selftrain.SelfTraining(**change)
    assert same.name == selftrain.SelfTraining(labels=None, threshold=None).name != other.name


# what is asked, words of the refusal
REFUSED = [
    ({"arm": "none"}, "supervised, keep all"),
    ({"profile": "slow"}, "smoke, quick, full"),
    ({"labels": 0}, "greater than 0"),
    ({"threshold": 2}, "less than or equal to 1"),
    ({"tau": 0.9}, "tau"),
]


@pytest.mark.parametrize(("asked", "words"), REFUSED)
def test_bad_settings_are_refused(asked, words, on_few_faces, store):
    with pytest.raises(pydantic.ValidationError, match=words):
        selftrain.SelfTraining(**asked)
    assert not store.exists()
