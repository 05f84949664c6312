import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import platforms
import pytest
from fer_report import install

KIT = Path(__file__).resolve().parents[1]
TEXT = (KIT / "requirements.txt").read_text("utf-8")

# version of Python -> words of the refusal, "" for one that will do
PYTHONS = [
    ((3, 10, 4), "this is 3.10.4"),
    ((3, 11, 0), ""),
    ((3, 13, 9), ""),
    ((3, 14, 0), "Python 3.11, 3.12 or 3.13 is needed (TensorFlow has no other); this is 3.14.0"),
]


@pytest.mark.parametrize(("version", "words"), PYTHONS)
def test_a_line_names_the_pythons_that_work(version, words):
    why = install.wrong_python(version)
    assert words in why and bool(words) == bool(why) and "\n" not in why
    assert not why or "make setup PYTHON=python3.1" in why


# what `nvidia-smi -L` does -> GPU= -> whether TensorFlow is for a GPU
LISTS, FAILS, LACKS = "echo 'GPU 0: NVIDIA X (UUID: y)'", "echo no driver; exit 9", None
GPUS = [
    *((LISTS, "", True), (LISTS, "0", False), (LISTS, "1", True)),
    *((FAILS, "", False), (FAILS, "1", True), (LACKS, "", False), ("true", "", False)),
]


@pytest.mark.skipif(sys.platform != "linux", reason="TensorFlow uses a GPU on Linux alone")
@pytest.mark.parametrize(("script", "given", "expected"), GPUS)
def test_setup_takes_the_gpu_that_answers(script, given, expected, tmp_path):
    """The command itself, with a nvidia-smi of ours, and only told."""
    if script:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "GPU": given}
    command = [sys.executable, KIT / "report/install.py", "--dry-run"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("TensorFlow for a GPU" if expected else "TensorFlow for the processor")
    *_, uninstall, installs = done.stdout.splitlines()
    assert uninstall.endswith("tensorflow-cpu") or not expected
    assert installs.endswith("-r " + str(install.CHOSEN) + " -e .")


def test_with_a_gpu_there_is_one_tensorflow():
    chosen = install.requirements(TEXT, True)
    (line,) = [line for line in chosen.splitlines() if line.startswith("tensorflow")]
    assert line.startswith("tensorflow[and-cuda]==") and ";" not in line
    others = [line for line in TEXT.splitlines() if not line.startswith("tensorflow")]
    assert [row for row in chosen.splitlines() if row != line] == others
    assert install.requirements(TEXT, False) == TEXT


@pytest.mark.parametrize(("given", "system"), [("yes", "linux"), ("1", "darwin")])
def test_a_gpu_that_cannot_be_is_an_error(given, system, monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setenv("GPU", given)
    assert install.main(["--dry-run"]) == 1
    assert f"GPU={given}" in capsys.readouterr().err


# what there is -> how .venv is made; None: one line says what to install
MAKERS = [
    ({"uv", "ensurepip"}, "uv venv"),
    ({"ensurepip", "virtualenv"}, "-m venv"),
    ({"virtualenv"}, "-m virtualenv"),
    ({"virtualenv command"}, "virtualenv -q"),
    (set(), None),
]


@pytest.mark.parametrize(("there", "words"), MAKERS)
def test_what_is_there_makes_the_environment(there, words, monkeypatch, capsys):
    monkeypatch.setenv("GPU", "0")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name in there)
    monkeypatch.setattr(shutil, "which", lambda name: name in there or f"{name} command" in there)
    assert install.main(["--dry-run"]) == (words is None)
    said = capsys.readouterr()
    if words:
        assert words in said.out.splitlines()[1]
    else:
        assert said.err.count("\n") == 1 and "apt-get install python3-venv" in said.err and not said.out


# -- the platforms -----------------------------------------------------------------------------------------------------


# what uv says for macOS, and how it ends -> words of the report, its exit code
ANSWERS = [
    ("echo numpy==2.4.6; echo tensorflow==2.21.0", "2, tensorflow", 0),
    ("echo 'tensorflow-cpu has no wheels' >&2; exit 1", "tensorflow-cpu has no wheels", 1),
    ("echo 'dns error: failed to lookup' >&2; exit 2", "skipped: no package index can be reached", 0),
]


@pytest.mark.parametrize(("script", "words", "code"), ANSWERS)
def test_the_table_of_platforms(script, words, code, tmp_path, monkeypatch, capsys):
    usual = "echo numpy==2.4.6; echo tensorflow-cpu==2.21.0"
    (tmp_path / "uv").write_text(f'#!/bin/sh\ncase "$*" in *apple*) {script};; *) {usual};; esac\n')
    (tmp_path / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert platforms.main() == code
    said = capsys.readouterr().out
    assert words in said and "Linux aarch64   2, tensorflow-cpu" in said
    monkeypatch.setenv("PATH", "")
    assert platforms.main() == 0 and capsys.readouterr().out.startswith("skipped: uv is not installed")
