"""Runs questions, each in a kernel process of its own, and keeps what came out together with a receipt."""

import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from . import translations
from .project import Project

CITED = "cited.jsonl"  # where a notebook's process notes the trainings that it uses


@dataclass(frozen=True)
class Task:
    """A notebook to be run with certain parameters.

    Attributes:
        notebook: its name.
        parameters: dict of those values that differ from the defaults.
        key: hash of all that the outputs depend on.
        ingredients: that what was hashed; goes into the receipt.
    """

    notebook: str
    parameters: dict = field(hash=False)
    key: str
    ingredients: dict = field(hash=False, repr=False)

    def stored(self, project):
        """Where the executed notebook is; its receipt lies beside it, with the suffix .json."""
        return project.build / "executed" / f"{self.notebook}-{self.key}.ipynb"

    def receipt(self, project):
        """The receipt of the last run as a dict, or None where it was never run to its end or failure."""
        try:
            return json.loads(self.stored(project).with_suffix(".json").read_text("utf-8"))
        except (OSError, ValueError):
            return None

    def is_done(self, project):
        receipt = self.receipt(project)
        if not receipt or receipt["status"] != "ok" or not self.stored(project).is_file():
            return False
        return translations.are_current(receipt["labels"], project)

    def postponed(self, project):
        """What the last run lacked, a dict of `missing` (names of trainings) and `seconds` that they would take; None
        where it lacked nothing, where one of them is there by now, or where $TRAIN says to train."""
        lacked = (self.receipt(project) or {}).get("postponed")
        if lacked and not os.environ.get("TRAIN") and not any(map(project.has_run, lacked["missing"])):
            return lacked
        return None


def tell(line):
    """Prints a line at once and in one piece, though several threads print."""
    LiveLine.clear()
    print(f"{line}\n", end="", flush=True)


class LiveLine:
    """Shows a notebook's progress bar, as it writes it to stderr, on the terminal's last line (nothing elsewhere)."""

    def __init__(self, notebook):
        self.notebook = notebook

    def write(self, text):
        if "%|" in text and sys.stderr.isatty():
            last = text.replace("\n", "\r").rstrip("\r").rsplit("\r", 1)[-1].strip()
            room = shutil.get_terminal_size().columns - len(self.notebook) - 5
            print(f"\r\x1b[K  {self.notebook}  {last[:room]}", end="", file=sys.stderr, flush=True)

    def flush(self):
        pass

    @staticmethod
    def clear():
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def run(tasks, project: Project, kernels, jobs=1, timeout=None, echo=tell):
    """Runs the tasks that have no receipt of success; a task that fails does not stop the others.

    Args:
        tasks: list of Task; those with the same key run once.
        project: the Project.
        kernels: its Kernels.
        jobs: how many run at once.
        timeout: seconds that a cell may take; None for ever.
        echo: called with a line of progress.

    Raises:
        KeyboardInterrupt: after the kernels were stopped; what was not finished leaves nothing behind.
    """
    distinct = list({task.key: task for task in tasks}.values())
    width = max(len(task.notebook) for task in distinct)
    waiting = [task for task in distinct if not (task.is_done(project) or task.postponed(project))]
    for task in distinct:
        if task not in waiting:
            echo(f"  {task.notebook:{width}}  {'too long without TRAIN=1' if task.postponed(project) else 'cached'}")
    if not waiting:
        return
    quicken_imports()
    import papermill  # noqa: F401  (imported here, once, and not by several threads at the same time)

    with ThreadPoolExecutor(jobs) as pool:
        running = {}
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    task = _next(waiting, running.values())
                    waiting.remove(task)
                    running[pool.submit(_run_one, task, project, kernels, timeout, echo, width)] = task
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    del running[future]
                    future.result()
        except BaseException:
            kernels.stop(running)
            raise


def _next(waiting, running):
    """The first task whose preset no other one is at work with: two of the same would wait for the same training."""
    presets = {_preset(task) for task in running} - {None}
    return next((task for task in waiting if _preset(task) not in presets), waiting[0])


def _preset(task):
    return task.ingredients.get("parameters", {}).get("preset")


def _run_one(task, project, kernels, timeout, echo, width):
    echo(f"  {task.notebook:{width}}  running")
    began = time.monotonic()
    notebook, failure, cited = _execute(task, project, kernels, timeout)
    if kernels.stopping.is_set():
        return
    seconds, executed = round(time.monotonic() - began, 1), json.loads(notebook)
    lacked = [record for record in cited if "missing" in record] if failure else []
    receipt = {
        "status": "postponed" if lacked else "failed" if failure else "ok",
        "failure": failure,
        "postponed": lacked[-1] if lacked else None,
        "notebook": task.notebook,
        "key": task.key,
        "seconds": seconds,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "cited": [record for record in cited if "name" in record],
        "labels": translations.labels(executed),
        "listed": translations.listed(executed),
        **task.ingredients,
    }
    stored = task.stored(project)
    write_whole(stored, notebook)
    write_whole(stored.with_suffix(".json"), json.dumps(receipt, ensure_ascii=False, indent=1, default=repr).encode())
    echo(f"  {task.notebook:{width}}  {receipt['status']}  {seconds} s")


def _execute(task, project, kernels, timeout):
    """Runs a notebook.

    Returns:
        It (bytes) with the outputs there are; a dict on its failure, or None; the trainings that it rests on, as
        `fer_utils.runs.cite` notes them, a dict each.
    """
    import papermill

    source = project.notebook(task.notebook)
    with tempfile.TemporaryDirectory(prefix="fer-") as scratch:
        output = Path(scratch, "executed.ipynb")
        failure = None
        try:
            papermill.execute_notebook(
                source,
                output,
                task.parameters,
                kernel_name="python3",
                language="python",
                progress_bar=False,
                stderr_file=LiveLine(task.notebook),
                execution_timeout=timeout,
                resources={"metadata": {"path": str(project.notebooks)}},  # papermill's `cwd` would move all threads
                kernel_manager_class=kernels.manager_class(scratch),
            )
        except Exception as error:  # a cell that raised, a kernel that died, a timeout, a kernel that never started
            failure = _failure(error, output, Path(scratch, "kernel.log"))
        return (output if output.is_file() else source).read_bytes(), failure, _cited(Path(scratch, CITED))


def _cited(path):
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    return list({record.get("name"): record for record in map(json.loads, lines)}.values())


def _failure(error, output, log):
    """Which cell failed, and why. papermill calls every cell completed, also where the kernel died; so it is the last
    one that was started."""
    notebook = json.loads(output.read_text("utf-8")) if output.is_file() else {"cells": []}
    cells = [c for c in notebook["cells"] if c["cell_type"] == "code"]
    cells = [c for c in cells if "injected-parameters" not in c["metadata"].get("tags", [])]
    started = [i for i, c in enumerate(cells) if c["metadata"].get("papermill", {}).get("start_time")]
    name, value = getattr(error, "ename", type(error).__name__), getattr(error, "evalue", error)
    message = _first_line(f"{name}: {value}")
    if log.is_file() and (not started or type(error).__name__ == "DeadKernelError"):  # the kernel's last words
        message += " " + _first_line("\n".join(reversed(log.read_text("utf-8", "replace").splitlines())))
    if not started:
        return {"cell": None, "id": None, "line": "", "message": message.strip()}
    cell = cells[started[-1]]
    line = _first_line("".join(cell["source"]))[:80]
    return {"cell": started[-1] + 1, "id": cell.get("id"), "line": line, "message": message.strip()}


def _first_line(text):
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


class Kernels:
    """The kernel processes that run at the moment; they can be stopped from another thread.

    Args:
        project: the Project, whose modules a kernel finds, installed or not.
        jobs: how many run at once: they share the processor's cores.
    """

    def __init__(self, project, jobs=1):
        self.project = project
        self.stopping = threading.Event()
        self.processes = set()
        path = os.pathsep.join(filter(None, [str(project.root), os.environ.get("PYTHONPATH")]))
        self.environment = {**os.environ, "PYTHONPATH": path, "SOURCE_DATE_EPOCH": "0"}
        self.environment["FER_LOCALE"] = str(project.locale)
        self.environment["FER_TRAIN"] = "yes" if os.environ.get("TRAIN") else "ask"
        self.environment.pop("JOBS", None)  # questions that run at once; in a kernel it would multiply
        if jobs > 1:
            self.environment.setdefault("TF_NUM_INTRAOP_THREADS", str(max(1, os.cpu_count() // jobs)))

    def manager_class(self, scratch):
        """A kernel manager for one notebook; its kernel talks through sockets in the folder `scratch` (TCP ports are
        raced for where several start at once)."""
        from jupyter_client.manager import AsyncKernelManager

        kernels = self
        environment = {**self.environment, "FER_CITED": f"{scratch}/{CITED}"}

        class Manager(AsyncKernelManager):
            async def start_kernel(self, **kwargs):
                self.transport, self.ip = "ipc", f"{scratch}/kernel"
                with open(f"{scratch}/kernel.log", "w") as log:
                    await super().start_kernel(env=environment, stdout=log, stderr=log, **kwargs)
                kernels.processes.add(self.provisioner.process)
                if kernels.stopping.is_set():
                    raise RuntimeError("stopped")

        return Manager

    def stop(self, futures, patience=5):
        """Interrupts all kernels as Ctrl-C would; kills those that do not end in time (seconds)."""
        self.stopping.set()
        try:
            self._signal(signal.SIGINT)
            wait(futures, timeout=patience)
        finally:
            self._signal(signal.SIGKILL)

    def _signal(self, number):
        for process in [p for p in list(self.processes) if p.poll() is None]:
            os.killpg(process.pid, number)  # a kernel leads its own process group


def write_whole(path, content):
    """Writes a file whole or not at all.

    Args:
        path: Path; its folder is made.
        content: bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def quicken_imports():
    """Keeps jsonschema from compiling a grammar for IRIs (1.5 s), which no notebook needs."""
    import sys

    sys.modules.setdefault("rfc3987_syntax", None)
