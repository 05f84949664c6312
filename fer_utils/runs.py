"""The run store: `Run(preset="A", profile="quick", seed=0).fit()` trains once and keeps the result.

A run is identified by its settings, the fingerprint of its training and validation images, TRAINING_VERSION, and the
content of whatever lies outside of the kit. If `runs/` holds a finished run of exactly these, or else if one is
recorded (`recorded`), it is loaded at once, without importing TensorFlow; else it is trained and stored, whole or not
at all; with CLUSTER=slurm by a job of a cluster (`cluster`). exca turns settings into a hash.

    python -m fer_utils.runs "preset=B profile=full"      train one run, or find it; `trainings` has all other commands
"""

import hashlib
import importlib
import math
import os
import shutil
import sys
import warnings
import weakref

import exca
import numpy as np
import pydantic
from filelock import FileLock

from fer_utils import cluster, data, own, presets, recorded
from fer_utils.finished import Finished, RunError, note, store
from fer_utils.own import NetworkError
from fer_utils.settings import SettingsError, parse

# Raise it when a change of training, augment, layers, models or studies.selftrain changes what trainings of the same
# settings give: finished runs of another version are not used again.
TRAINING_VERSION = "2"

IN_NAMES = str.maketrans("/:", "_-", " ")  # what a folder's name must not hold
GIVEN = weakref.WeakValueDictionary()  # data sets that `fit` was given, while they are in use: Dataset.training -> it


# -- a training that is stored -----------------------------------------------------------------------------------------


class Stored(pydantic.BaseModel):
    """A training that is made once and kept: where it lies, and how it gets there whole or not at all.

    A subclass lists its settings and defines `filled` (complete what was not given), `changed` (the settings that are
    special), `dataset` (load its data), `make` (write the results into a folder) and `read` (read them).
    """

    model_config = pydantic.ConfigDict(extra="forbid", protected_namespaces=())

    preset: str = "A"
    profile: str = "quick"
    seed: int = 0
    source: str = "auto"
    data: str = ""  # the fingerprint of its training and validation images; filled in
    depends: list[str] = []  # what else the result depends on: a hash of the votes, names of other runs; filled in
    infra: exca.TaskInfra = exca.TaskInfra(version=TRAINING_VERSION)  # nothing but the identity

    @pydantic.model_validator(mode="before")
    @classmethod
    def fill_in(cls, given):
        return cls.filled({name: value for name, value in given.items() if value is not None})

    @property
    def name(self):
        """Readable folder name: what distinguishes the run, then a hash of its identity."""
        special = [f"{name}={value}" for name, value in self.changed().items()]
        words = [own.label(self.preset), self.profile, *(word for word in special if len(word) < 30), f"s{self.seed}"]
        identity = f"{type(self).__name__} {self.infra.version} {self.infra.uid().rsplit('-', 1)[-1]}"
        identity = hashlib.sha256(identity.encode()).hexdigest()[:8]
        return "-".join([*words, identity]).translate(IN_NAMES)

    @property
    def folder(self):
        return store() / self.name

    @property
    def partial(self):
        """The folder of the training while it is made, or was interrupted."""
        return store() / f"{self.name}.partial"

    def settings(self):
        """Return the settings as a plain dict, as run.json keeps them."""
        return self.model_dump(exclude={"infra", "source"})

    def is_finished(self):
        return (self.folder / "run.json").exists()

    def on(self, dataset):
        """Return this run with `dataset` as its data (None: as it is); what depends on them is filled in again."""
        if dataset is None:
            return self
        GIVEN[dataset.training] = dataset
        if dataset.training == self.data:
            return self
        settings = {name: value for name, value in self.settings().items() if name != "depends"}
        return type(self)(**settings | {"data": dataset.training, "source": dataset.source})

    def record(self):
        """Return the folder of this training among those that ship with the kit, or None."""
        defaults = {name: field.default for name, field in type(self).model_fields.items() if not field.is_required()}
        defaults = {name: value for name, value in defaults.items() if name not in ("infra", "source")}
        return recorded.find(self.settings(), defaults)

    def fit(self, dataset=None, fresh=False):
        """Return the finished run: loaded if it is in the store or recorded, else trained (or resumed).

        Args:
            dataset: data.Dataset that it is trained and scored on; None: what `source` names.
            fresh: whether it is trained although it is recorded.

        Raises:
            LongTraining: it would take long and nobody asked for it (`estimate.ask`).
        """
        return self.on(dataset)._finished(fresh)

    def _finished(self, fresh=False):
        folder = self.folder if self.is_finished() or fresh else self.record() or self.folder
        if folder == self.folder and not self.is_finished():
            train([self])
        run = self.read(folder)
        run.trained_here = self.name
        cite(run, changed=self.changed())
        return run

    def check(self):
        """Build a network of one's own, try it and store it.

        Raises:
            NetworkError: one of these fails; nothing has been written yet.
        """
        settings = self.settings()
        if own.kind(settings["model"]):
            from fer_utils import adapt, training

            known = training.augment.SETTINGS
            if unknown := sorted(set(settings["augmentation"]) - set(known)):
                of_file = own.line_of(unknown[0]) if own.kind(self.preset) == "mine" else None
                there = f"there is no augmentation {unknown[0]!r}; there are: {', '.join(known)}"
                raise NetworkError(f"{of_file}: {there}" if of_file else there)
            with training.precision(settings):
                side = {"side": None} if settings.get("sizes") else {}
                adapt.try_out(training.build(settings, np.eye(48)[None, ..., None], **side), settings)

    def own_dataset(self):
        """Return the data of this run: those that `fit` was given, else loaded from its source.

        Raises:
            RunError: the source has other data by now, or the data were altered in memory.
        """
        dataset = GIVEN.get(self.data)
        dataset = self.dataset() if dataset is None else dataset
        if dataset.training != self.data:
            raise RunError(
                f"{self.source} gives data {dataset.training}, and {self.name} needs {self.data}. Data "
                "that were altered in memory cannot be sent to another process: train without CLUSTER, or save them"
            )
        return dataset

    def train_once(self):
        """Train this run unless it is there: two processes never train the same thing. Return its name."""
        locks = store() / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        with FileLock(locks / self.name):
            if not self.is_finished():
                self.train()
        return self.name

    @infra.apply(exclude_from_cache_uid=("source",))
    def train(self) -> str:
        """Train in `<name>.partial/`, and rename it to `<name>/` when everything is written.

        Raises:
            RunError: the folder cannot be written (disk full, no permission); finished epochs are kept.
        """
        partial, dataset = self.partial, self.own_dataset()
        try:
            self.make(dataset, partial)
            if self.folder.exists():  # without run.json: what is left of something damaged
                shutil.rmtree(self.folder)
            os.replace(partial, self.folder)
        except OSError as error:
            why = f"cannot write {partial} ({error.strerror or error})"
            raise RunError(f"{why}: mend that and run again, the training resumes") from error
        return self.name


class Run(Stored):
    """The settings of one training. What is None or not given comes from the preset and the profile (`presets.py`).

    Args:
        preset, profile: names in `presets.PRESETS` and `presets.PROFILES`; `mine` is the network of notebooks/mine.py;
            `pretrained:<name>` and `file:my.keras` need no training.
        seed: of the initial weights, the order of the images, augmentation and dropout.
        model, model_settings: a builder in `models.BUILDERS` and its arguments; or a function that returns a Keras
            model, given as it is: without a preset its settings are those of `own.USUAL`.
        normalisation: `none`, `scale`, `zscore` or `image`; `own`: as a network of one's own does it.
        augmentation: settings of `augment.augment`; {} for none.
        optimizer, learning_rate, batch, epochs: as usual; an epoch is one sweep over the training images.
        schedule: `constant`, or `triangle`: the rate rises over the first fifth of all steps and then falls to 0.
        weight_decay: share of the learning rate by which each step shrinks the weights (`adamw` alone).
        sizes: sides in pixels that the training images are shrunk to, each for an equal part of the epochs (the model
            must take any size: `cnn_fast`); [] leaves them as they are.
        patience: stop after so many epochs without better validation accuracy; None: never.
        rounds: how often the epochs are repeated, each round starting from the last weights.
        imbalance: `none`, `resample` (each class equally often in an epoch) or `weight` (equally heavy in the loss).
        label_smoothing: share of the target that is spread over all classes.
        ema: momentum of the weights' moving average that is validated and kept instead; 0: none.
        tta: test-time augmentation, `none`, `flip` or `flip+shift`.
        keep: `best` weights by validation accuracy, or those of the `last` epoch.
        limit: use only so many training images; None: all.
        teachers: settings (or presets' names) of other runs, whose mean prediction becomes part of an image's target.
        teacher_weight: that part; the rest is the label (Hinton, Vinyals & Dean 2015, arXiv:1503.02531).
        start: settings (or a preset's name) of another run of the same network, whose weights this one starts with;
            {}: weights drawn from the seed.
        votes: share of an image's target that is the probability of each label given ten people's votes (FERPlus);
            the rest is the label. More than 0 needs the votes (`ferplus.votes`).
        precision: `auto`, `float32` or `mixed_bfloat16`.
        source: where the images are (`data.load`).

    Raises:
        ValueError: (pydantic's) for an unknown setting or a wrong type.
        NetworkError: mine.py or the file has an error, which the message places.
    """

    model: str
    model_settings: dict = {}
    normalisation: str
    augmentation: dict
    optimizer: str = pydantic.Field(pattern="^(adam|adamw|adadelta|sgd|rmsprop)$")
    learning_rate: float
    batch: int = pydantic.Field(gt=0)
    epochs: int = pydantic.Field(gt=0)
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
    teacher_weight: float = pydantic.Field(0.9, ge=0, le=1)
    start: dict | str = {}
    votes: float = pydantic.Field(0.0, ge=0, le=1)
    precision: str = pydantic.Field("auto", pattern="^(auto|float32|mixed_bfloat16)$")

    @classmethod
    def filled(cls, given):
        given = own.named(given)
        preset = given.get("preset", "A")
        settings = usual(preset, given.get("profile", "quick"))
        other = [name for name in given if given[name] != settings.get(name, given[name])]
        if other and (recorded.name_in(preset) or own.kind(preset) == "file"):
            raise ValueError(f"{preset} is trained already: {', '.join(other)} cannot be changed")
        if own.kind(preset) == "mine":
            own.check_settings(settings, Run.model_fields, presets.PROFILES)
        if given.get("model", settings["model"]) != settings["model"]:  # these belong to the preset's own network
            settings = {name: value for name, value in settings.items() if name not in ("model_settings", "sizes")}
            settings |= {"normalisation": own.usual_normalisation(given["model"], settings["normalisation"])}
        settings = settings | given
        if "data" not in settings:
            settings["data"] = data.fingerprint(settings.get("source", "auto"), splits=data.TRAINING)
        if "depends" not in settings:
            name = recorded.name_in(preset)
            settings["depends"] = [recorded.digest(name)] if name else dependencies(settings)
        return settings

    @pydantic.model_validator(mode="wrap")
    @classmethod
    def with_lines(cls, given, validate):
        """A wrong value in mine.py is told with its line."""
        try:
            return validate(given)
        except pydantic.ValidationError as error:
            of_mine = isinstance(given, dict) and own.kind(given.get("preset", "")) == "mine"
            for found in error.errors() if of_mine else []:
                name = str((found["loc"] or [""])[0])
                if name and name not in given and (place := own.line_of(name)):
                    raise NetworkError(f"{place}: {_problem(found)}") from None
            raise

    def changed(self):
        """Return those settings, by name, that are not what the preset and the profile say."""
        return unusual(self.settings())

    def dataset(self):
        return data.load(self.source)

    def work(self, dataset):
        """Return how many images the training goes through, all epochs and rounds together."""
        return min(self.limit or math.inf, len(dataset.where("train"))) * self.epochs * self.rounds

    def make(self, dataset, folder):
        from fer_utils import ferplus, training  # TensorFlow is imported only when there is something to train

        if name := recorded.name_in(self.preset):
            recorded.refuse_seen(name, dataset)
        if name or own.kind(self.preset) == "file":
            before = Finished(recorded.FOLDER / name).pflop if name else 0.0
            return training.adopt(self.settings(), dataset, folder, before)
        settings = self.settings() | {"source": self.source}
        start, teachers = (fit_all(of(settings), dataset) for of in (start_run, teacher_runs))
        teachers = [run.model() for run in teachers]
        label_probs = ferplus.label_probs(dataset) if self.votes else None
        training.train(self.settings(), dataset, folder, teachers, label_probs, *start)

    def read(self, folder):
        return Finished(folder)


def usual(preset, profile):
    """Return the settings of a preset in a profile, or those of weights that ship with the kit (`pretrained:tiny`).

    Raises:
        ValueError: for an unknown name; the message lists the known ones.
    """
    name = recorded.name_in(preset)
    return recorded.settings(name) if name else presets.settings(preset, profile)


def unusual(settings):
    """Return those settings of a run, by name, that are not what its preset and its profile say."""
    expected = {name: field.default for name, field in Run.model_fields.items()}
    expected |= usual(settings["preset"], settings["profile"])
    own = {"preset", "profile", "seed", "data", "depends"}
    return {name: value for name, value in settings.items() if name not in own and value != expected.get(name)}


def dependencies(settings):
    """Return what a run depends on besides settings and data: hashes of votes and code, names of the runs it needs."""
    votes = [data.votes_hash(settings.get("source", "auto"))] if settings.get("votes") else []
    votes += [own.digest(settings["model"])] if own.kind(settings["model"]) in ("mine", "fresh") else []
    return votes + [run.name for run in needed(settings)]


def needed(settings):
    """Return the runs that must be there before a run of these settings is trained."""
    return [*start_run(settings), *teacher_runs(settings)]


def teacher_runs(settings):
    """Return the runs whose predictions a run of these settings learns from."""
    return _other_runs(settings, settings.get("teachers", []))


def start_run(settings):
    """Return the run whose weights a run of these settings starts with, in a list; an empty one without."""
    return _other_runs(settings, [settings["start"]] if settings.get("start") else [])


def _other_runs(settings, wanted):
    """Other runs, of the same profile and data unless they say otherwise."""
    common = {name: settings[name] for name in ("profile", "source", "data") if name in settings}
    others = [{"preset": other} if isinstance(other, str) else other for other in wanted]
    return [Run(**{n: common[n] for n in common if n != "data" or "source" not in other} | other) for other in others]


# -- what a report rests on --------------------------------------------------------------------------------------------


def cite(*found, changed=None):
    """Note that results rest on these runs: each a line of JSON in the file `$FER_CITED`, if it is set.

    The report sets it, and lists the settings of every run behind its numbers. `fit` cites by itself.

    Args:
        found: Finished. changed: the settings that are worth telling; None: those that are not the preset's.
    """
    for run in found:
        facts = {name: value for name, value in run.info.items() if name not in ("layers", "code")}
        told = unusual(run.info["settings"]) if changed is None else changed
        note(name=run.name, changed=told, recorded=run.is_recorded, **facts)


# -- many runs ---------------------------------------------------------------------------------------------------------


def fit_all(wanted, dataset=None, fresh=False):
    """Fit many runs, such as the arms of an ablation: those that are missing are trained.

    Args:
        wanted: list of Run, or dict from names to such lists.
        dataset: data.Dataset that all of them are trained on; None: what `source` names.
        fresh: whether they are trained although they are recorded.

    Returns:
        list of Finished, in the order of `wanted`, or dict of such lists.
    """
    if isinstance(wanted, dict):
        finished = iter(fit_all([run for some in wanted.values() for run in some], dataset, fresh))
        return {name: [next(finished) for _ in some] for name, some in wanted.items()}
    wanted = [run.on(dataset) for run in wanted]
    missing = list({run.name: run for run in wanted if not run.is_finished() and (fresh or not run.record())}.values())
    train(missing)
    return [run.fit(fresh=fresh) for run in wanted]


def train(missing):
    """Train runs: one after the other or, with $CLUSTER, as an array of jobs after those that they need."""
    for run in missing:
        run.check()
    ask(missing)
    if missing and cluster.chosen():
        fit_all([other for run in missing for other in needed(run.settings() | {"source": run.source})])
        return cluster.train(missing)
    for run in missing:
        run.train_once()


def ask(missing):
    """Raise LongTraining where a report asks (`$FER_TRAIN`) before it begins long trainings, and these would be."""
    if os.environ.get("FER_TRAIN") == "ask" and (long := [run for run in missing if run.profile == "full"]):
        from fer_utils import estimate

        estimate.refuse(long, long[0].own_dataset())


def list_finished():
    """List every finished run of the store, the newest last; unreadable ones are left out with a warning."""
    found = []
    for path in sorted(store().glob("*/run.json"), key=lambda path: path.stat().st_mtime):
        if not path.parent.name.endswith(".partial"):
            try:
                found.append(Finished(path.parent))
            except RunError as error:
                warnings.warn(str(error), stacklevel=2)
    return found


# -- the command -------------------------------------------------------------------------------------------------------


def run_of(words):
    """Return the Run of settings as a command line gives them, such as `"preset=B epochs=3"`.

    Args:
        words: str, or list of str.

    Raises:
        SettingsError: for an unknown setting, a wrong value, or data that cannot be read; a line for each problem.
    """
    try:
        return Run(**parse(words))
    except pydantic.ValidationError as error:
        raise SettingsError("\n".join(map(_problem, error.errors()))) from None


def _problem(found):
    """One line on a setting that pydantic refused."""
    name = ".".join(map(str, found["loc"]))
    if found["type"] == "extra_forbidden":
        return f"there is no setting {name!r}; there are: {', '.join(sorted(set(Run.model_fields) - {'infra'}))}"
    message = found["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{name} must be {message}, not {found['input']!r}" if name else message


def main(words=None):
    """Train the run of these settings, or find it; return the exit code: 1 for what the user can put right."""
    try:
        words = sys.argv[1:] if words is None else words
        if not words:
            raise SettingsError("name settings, such as preset=B profile=full; `trainings` lists what is there")
        print(run_of(words).fit())
    except (SettingsError, data.DataError, RunError, NetworkError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(importlib.import_module("fer_utils.runs").main())  # where a job finds its Run: `__main__` is another there
