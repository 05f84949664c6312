"""The run store: `Run(preset="A", profile="quick", seed=0).fit()` trains once and is kept for ever.

A run is its settings, the data's fingerprint and the training code. If a finished run of exactly these exists in
`runs/`, it is loaded in a moment and TensorFlow is not even imported; otherwise it is trained and stored whole or not
at all. exca turns settings into a hash and, with CLUSTER=slurm, sends trainings to a cluster.
"""

import ast
import hashlib
import json
import os
import shutil
from pathlib import Path

import exca
import numpy as np
import pydantic
from filelock import FileLock

from fer_utils import data, presets

KIT = Path(__file__).resolve().parents[1]


class RunError(RuntimeError):
    """A run that cannot be read; the message names its folder and says what to do."""


def store():
    """The folder of all runs: `$FER_RUNS`, else `runs/` of the kit."""
    return Path(os.environ.get("FER_RUNS") or KIT / "runs")


class Run(pydantic.BaseModel):
    """The settings of one training. What is None or not given comes from the preset and the profile (`presets.py`).

    Args:
        preset, profile: names in `presets.PRESETS` and `presets.PROFILES`.
        seed: draws the first weights, the order of the pictures, augmentation and dropout.
        model, model_settings: a builder in `models.BUILDERS` and its arguments.
        normalisation: `none`, `scale`, `zscore` or `picture`.
        augmentation: settings of `augment.augment`; {} for none.
        optimizer, learning_rate, batch, passes: as usual; a pass is one sweep over the training pictures.
        patience: stop after so many passes without better validation accuracy; None: never.
        keep: `best` weights by validation accuracy, or those of the `last` pass.
        limit: use only so many training pictures; None: all.
        precision: `auto`, `float32` or `mixed_bfloat16`.
        source: where the pictures are (`data.load`).

    Raises:
        ValueError: (pydantic's) for a setting that does not exist or has the wrong type.
    """

    model_config = pydantic.ConfigDict(extra="forbid", protected_namespaces=())

    preset: str = "A"
    profile: str = "quick"
    seed: int = 0
    model: str
    model_settings: dict = {}
    normalisation: str
    augmentation: dict
    optimizer: str
    learning_rate: float
    batch: int = pydantic.Field(gt=0)
    passes: int = pydantic.Field(gt=0)
    patience: int | None = None
    keep: str = pydantic.Field("best", pattern="^(best|last)$")
    limit: int | None
    precision: str = pydantic.Field("auto", pattern="^(auto|float32|mixed_bfloat16)$")
    source: str = "auto"
    data: str = ""  # the fingerprint; filled in
    code: str = ""  # hash of the training code; filled in
    infra: exca.TaskInfra = exca.TaskInfra(version="1", mode="retry")

    @pydantic.model_validator(mode="before")
    @classmethod
    def fill_in(cls, given):
        given = {name: value for name, value in given.items() if value is not None}  # None: as the preset says
        filled = presets.settings(given.get("preset", "A"), given.get("profile", "quick")) | given
        filled.setdefault("data", data.fingerprint(filled.get("source", "auto")))
        filled.setdefault("code", code_hash(filled["model"]))
        infra = {"folder": store() / ".exca", "cluster": os.environ.get("CLUSTER") or None}
        filled["infra"] = infra | (filled.get("infra") or {})
        return filled

    @property
    def name(self):
        """Readable folder name: what distinguishes the run, then exca's hash of all its settings."""
        usual = presets.settings(self.preset, self.profile)
        changed = [f"{key}={value}" for key, value in self if key in usual and value != usual[key]]
        words = [self.preset, self.profile, *(word for word in changed if len(word) < 30), f"s{self.seed}"]
        return "-".join([*words, self.infra.uid().rsplit("-", 1)[-1]]).replace("/", "_").replace(" ", "")

    @property
    def folder(self):
        return store() / self.name

    def settings(self):
        """The settings as a plain dict, as run.json keeps them."""
        return self.model_dump(exclude={"infra", "source"})

    def fit(self):
        """The finished run: loaded if it is in the store, else trained (resuming what was interrupted)."""
        if not (self.folder / "run.json").exists():
            locks = store() / ".locks"
            locks.mkdir(parents=True, exist_ok=True)
            with FileLock(locks / self.name):  # two processes never train the same thing
                if not (self.folder / "run.json").exists():
                    self.infra.clear_job()  # a result that exca remembers but whose folder was deleted
                    self.train()
        return Finished(self.folder)

    @infra.apply(exclude_from_cache_uid=("source",))
    def train(self) -> str:
        """Trains in `<name>.partial/` and renames it to `<name>/` when everything is written."""
        from fer_utils import training  # imports TensorFlow: only when there is something to train

        partial = Path(f"{self.folder}.partial")
        training.train(self.settings(), data.load(self.source), partial)
        if self.folder.exists():  # has no run.json: the remains of something damaged
            shutil.rmtree(self.folder)
        os.replace(partial, self.folder)
        return self.name


class Finished:
    """What a finished run left in its folder."""

    def __init__(self, folder):
        self.folder = Path(folder)
        try:
            self.info = json.loads((self.folder / "run.json").read_text())
        except (OSError, ValueError) as error:
            raise RunError(f"{self.folder} is damaged ({error}): delete this folder and run again") from error

    @property
    def history(self):
        """One row a pass: pass (from 1), loss, accuracy, val_loss, val_accuracy, seconds."""
        import pandas as pd

        table = pd.read_csv(self.folder / "history.csv")
        return table.assign(**{"pass": table["epoch"] + 1}).drop(columns="epoch")

    def logits(self, split):
        """Logits (n, 7) float32 of `val`, `public`, `private` or `test`, in the order of `Dataset.part(split)`.

        Raises:
            RunError: where the run holds none for that split, or its file is damaged.
        """
        path = self.folder / "predictions.npz"
        try:
            with np.load(path) as stored:
                return stored[split]
        except KeyError:
            raise RunError(f"{path} has no predictions for {split!r}") from None
        except (OSError, ValueError) as error:
            raise RunError(f"{path} is damaged ({error}): delete its folder and run again") from error

    def probs(self, split):
        """Probabilities (n, 7) float32, the softmax of `logits`."""
        from scipy.special import softmax

        return softmax(self.logits(split), axis=1)

    def model(self):
        """The trained network (imports TensorFlow)."""
        import keras

        from fer_utils import models  # noqa: F401  (registers the kit's layers)

        return keras.models.load_model(self.folder / "model.keras", compile=False)

    def __repr__(self):
        scores = ", ".join(f"{split} {score['value']:.3f}" for split, score in self.info["scores"].items())
        return f"{self.folder.name}: {self.info['passes']} passes, {self.info['seconds']} s, accuracy {scores}"


def code_hash(builder):
    """Hash of the code a training runs: training.py, augment.py, and of models.py what the builder uses.

    Comments, docstrings and other networks do not count, so a finished run outlives them.
    """
    text = "".join(ast.dump(node) for name in ("training", "augment") for node in _definitions(name).values())
    return hashlib.sha256((text + _reached(builder, _definitions("models"))).encode()).hexdigest()[:12]


def _definitions(module):
    """Top-level statements of one of the kit's modules by name, without docstrings."""
    tree = ast.parse((Path(__file__).parent / f"{module}.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return {getattr(node, "name", f"line {number}"): node for number, node in enumerate(tree.body)}


def _reached(name, definitions, seen=None):
    """The definitions that one of them uses, directly or through others, as text."""
    seen = set() if seen is None else seen
    if name not in definitions or name in seen:
        return ""
    seen.add(name)
    used = [node.id for node in ast.walk(definitions[name]) if isinstance(node, ast.Name)]
    return ast.dump(definitions[name]) + "".join(_reached(word, definitions, seen) for word in used)
