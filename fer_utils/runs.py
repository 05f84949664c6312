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
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import exca
import numpy as np
import pydantic
from filelock import FileLock

from fer_utils import data, presets, pretrained

KIT = Path(__file__).resolve().parents[1]
IN_NAMES = str.maketrans("/:", "_-", " ")  # what no folder's name should hold


class RunError(RuntimeError):
    """A run that cannot be read; the message names its folder and says what to do."""


def store():
    """The folder of all runs: `$FER_RUNS`, else `runs/` of the kit."""
    return Path(os.environ.get("FER_RUNS") or KIT / "runs")


class Stored(pydantic.BaseModel):
    """A training that is made once and kept: where it lies, and how it gets there whole or not at all.

    A subclass lists its settings, fills in what was not given (`filled`), tells those that are special (`changed`),
    loads its pictures (`dataset`), makes the results in a folder (`make`) and reads them (`finished`).
    """

    model_config = pydantic.ConfigDict(extra="forbid", protected_namespaces=())

    preset: str = "A"
    profile: str = "quick"
    seed: int = 0
    source: str = "auto"
    data: str = ""  # the fingerprint; filled in
    code: str = ""  # hash of the training code; filled in
    infra: exca.TaskInfra = exca.TaskInfra(version="1", mode="retry")

    @pydantic.model_validator(mode="before")
    @classmethod
    def fill_in(cls, given):
        filled = cls.filled({name: value for name, value in given.items() if value is not None})
        infra = {"folder": store() / ".exca", "cluster": os.environ.get("CLUSTER") or None}
        return filled | {"infra": infra | (filled.get("infra") or {})}

    @property
    def name(self):
        """Readable folder name: what distinguishes the run, then exca's hash of all its settings."""
        words = [f"{name}={value}" for name, value in self.changed().items()]
        words = [self.preset, self.profile, *(word for word in words if len(word) < 30), f"s{self.seed}"]
        return "-".join([*words, self.infra.uid().rsplit("-", 1)[-1]]).translate(IN_NAMES)

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
                    self.forget()
                    self.train()
        run = self.finished(self.folder)
        cite(run, self.changed())
        return run

    def forget(self):
        """Makes exca forget an earlier failure, or a result whose folder was deleted since."""
        if self.infra.status() in ("completed", "failed"):
            self.infra.clear_job()

    @infra.apply(exclude_from_cache_uid=("source",))
    def train(self) -> str:
        """Trains in `<name>.partial/` and renames it to `<name>/` when everything is written.

        Raises:
            RunError: where the folder cannot be written (disk full, no permission); what was trained so far is kept.
        """
        partial, dataset = Path(f"{self.folder}.partial"), self.dataset()
        try:
            self.make(dataset, partial)
            if self.folder.exists():  # has no run.json: the remains of something damaged
                shutil.rmtree(self.folder)
            os.replace(partial, self.folder)
        except OSError as error:
            why = f"cannot write {partial} ({error.strerror or error})"
            raise RunError(f"{why}: mend that and run again, it goes on where it was") from error
        return self.name


class Run(Stored):
    """The settings of one training. What is None or not given comes from the preset and the profile (`presets.py`).

    Args:
        preset, profile: names in `presets.PRESETS` and `presets.PROFILES`; `pretrained:<name>` needs no training.
        seed: draws the first weights, the order of the pictures, augmentation and dropout.
        model, model_settings: a builder in `models.BUILDERS` and its arguments.
        normalisation: `none`, `scale`, `zscore` or `picture`.
        augmentation: settings of `augment.augment`; {} for none.
        optimizer, learning_rate, batch, passes: as usual; a pass is one sweep over the training pictures.
        schedule: `constant`, or `triangle`: the rate rises over the first fifth of all steps and then falls to 0.
        weight_decay: share of the learning rate by which each step shrinks the weights (`adamw` alone).
        sizes: sides in pixels that the training pictures are shrunk to, each for an equal part of the passes (the
            model must take any size: `cnn_fast`); [] leaves them as they are.
        patience: stop after so many passes without better validation accuracy; None: never.
        rounds: how often the passes are repeated, each round going on from where the last one stopped.
        imbalance: `none`, `resample` (each class equally often in a pass) or `weight` (equally heavy in the loss).
        label_smoothing: share of the target that is spread over all classes.
        ema: momentum of the weights' moving average that is validated and kept instead; 0: none.
        tta: test-time augmentation, `none`, `flip` or `flip+shift`.
        keep: `best` weights by validation accuracy, or those of the `last` pass.
        limit: use only so many training pictures; None: all.
        teachers: settings (or presets' names) of other runs; their mean answer to a training picture becomes part of
            its target.
        teaching: that part; the rest is the label (Hinton, Vinyals & Dean 2015, arXiv:1503.02531).
        start: settings (or a preset's name) of another run of the same network, whose weights this one begins with;
            {}: weights drawn from the seed.
        votes: share of a picture's target that is the chance of each label given what ten people voted on it (FERPlus);
            the rest is the label. More than 0 needs their votes (`duplicates.votes`).
        precision: `auto`, `float32` or `mixed_bfloat16`.
        source: where the pictures are (`data.load`).

    Raises:
        ValueError: (pydantic's) for a setting that does not exist or has the wrong type.
    """

    model: str
    model_settings: dict = {}
    normalisation: str
    augmentation: dict
    optimizer: str
    learning_rate: float
    batch: int = pydantic.Field(gt=0)
    passes: int = pydantic.Field(gt=0)
    schedule: str = pydantic.Field("constant", pattern="^(constant|triangle)$")
    weight_decay: float = pydantic.Field(0.0, ge=0)
    sizes: list[int] = []
    patience: int | None = None
    rounds: int = pydantic.Field(1, gt=0)
    imbalance: str = pydantic.Field("none", pattern="^(none|resample|weight)$")
    label_smoothing: float = pydantic.Field(0.0, ge=0, lt=1)
    ema: float = pydantic.Field(0.0, ge=0, lt=1)
    tta: str = pydantic.Field("none", pattern=r"^(none|flip|flip\+shift)$")
    keep: str = pydantic.Field("best", pattern="^(best|last)$")
    limit: int | None
    teachers: list[dict | str] = []
    teaching: float = pydantic.Field(0.9, ge=0, le=1)
    start: dict | str = {}
    votes: float = pydantic.Field(0.0, ge=0, le=1)
    precision: str = pydantic.Field("auto", pattern="^(auto|float32|mixed_bfloat16)$")

    @classmethod
    def filled(cls, given):
        preset = given.get("preset", "A")
        settings = usual(preset, given.get("profile", "quick"))
        other = [name for name in given if given[name] != settings.get(name, given[name])]
        if pretrained.name_in(preset) and other:
            raise ValueError(f"{preset} is trained already: {', '.join(other)} cannot be changed")
        settings = settings | given
        settings.setdefault("data", data.fingerprint(settings.get("source", "auto")))
        if "code" not in settings:
            rests_on = [run.name for run in [*begun(settings), *taught(settings)]]  # another teacher, another student
            asked = [("audit", "label_chances")] if settings.get("votes") else []
            settings["code"] = "+".join([code_hash(settings["model"], functions=asked), *rests_on])
        return settings

    def changed(self):
        """Those settings, by name, that are not what the preset and the profile say."""
        return changed(self.settings())

    def finished(self, folder):
        return Finished(folder)

    def dataset(self):
        return data.load(self.source)

    def make(self, dataset, folder):
        from fer_utils import training  # imports TensorFlow: only when there is something to train
        from fer_utils.studies import duplicates  # imports TensorFlow: only when there is something to train

        if name := pretrained.name_in(self.preset):
            return training.adopt(name, self.settings(), dataset, folder)
        settings = self.settings() | {"source": self.source}
        start, teachers = ([run.model() for run in fit_all(of(settings))] for of in (begun, taught))
        chances = duplicates.label_chances(dataset) if self.votes else None
        training.train(self.settings(), dataset, folder, teachers, chances, *start)


def usual(preset, profile):
    """The settings of a preset in a profile, or those of weights that come with the kit (`pretrained:tiny`).

    Raises:
        ValueError: for an unknown word; the message lists the known ones.
    """
    name = pretrained.name_in(preset)
    return pretrained.settings(name) if name else presets.settings(preset, profile)


def taught(settings):
    """The runs that teach a run of these settings."""
    return _others(settings, settings.get("teachers", []))


def begun(settings):
    """The run whose weights a run of these settings begins with, in a list; an empty one where there is none."""
    return _others(settings, [settings["start"]] if settings.get("start") else [])


def _others(settings, wanted):
    """Runs that a run of these settings rests on: of the same profile and pictures, unless they say otherwise."""
    common = {name: settings[name] for name in ("profile", "source") if name in settings}
    return [Run(**common | ({"preset": other} if isinstance(other, str) else other)) for other in wanted]


def changed(settings):
    """Those settings of a run, by name, that are not what its preset and its profile say."""
    expected = {name: field.default for name, field in Run.model_fields.items()}
    expected |= usual(settings["preset"], settings["profile"])
    told = {"preset", "profile", "seed", "data", "code"}
    return {name: value for name, value in settings.items() if name not in told and value != expected.get(name)}


def cite(run, told=None):
    """Notes that what is shown rests on this run: a line of JSON in the file `$FER_CITED`, if somebody asks for it.

    The report asks, and lists the settings of every run behind its numbers. `fit` cites by itself.

    Args:
        run: Finished. told: its settings that are worth telling; None: those that are not its preset's.
    """
    if path := os.environ.get("FER_CITED"):
        facts = {name: value for name, value in run.info.items() if name != "layers"}
        record = {"name": run.folder.name, "changed": changed(run.info["settings"]) if told is None else told, **facts}
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


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
        """One row a pass: pass (from 1), loss, accuracy, val_loss, val_accuracy, seconds, cpu_seconds, round."""
        import pandas as pd

        table = pd.read_csv(self.folder / "history.csv")
        return table.assign(**{"pass": table["epoch"] + 1}).drop(columns="epoch")

    def logits(self, split, tta=False):
        """Logits (n, 7) float32 of `val`, `public`, `private` or `test`, in the order of `Dataset.part(split)`.

        With `tta` the logarithm of the probabilities' mean over the run's test-time augmentation.

        Raises:
            RunError: where the run holds none for that split, or its file is damaged.
        """
        path, name = self.folder / "predictions.npz", f"{split}+tta" if tta else split
        try:
            with np.load(path) as stored:
                return stored[name]
        except KeyError:
            raise RunError(f"{path} has no predictions for {name!r}") from None
        except (OSError, ValueError) as error:
            raise RunError(f"{path} is damaged ({error}): delete its folder and run again") from error

    def probs(self, split, tta=False):
        """Probabilities (n, 7) float32, the softmax of `logits`."""
        from scipy.special import softmax

        return softmax(self.logits(split, tta), axis=1)

    def model(self):
        """The trained network (imports TensorFlow)."""
        import keras

        from fer_utils import models  # noqa: F401  (registers the kit's layers)

        return keras.models.load_model(self.folder / "model.keras", compile=False)

    def __repr__(self):
        scores = ", ".join(f"{split} {score['value']:.3f}" for split, score in self.info["scores"].items())
        return f"{self.folder.name}: {self.info['passes']} passes, {self.info['seconds']} s, accuracy {scores}"


# -- many runs ---------------------------------------------------------------------------------------------------------


def fit_all(wanted, jobs=None):
    """Many runs at once, such as the arms of an ablation: trains those that are missing.

    Args:
        wanted: list of Run.
        jobs: how many train side by side on this machine; None: `$JOBS`, else 1. With `$CLUSTER` (`slurm`, or `local`
            for the same way on this machine) the list becomes one job array, through exca and submitit.

    Returns:
        list of Finished, in the order of `wanted`.
    """
    missing = list({run.name: run for run in wanted if not (run.folder / "run.json").exists()}.values())
    jobs = jobs or int(os.environ.get("JOBS") or 1)
    if missing and missing[0].infra.cluster:
        for run in missing:
            run.forget()
        with missing[0].infra.job_array() as array:
            array.extend(missing)
    elif len(missing) > 1 and jobs > 1:
        with ProcessPoolExecutor(jobs, get_context("spawn"), _share_cores, (jobs,)) as pool:
            list(pool.map(_fit_elsewhere, missing))
    return [run.fit() for run in wanted]


def _share_cores(jobs):
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(max(1, os.cpu_count() // jobs))


def _fit_elsewhere(run):
    run.fit()


def finished():
    """Every finished run of the store, the newest last; damaged ones are named in a warning and left out."""
    found = []
    for path in sorted(store().glob("*/run.json"), key=lambda path: path.stat().st_mtime):
        if not path.parent.name.endswith(".partial"):
            try:
                found.append(Finished(path.parent))
            except RunError as error:
                warnings.warn(str(error), stacklevel=2)
    return found


# -- the training code -------------------------------------------------------------------------------------------------


def code_hash(builder, modules=("training", "augment"), functions=()):
    """Hash of the code a training runs: whole modules, and of models.py what the builder uses.

    Comments, docstrings and other networks do not count, so a finished run outlives them.

    Args:
        functions: pairs (module, function) that count too, with what they use of their module.
    """
    text = "".join(ast.dump(node) for name in modules for node in _definitions(name).values())
    for module, function in [("models", builder), *functions]:
        text += _reached(function, _definitions(module))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


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


# -- make train, make runs ---------------------------------------------------------------------------------------------


def main(arguments):
    """`python -m fer_utils.runs` lists the store; `… preset=B profile=full passes=3` trains one run."""
    if arguments:
        given = dict(argument.split("=", 1) for argument in arguments)
        print(Run(**{name: _literal(text) for name, text in given.items()}).fit())
        return
    for run in finished():
        print(f"{run.info['data']['name']:28} {run}")
    for partial in sorted(store().glob("*.partial")):
        history = partial / "history.csv"
        passes = len(history.read_text().splitlines()) - 1 if history.exists() else 0
        print(f"{'interrupted, or at work':28} {partial.name.removesuffix('.partial')}: {passes} passes so far")


def _literal(text):
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


if __name__ == "__main__":
    main(sys.argv[1:])
