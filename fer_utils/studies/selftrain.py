"""Self-training: few pictures keep their labels, and a network labels the others for itself (pseudo-labels).

`SelfTraining(arm="keep all", seed=0).fit()` trains one arm of the experiment once and keeps it in the run store. Here
are the arms, the rule by which they choose pseudo-labels, and how good these are; `fewlabels` is the training.
"""

import numpy as np
import pydantic

from fer_utils import data, metrics, presets, runs
from fer_utils.labels import BILINGUAL as CLASS_NAMES
from fer_utils.labels import CLASSES

VAL_SHARE = 0.2  # of the training pictures, held out as report A did

# What each arm does with pictures that have no labels: which predictions `select` makes pseudo-labels of.
ARMS = {
    "supervised": {},  # none: it learns from the labelled pictures alone
    "keep all": {"threshold": 0.0, "share": 1.0},  # report A: all of them, right or wrong
    "threshold": {"threshold": 0.8, "share": 1.0},  # those that are sure enough
    "top share": {"threshold": 0.0, "share": 0.4},  # the surest of each predicted class, so that none is left out
    "FixMatch": {"threshold": 0.8, "share": 1.0},  # the sure ones, made anew in each update (`fewlabels.fixmatch`)
}
ARMS_ZH_TW = {
    "supervised": "監督式",
    "keep all": "全收",
    "threshold": "門檻",
    "top share": "各類比例",
    "FixMatch": "FixMatch",
    "oracle": "全知",  # supervised training with all labels
}
BILINGUAL = {arm: f"{arm} {chinese}" if chinese != arm else arm for arm, chinese in ARMS_ZH_TW.items()}

# How much there is to learn from, and for how long; the network and its optimiser are those of the preset.
PROFILES = {
    "smoke": {"limit": 300, "portion": 80, "first_steps": 4, "steps": 2, "batch": 16},
    "quick": {"limit": 1800, "portion": 240, "first_steps": 90, "steps": 18, "batch": 32},
    "full": {"limit": None, "portion": 1000, "first_steps": 1000, "steps": 150, "batch": 64},
}

# How a picture may change before it is learned: every picture, and FixMatch's pictures without labels.
WEAK = {"shift": 0.05, "flip": True}
STRONG = {"shift": 0.12, "rotation": 20.0, "zoom": 0.15, "shear": 10.0, "flip": True, "noise": 0.08, "cutout": 16}


class SelfTraining(runs.Stored):
    """The settings of one arm. What is None or not given comes from the preset, PROFILES and ARMS.

    The training pictures are shuffled and cut into portions; only the first keeps its labels. After every round of
    updates a further portion arrives, and pseudo-labels are chosen among the pictures that have none.

    Args:
        preset, profile: names in `presets.PRESETS` and PROFILES.
        seed: draws which pictures keep their labels, the first weights, the batches and their augmentation.
        arm: a name in ARMS.
        labels: how many pictures keep their labels; None: one portion.
        portion: pictures that arrive together; there are as many rounds as portions.
        limit: use only so many training pictures, held-out ones included; None: all.
        first_steps, steps: updates of the first round, and of every further one. batch: pictures an update.
        threshold, share: how pseudo-labels are chosen, as in `select`.
        augmentation: of every training picture; strong: of FixMatch's pictures without labels, settings of `augment`.
        ratio: FixMatch's pictures without labels an update, for each one of the batch.
        normalisation: as in `models.normalise`, whose fixed mean and standard deviation serve `zscore`.
        model, model_settings, optimizer, learning_rate, precision, source: as in `runs.Run`.

    Raises:
        ValueError: (pydantic's) for a setting that does not exist or has the wrong type.
    """

    preset: str = "small"
    arm: str = "keep all"
    labels: int = pydantic.Field(gt=0)
    portion: int = pydantic.Field(gt=0)
    limit: int | None
    first_steps: int = pydantic.Field(gt=0)
    steps: int = pydantic.Field(gt=0)
    batch: int = pydantic.Field(gt=0)
    threshold: float = pydantic.Field(0.0, ge=0, le=1)
    share: float = pydantic.Field(1.0, ge=0, le=1)
    augmentation: dict = WEAK
    strong: dict = STRONG
    ratio: int = pydantic.Field(1, gt=0)
    model: str
    model_settings: dict = {}
    normalisation: str = "picture"
    optimizer: str
    learning_rate: float
    precision: str = pydantic.Field("auto", pattern="^(auto|float32|mixed_bfloat16)$")

    @classmethod
    def filled(cls, given):
        profile, arm = given.get("profile", "quick"), given.get("arm", "keep all")
        if arm not in ARMS:
            raise ValueError(f"{arm!r} is not one of: {', '.join(ARMS)}")
        preset = presets.settings(given.get("preset", "small"), profile)
        kept = ("model", "model_settings", "optimizer", "learning_rate")
        settings = {name: preset[name] for name in kept if name in preset} | PROFILES[profile] | ARMS[arm] | given
        settings.setdefault("labels", settings["portion"])
        settings.setdefault("data", data.fingerprint(settings.get("source", "auto"), VAL_SHARE))
        settings.setdefault("code", code_hash(settings["model"]))
        return settings

    def changed(self):
        """The arm, and those settings that are not what the preset, the profile and the arm say."""
        usual = {name: field.default for name, field in type(self).model_fields.items()}
        usual |= self.filled({"preset": self.preset, "profile": self.profile, "arm": self.arm, "data": "", "code": ""})
        told = ("preset", "profile", "seed", "arm", "data", "code")
        special = {name: value for name, value in self.settings().items() if name not in told and value != usual[name]}
        return {"arm": self.arm} | special

    def dataset(self):
        return data.load(self.source, VAL_SHARE)

    def make(self, dataset, folder):
        from fer_utils.studies import fewlabels  # imports TensorFlow: only when there is something to train

        fewlabels.train(self.settings(), dataset, folder)

    def finished(self, folder):
        return Trained(folder)


class Trained(runs.Finished):
    """What a finished arm left in its folder."""

    @property
    def history(self):
        """One row a round: round (from 1), pictures (that have a label), accuracy (on them), val_accuracy, seconds."""
        import pandas as pd

        return pd.read_csv(self.folder / "history.csv")

    @property
    def pseudo_labels(self):
        """(rounds, M) ints: the class that each picture without a label had in each round, −1 for none."""
        return np.load(self.folder / "pseudo_labels.npy")


def code_hash(builder):
    """Hash of the code that an arm runs, as `runs.code_hash`."""
    own = [("selftrain", name) for name in ("cut", "arrivals", "select")]
    return runs.code_hash(builder, ("training", "augment", "fewlabels"), own)


# -- which pictures, and which pseudo-labels ---------------------------------------------------------------------------


def cut(dataset, seed, labels, limit=None):
    """Which pictures keep their labels, which lose them, and which are held out.

    Args:
        dataset: `data.Dataset`; its `val` split is held out. seed: draws the pictures and their order.
        labels: how many keep their labels. limit: use so many pictures in all; None: all.

    Returns:
        Row numbers (labels,), (M,) in the order of their arrival, and (V,).
    """
    rng = np.random.default_rng(seed)
    train, held_out = rng.permutation(dataset.where("train")), rng.permutation(dataset.where("val"))
    part = min(1.0, limit / (len(train) + len(held_out))) if limit else 1.0
    train, held_out = train[: int(part * len(train))], held_out[: int(part * len(held_out))]
    return train[:labels], train[labels:], held_out


def arrivals(labelled, unlabelled, portion):
    """How many pictures without labels have arrived in each round: none in the first, all in the last.

    >>> arrivals(400, 1000, portion=400)
    [0, 400, 800, 1000]
    """
    rounds = -(-(labelled + unlabelled) // portion)
    return [min(portion * number, unlabelled) for number in range(rounds - 1)] + [unlabelled]


def select(probs, threshold=0.0, share=1.0):
    """Predictions that become pseudo-labels: sure enough, and among the surest of their predicted class.

    Args:
        probs: (n, 7). threshold: least probability of the predicted class, 0…1.
        share: of each predicted class, rounded up, 0…1.

    Returns:
        (chosen, labels): indices (k,) in ascending order, and their predicted classes (k,).

    References:
        Lee (2013), Pseudo-Label, ICML workshop. Zou et al. (2018), Unsupervised Domain Adaptation for Semantic
        Segmentation via Class-Balanced Self-Training, ECCV (the share).
    """
    predicted, confidence = np.argmax(probs, axis=1), np.max(probs, axis=1)
    chosen = np.zeros(len(probs), bool)
    for c in range(len(CLASSES)):
        of_class = np.flatnonzero(predicted == c)
        surest = of_class[np.argsort(-confidence[of_class], kind="stable")]
        chosen[surest[: int(np.ceil(share * len(of_class)))]] = True
    chosen = np.flatnonzero(chosen & (confidence >= threshold))
    return chosen, predicted[chosen]


# -- how good pseudo-labels are: for the report only, since it takes the true labels -----------------------------------


def judge(pseudo_labels, truth):
    """How many pseudo-labels each round had, how many of them are right, and how evenly they cover the classes.

    Args:
        pseudo_labels: (rounds, M) ints, −1 for none. truth: (M,) ints, what no arm has seen.

    Returns:
        pandas DataFrame, a row a round that has any: round, n, precision with low and high (the share that is right,
        Wilson), top (the most frequent class) and top_share, classes (`effective_classes`), distance (total variation
        to the true shares, 0…1).
    """
    import pandas as pd

    true_shares, rows = class_shares(truth), []
    for number, labels in enumerate(pseudo_labels, start=1):
        given = labels >= 0
        if given.any():
            right = metrics.share(int((labels == truth)[given].sum()), int(given.sum()))
            shares = class_shares(labels)
            distance = np.abs(shares - true_shares).sum() / 2
            spread = (int(shares.argmax()), shares.max(), effective_classes(shares), distance)
            rows.append((number, right.n, right.value, right.low, right.high, *spread))
    columns = ["round", "n", "precision", "low", "high", "top", "top_share", "classes", "distance"]
    return pd.DataFrame(rows, columns=columns)


def formatted(judged):
    """The tables of `judge` in words for print, the first and the last row of each.

    Args:
        judged: dict of arm -> DataFrame.

    Returns:
        pandas DataFrame of strings, index: arm; columns: round, n, precision, most frequent, classes, distance.
    """
    import pandas as pd

    rows = pd.concat({arm: table.iloc[[0, -1]] for arm, table in judged.items() if len(table)}, names=["arm", None])
    return pd.DataFrame(
        {
            "round": [f"{r}" for r in rows["round"]],
            "n": [f"{n:,}" for n in rows["n"]],
            "precision": [str(metrics.Estimate(*row)) for row in rows[["precision", "low", "high", "n"]].to_numpy()],
            "most frequent": [f"{CLASS_NAMES[c]} {s:.0%}" for c, s in zip(rows["top"], rows["top_share"], strict=True)],
            "classes": [f"{classes:.1f}" for classes in rows["classes"]],
            "distance": [f"{distance:.2f}" for distance in rows["distance"]],
        },
        index=rows.index.get_level_values("arm"),
    )


def class_shares(labels):
    """(7,) shares of the classes; negative labels do not count."""
    counts = np.bincount(labels[labels >= 0], minlength=len(CLASSES))
    return counts / max(counts.sum(), 1)


def effective_classes(shares):
    """How many equally frequent classes would be as diverse: exp of the Shannon entropy.

    References:
        Hill (1973), Diversity and Evenness, Ecology 54.

    >>> float(effective_classes(np.array([0.5, 0.5, 0, 0, 0, 0, 0]))).__round__(6)
    2.0
    """
    present = shares[shares > 0]
    return np.exp(-(present * np.log(present)).sum())
