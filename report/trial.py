"""Test a hand-in: unpack its zip elsewhere, use it as its reader will, and print a table of what was seen."""

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from .execute import tell
from .keys import finished_runs

LIMIT = 600  # seconds that hw3_test.sh may take …
ALL_IMAGES = 7178  # … for the images of the course's test.csv
TRIED = 2000  # images that are predicted here
NEEDED = ("report.pdf", "README.md", "requirements.txt", "hw3_train.sh", "hw3_test.sh", "environment.sh",
          "weights/model.keras", "weights/run.json")  # fmt: skip
DAMAGE = (OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error)


class Failed(Exception):
    """A check that was not passed; the message says what was seen."""


class Skipped(Exception):
    """A check that cannot be made here; the message says why."""


@dataclass
class Trial:
    """What the checks of one zip hand on to one another."""

    archive: Path
    root: Path  # of the project
    scratch: Path
    folder: Path = None  # where the hand-in was unpacked
    test: Path = None  # a made test.csv
    ids: list = field(default_factory=list)  # … and its ids
    labels: list = field(default_factory=list)  # the predicted classes
    seconds: float = 0.0  # that hw3_test.sh took

    @property
    def prediction(self):
        return self.scratch / "the prediction.csv"


def check(archive, root, echo=tell):
    """Tries a hand-in.

    Args:
        archive: Path of the zip. root: Path of the project.
        echo: called with the lines of the table.

    Returns:
        True if it passed.
    """
    failed = False
    with tempfile.TemporaryDirectory(prefix="a hand-in, ") as scratch:
        tried = Trial(Path(archive), root, Path(scratch).resolve())
        for title, step in STEPS.items():
            verdict, seen = ("-", "not checked") if failed else _verdict(step, tried)
            failed = failed or verdict == "FAILED"
            echo(f"  {verdict:6}  {title:24}  {seen}")
    return not failed


def _verdict(step, tried):
    try:
        return "ok", step(tried)
    except Skipped as reason:
        return "-", str(reason)
    except Failed as failure:
        return "FAILED", str(failure)


# -- the checks, in their order: each returns what was seen ------------------------------------------------------------


def unpack(tried):
    try:
        with zipfile.ZipFile(tried.archive) as packed:
            if damaged := packed.testzip():
                raise Failed(f"{damaged} in it is damaged")
            names = packed.namelist()
            places = [PurePosixPath(name.replace("\\", "/")) for name in names]
            if any(place.is_absolute() or ".." in place.parts for place in places):
                raise Failed("it has files that would lead out of its folder")
            if len({place.parts[0] for place in places}) != 1:
                raise Failed("it does not hold one folder with everything in it")
            packed.extractall(tried.scratch / "unpacked")
    except DAMAGE as error:
        raise Failed(f"no whole zip: {error}") from None
    tried.folder = tried.scratch / "unpacked" / places[0].parts[0]
    return f"{len(names)} files, {tried.archive.stat().st_size / 1e6:.1f} MB"


def contents(tried):
    if missing := [name for name in NEEDED if not (tried.folder / name).is_file()]:
        raise Failed(f"there is no {', '.join(missing)}")
    pdf = (tried.folder / "report.pdf").read_bytes()
    if not pdf.startswith(b"%PDF-") or b"%%EOF" not in pdf[-1024:]:
        raise Failed("report.pdf is no whole PDF")
    return "the report, the scripts, the weights and what they need"


def weights(tried):
    path = tried.folder / "weights"
    try:
        run = json.loads((path / "run.json").read_text("utf-8"))
        settings = [f"{name} {run['settings'][name]}" for name in ("preset", "profile", "seed")]
        note = ", not on FER2013" if run["data"]["name"] == "drawn faces" else ""
        seen = f"{', '.join(settings)}; trained on {run['data']['name']}{note}"
    except (ValueError, KeyError, TypeError) as error:
        raise Failed(f"run.json is damaged ({error})") from None
    return f"{seen}; {(path / 'model.keras').stat().st_size / 1e6:.1f} MB"


def opens(tried):
    """Keras opens the network in a process that does not know the kit."""
    path = tried.folder / "weights" / "model.keras"
    if others := other_layers(path):
        raise Skipped(f"it has layers of its own: {', '.join(others)}")
    code = "import sys; sys.modules['fer_utils'] = None; import keras; keras.models.load_model(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    if done.returncode:
        raise Failed((done.stderr.strip() or "it cannot be loaded").splitlines()[-1])
    return "keras.models.load_model, without fer_utils"


def runs(tried):
    """hw3_test.sh ends well on faces that the kit draws, whatever the names of folders and files are."""
    tried.test, images = tried.scratch / "a test.csv", faces()
    tried.ids = [str(number) for number in np.random.default_rng(0).permutation(len(images))]  # not sorted
    write_test(tried.test, tried.ids, images)
    began = time.monotonic()
    code, said = script(tried, tried.test, tried.prediction)
    tried.seconds = time.monotonic() - began
    if code:
        raise Failed(f"it ended with {code}: {said}")
    return f"{len(images):,} drawn faces"


def prediction(tried):
    rows = read_prediction(tried.prediction)
    if rows[0] != ["id", "label"]:
        raise Failed(f"its header is {','.join(rows[0])} where id,label is wanted")
    if bad := next((number for number, row in enumerate(rows, start=1) if len(row) != 2), None):
        raise Failed(f"row {bad} has not two cells")
    ids, labels = map(list, zip(*rows[1:], strict=True)) if rows[1:] else ([], [])
    if len(ids) != len(tried.ids):
        raise Failed(f"{len(ids):,} rows for {len(tried.ids):,} images")
    if ids != tried.ids:
        wrong = next(row for row, pair in enumerate(zip(ids, tried.ids, strict=True), start=2) if len(set(pair)) > 1)
        raise Failed(f"row {wrong} has id {ids[wrong - 2]} where the test has {tried.ids[wrong - 2]}")
    if bad := sorted(set(labels) - set("0123456")):
        raise Failed(f"{bad[0]!r} is no class from 0 to 6")
    tried.labels = labels
    return f"id,label; {len(ids):,} rows; ids in the order of the test; classes {min(labels)} to {max(labels)}"


def same(tried):
    """What was handed in predicts what the run in the store predicts."""
    own = tried.scratch / "own.csv"
    run = run_in_store(tried.folder / "weights" / "run.json", tried.root)
    if not run:
        raise Skipped("the run is not in this run store")
    if not predictor(tried.root, "--weights", str(run), "--", str(tried.test), str(own), stdout=subprocess.DEVNULL):
        raise Failed(f"the run {run.name} itself cannot predict")
    differ = sum(a != b[-1] for a, b in zip(tried.labels, read_prediction(own)[1:], strict=True))
    if differ:
        raise Failed(f"{differ:,} of {len(tried.labels):,} differ from {run.name}")
    return f"all {len(tried.labels):,} as {run.name}"


def in_time(tried):
    """An upper bound: the start of Python and TensorFlow is counted anew for each batch of TRIED."""
    most = tried.seconds * ALL_IMAGES / len(tried.ids)
    seen = f"{tried.seconds:.0f} s for {len(tried.ids):,} images, so at most {most:,.0f} s for {ALL_IMAGES:,}"
    if most > LIMIT:
        raise Failed(f"{seen}; {LIMIT} s are allowed")
    return f"{seen} ({LIMIT} s are allowed)"


def refuses(tried):
    """A wrong test.csv is refused by row, and the earlier prediction stays."""
    wrong, before = tried.scratch / "wrong.csv", tried.prediction.read_bytes()
    lines = tried.test.read_text().splitlines()[:3]
    wrong.write_text("\n".join([*lines, "77," + " ".join(["256"] * 2304)]) + "\n")
    code, said = script(tried, wrong, tried.prediction)
    if not code or "row 4" not in said or tried.prediction.read_bytes() != before:
        raise Failed(f"a pixel of 256 in row 4: it ended with {code} and said {said!r}")
    return "a pixel of 256 is an error that names its row"


STEPS = {
    "the zip is whole": unpack,
    "it has everything": contents,
    "weights": weights,
    "opens with Keras alone": opens,
    "hw3_test.sh runs": runs,
    "prediction": prediction,
    "same as the run": same,
    "ten minutes": in_time,
    "refuses a wrong test.csv": refuses,
}


# -- their tools -------------------------------------------------------------------------------------------------------


def predictor(root, *arguments, stdout=None):
    """Runs fer_utils.predict in a process of its own, for it imports TensorFlow. Returns True if all went well."""
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "fer_utils.predict", *arguments]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, stdout=stdout).returncode == 0


def faces():
    """Pictures (n, 48, 48, 1) uint8 for a made test.csv."""
    from fer_utils import data

    return data.load("drawn").images[:TRIED]


def write_test(path, ids, images):
    """The course's test.csv."""
    rows = (f"{number},{' '.join(map(str, image.ravel()))}" for number, image in zip(ids, images, strict=True))
    path.write_text("\n".join(["id,feature", *rows]) + "\n")


def script(tried, test, target):
    """Runs hw3_test.sh from another folder, with a home and settings of its own. Returns (exit code, last
    line that it said)."""
    home = tried.scratch / "home"
    home.mkdir(exist_ok=True)
    ours = ("FER_", "KERAS_", "PYTHON")  # an environment that knows nothing of this project
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment |= {"PYTHON": sys.executable, "HOME": str(home), "TMPDIR": str(home)}
    command = ["sh", str(tried.folder / "hw3_test.sh"), test.name, str(target)]
    try:
        done = subprocess.run(
            command, cwd=test.parent, env=environment, capture_output=True, text=True, errors="replace", timeout=LIMIT
        )
    except subprocess.TimeoutExpired:
        return "nothing", f"stopped after {LIMIT} s"
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return done.returncode, said[-1] if said else ""


def read_prediction(path):
    if not path.is_file():
        raise Failed(f"there is no {path.name}")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file)) or [[""]]


def other_layers(path):
    """Names of the layers of a .keras file that Keras does not open by itself: classes of one's own, and Lambda."""
    with zipfile.ZipFile(path) as stored:
        found, parts = set(), [json.loads(stored.read("config.json"))]
    while parts:
        part = parts.pop()
        if isinstance(part, dict) and "class_name" in part:
            name, room = part["class_name"], str(part.get("module")).split(".")[0]
            known = name.startswith("__") or (room in ("keras", "builtins") and name != "Lambda")  # __keras_tensor__
            found |= set() if known else {name}
        parts += [*part.values()] if isinstance(part, dict) else part if isinstance(part, list) else []
    return sorted(found)


def run_in_store(record, root):
    """The folder of the run whose run.json this is, or None."""
    wanted = record.read_bytes()
    return next((folder for folder in finished_runs(root) if (folder / "run.json").read_bytes() == wanted), None)
