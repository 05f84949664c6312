"""How long does the report take? From nothing, unchanged, after an edit of text, with one other parameter.

Run from the root of the kit:  python -m bench.report [edition]
On the drawn faces, in the quick profile, in a copy of the notebooks and the report with a store and a cache of its own.
Memory is the highest of any one process; a kernel is one, and two run at a time.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KIT = Path(__file__).resolve().parents[1]
COPIED = ("notebooks", "report", "fer_utils")


def measured(arguments, root, environment):
    """(seconds, highest memory of a process in MB) of a command."""
    command = [sys.executable, "-m", "fer_report", *arguments, "--root", str(root)]
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    highest = 0
    while process.poll() is None:
        highest = max(highest, *(memory(pid) for pid in family(process.pid)), 0)
        time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    return time.perf_counter() - began, highest


def family(pid):
    """A process and all that it started (Linux)."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        return [pid, *(found for child in children.read_text().split() for found in family(int(child)))]
    except OSError:  # it has ended
        return []


def memory(pid):
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0)
    except OSError:
        return 0


def main(edition="complete"):
    with tempfile.TemporaryDirectory(prefix="fer-bench-") as room:
        for name in COPIED:
            shutil.copytree(KIT / name, Path(room, name), ignore=shutil.ignore_patterns("__pycache__"))
        own = {"FER_RUNS": f"{room}/runs", "FER_CACHE": f"{room}/cache", "TF_CPP_MIN_LOG_LEVEL": "3"}
        environment = {name: value for name, value in os.environ.items() if name != "FER_DATA"} | own
        report = ["report", "--edition", edition, "--profile", "quick", "--jobs", str(min(2, os.cpu_count()))]
        print(f"{edition}, both languages, drawn faces, quick; {os.cpu_count()} cores")
        rows = {"from nothing": report, "nothing changed": report, "a text edited": report}
        rows["one parameter, both languages"] = ["question", "confusion", "--set", "least=0.2", "--profile", "quick"]
        for name, command in rows.items():
            if name == "a text edited":
                notebook = Path(room, "notebooks", "cnn.ipynb")
                notebook.write_text(notebook.read_text("utf-8").replace("48 × 48", "48 by 48"), "utf-8")
            seconds, highest = measured(command, room, environment)
            print(f"{name:32} {seconds:7.1f} s {highest:7.0f} MB", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
