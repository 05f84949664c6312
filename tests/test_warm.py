"""Several notebooks at once: which comes next, and kernels that are forks of one process."""

import json
import os
import signal
import subprocess
import sys
import time

import nbformat
import pytest
from fer_report import build, execute
from fer_report.project import Project
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are started as usual elsewhere")

TOLD = """
import json, os, sys
told = {"name": NAME, "parent": os.getppid(), "warm": "tensorflow" in sys.modules, "jobs": os.environ.get("JOBS"),
        "threads": os.environ["TF_NUM_INTRAOP_THREADS"], "place": os.getcwd(), "backend": os.environ["MPLBACKEND"]}
import mine
json.dump(told, open(f"../{NAME}.json", "w"))
"""
SLEEPING = """
import os, subprocess, time
child = subprocess.Popen(["sleep", "600"])
open(f"../{NAME}.tmp", "w").write(f"{os.getpid()} {child.pid} {os.getppid()}")
os.rename(f"../{NAME}.tmp", f"../{NAME}.pids")
time.sleep(600)
"""


def make_project(root, **sources):
    for folder in ("notebooks", "report/editions"):
        (root / folder).mkdir(parents=True)
    (root / "notebooks/mine.py").write_text("")
    for name, source in sources.items():
        notebook = new_notebook(cells=[new_code_cell(f"NAME = {name!r}\n{source}")])
        nbformat.write(notebook, root / f"notebooks/{name}.ipynb")
    questions = ", ".join(f"{{notebook: {name}}}" for name in sources)
    (root / "report/editions/complete.yaml").write_text(f"questions: [{questions}]")
    return Project(root)


def task(name, preset=None):
    return execute.Task(name, {}, name, {"parameters": {"preset": preset} if preset else {}})


# waiting, at work -> which is next
NEXT = [
    (["a A", "b A", "c B"], [], "a"),
    (["b A", "c B"], ["a A"], "c"),
    (["b A", "m"], ["a A"], "m"),
    (["b A", "d A"], ["a A"], "b"),
    (["m", "b A"], ["n"], "m"),
]


@pytest.mark.parametrize(("waiting", "running", "expected"), NEXT)
def test_two_that_may_want_the_same_training_do_not_run_side_by_side(waiting, running, expected):
    waiting, running = ([task(*words.split()) for words in some] for some in (waiting, running))
    assert execute._next(waiting, running).notebook == expected


def test_kernels_are_forks_of_one_process_and_each_is_as_if_started_by_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("JOBS", "7")
    project = make_project(tmp_path, one=TOLD, two=TOLD, dying="import os\nos._exit(9)")
    lines = []
    assert not build.report(project, langs=["en"], jobs=2, echo=lines.append)
    assert [line for line in lines if "DeadKernelError" in line and "dying" in line]
    told = [json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two")]
    assert told[0]["parent"] == told[1]["parent"] != os.getpid()
    assert all(kernel["warm"] and kernel["jobs"] is None for kernel in told)
    assert {kernel["threads"] for kernel in told} == {str(max(1, os.cpu_count() // 2))}
    assert {kernel["place"] for kernel in told} == {str(project.notebooks)}
    assert {kernel["backend"] for kernel in told} == {"module://matplotlib_inline.backend_inline"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_report_that_is_stopped_takes_its_kernels_with_it(tmp_path, number):
    names = ("one", "two", "three")
    make_project(tmp_path, **dict.fromkeys(names, SLEEPING))
    command = [sys.executable, "-m", "fer_report", "report", "--jobs", "3", "--root", tmp_path]
    report = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    notes = [tmp_path / f"{name}.pids" for name in names]
    while not all(note.is_file() for note in notes):
        assert report.poll() is None
        time.sleep(0.05)
    report.send_signal(number)
    report.wait(30)
    alive, end = {int(pid) for note in notes for pid in note.read_text().split()}, time.monotonic() + 10
    while alive and time.monotonic() < end:
        alive = {pid for pid in alive if os.path.exists(f"/proc/{pid}")}
        time.sleep(0.1)
    assert not alive
