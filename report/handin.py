"""The hand-in: report, scripts, weights and what they need, as a folder and a zip. Both exist only if they work."""

import ast
import importlib.metadata
import json
import os
import re
import shlex
import shutil
import stat
import tempfile
import zipfile
from pathlib import Path

from fer_utils import own
from fer_utils import settings as words

from . import build, install, keys, parameters, trial
from .execute import tell
from .project import UserError

SCRIPTS = Path(__file__).parent / "hw3"  # @NAMES@ in these files are filled in
FILES = ("hw3_train.sh", "hw3_test.sh", "environment.sh", "README.md")
NOT_NEEDED = {"kagglehub", "babel"}  # for `make data` and for translations only
SHOWN_FIRST = "zh-TW"  # the language of report.pdf where there are several: the course is taught in Chinese


def handin(project, edition="2017-fall", profile=None, given="", langs=None, echo=tell, **how):
    """Makes build/handin-<edition>/ and build/handin-<edition>.zip, the zip last and only if it passes `trial.check`.

    Args:
        project: the Project.
        edition: name of a file in report/editions.
        profile, langs: as for `build.report`.
        given: settings of the run that is handed in, like "preset=E seed=3".
        echo: called with lines of progress.
        how: jobs, code and timeout, as for `build.report`.

    Returns:
        True if they were made.

    Raises:
        UserError: for what the user can put right.
    """
    name = f"handin-{edition}"
    folder, archive = project.build / name, project.build / f"{name}.zip"
    settings = settings_of(project, edition, profile, given)
    shutil.rmtree(folder, ignore_errors=True)  # an old one beside a new failure would look like its result
    archive.unlink(missing_ok=True)
    about_it = settings[0] if "preset" in words.parse(given) else ""  # the report is about what is handed in
    if not build.report(project, edition, profile=profile, given=about_it, langs=langs, echo=echo, **how):
        echo("no hand-in: the report has questions that failed")
        return False
    with tempfile.TemporaryDirectory(prefix=".handin-", dir=project.build) as scratch:
        made, packed = Path(scratch, name), Path(scratch, f"{name}.zip")
        if not assemble(project, edition, settings, langs, made):
            return False
        pack(made, packed)
        if not trial.check(packed, project.root, echo):
            echo("no hand-in: it does not work as it must")
            return False
        os.rename(made, folder)
        os.rename(packed, archive)
    echo(f"{archive.relative_to(project.root)}  {megabytes(archive)}")
    return True


def predict(project, images, edition="complete", profile=None, given=""):
    """Makes build/submission-<run>.csv for a csv, or build/prediction-<folder>-<run>.csv for a folder of face crops.

    Returns:
        True if it was made.
    """
    settings = settings_of(project, edition, profile, given)
    detail = ["--detail"] if Path(images).is_dir() else []
    return trial.predictor(project.root, *detail, "--run", *settings, "--", str(images))


def settings_of(project, edition, profile=None, given=""):
    """Settings of the run, like ["preset=A", "profile=quick", "seed=0"].

    What is not given is the preset of the edition's first question that trains, the profile asked for, and seed 0.
    """
    chosen, given = project.edition(edition), words.parse(given)
    preset = given["preset"] if "preset" in given else main_preset(project, chosen)
    settings = {"preset": preset, "profile": profile or "quick", "seed": 0} | given
    return [f"{name}={value}" for name, value in settings.items()]


def main_preset(project, edition):
    for question in edition.questions:
        defaults = parameters.defaults(project.read_notebook(question.notebook))
        if "preset" in defaults:
            return question.parameters.get("preset", defaults["preset"])
    raise UserError(f"edition {edition.name} trains nothing that could be used: name a preset")


# -- the folder --------------------------------------------------------------------------------------------------------


def assemble(project, edition, settings, langs, folder):
    """Fills a folder with everything that is handed in. Returns False where the run could not be trained."""
    folder.mkdir()
    if not trial.predictor(project.root, "--keep", str(folder / "weights"), "--run", *settings):
        return False
    texts = copy_reports(project, edition, langs, folder)
    settings, code = with_own_network(settings, folder)
    modules = keys.reached_modules(["from fer_utils import predict", code], project.root)
    for module in sorted(modules):
        (folder / module).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(project.root / module, folder / module)
    preset = next(word for word in settings if word.startswith("preset=")).removeprefix("preset=")
    if preset.startswith("pretrained:"):  # its training is to load what ships
        weights = Path("fer_utils", "recorded", preset.removeprefix("pretrained:"))
        shutil.copytree(project.root / weights, folder / weights)
    needed = requirements(project.root, modules)
    (folder / "requirements.txt").write_text("\n".join([*needed, ""]), "utf-8")
    texts |= {"PACKAGES": " ".join(dict.fromkeys(needed.values())), "SETTINGS": shlex.join(settings)}
    texts |= {"TITLE": project.edition(edition).title, "AUTHOR": " · ".join(project.author())}
    texts |= about(folder / "weights")
    for name in FILES:
        text = re.sub("@([A-Z]+)@", lambda found: texts[found[1]], (SCRIPTS / name).read_text("utf-8"))
        (folder / name).write_text(re.sub("\n{3,}", "\n\n", text), "utf-8")  # the author may have no name yet
    return True


def with_own_network(settings, folder):
    """Copies a network that is no file of the kit's into the hand-in.

    Returns:
        The settings as hw3_train.sh gives them, in the hand-in's folder; code that imports what else is copied.
    """
    first, *others = settings
    preset = first.removeprefix("preset=")
    if own.kind(preset) != "file":
        return settings, "import mine" if own.kind(preset) == "mine" else ""
    file = own.path_of(preset)
    (folder / "network").mkdir()
    shutil.copyfile(file, folder / "network" / file.name)
    return [f"preset=file:network/{file.name}", *others], ""


def copy_reports(project, edition, langs, folder):
    """report.pdf is the Chinese one where there is one; the other is beside it with its language in its name."""
    langs = build.languages(project, langs)
    first, *others = sorted(langs, key=lambda lang: lang != SHOWN_FIRST)
    shutil.copyfile(project.build / f"report-{edition}-{first}.pdf", folder / "report.pdf")
    for lang in others:
        shutil.copyfile(project.build / f"report-{edition}-{lang}.pdf", folder / f"report-{lang}.pdf")
    names = ", ".join(f"`report-{lang}.pdf`" for lang in others)
    return {"OTHERS": f" ({first}); the same in another language: {names}" if others else f" ({first})"}


def requirements(root, modules):
    """What of requirements.txt some modules need, in its order.

    Args:
        root: Path of the project. modules: paths relative to it.

    Returns:
        Dict from lines to the names by which their packages are imported; TensorFlow has a line for each platform.
    """
    wanted, name_of = imported(root / module for module in modules) - NOT_NEEDED, {}
    for name, distributions in importlib.metadata.packages_distributions().items():
        if name in wanted:
            name_of |= {distribution.replace("_", "-"): name for distribution in distributions}
    name_of |= {package: "tensorflow" for package in install.ENGINES if "tensorflow" in wanted}
    lines = (root / "requirements.txt").read_text("utf-8").splitlines()
    packages = [re.match(r"[\w.-]*", line)[0] for line in lines]
    return {line: name_of[package] for package, line in zip(packages, lines, strict=True) if package in name_of}


def imported(files):
    """Names of the packages that some files import."""
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text("utf-8")))]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return {name.split(".")[0] for name in names}


def about(weights):
    """What the README says of the weights."""
    run = json.loads((weights / "run.json").read_text("utf-8"))
    data, scores = run["data"], run["scores"]
    split = next((split for split in ("public", "test", "private", "val") if split in scores), None)
    score = "No accuracy: its data have no labels to measure it by."
    if split:
        score = "Accuracy on {split}: {value:.3f} (95 % interval {low:.3f} to {high:.3f}, n = {n:,})."
        score = score.format(split=split, **scores[split])
    trained = f"{run['epochs']} epochs over {data['training_images']:,} images of {data['name']}."
    opens = "It opens with Keras alone"
    if others := trial.other_layers(weights / "model.keras"):
        opens = f"Keras opens it where the code of {', '.join(others)} is known"
    return {"SIZE": megabytes(weights / "model.keras"), "TRAINED": trained, "OPENS": opens, "SCORE": score}


def megabytes(path):
    return f"{path.stat().st_size / 1e6:.1f} MB"


# -- the zip -----------------------------------------------------------------------------------------------------------


def pack(folder, archive):
    """Zips a folder; the same content gives the same bytes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in files:
            entry = zipfile.ZipInfo(path.relative_to(folder.parent).as_posix(), (1980, 1, 1, 0, 0, 0))
            entry.external_attr = (stat.S_IFREG | (0o755 if path.suffix == ".sh" else 0o644)) << 16
            packed.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
