"""All benches one after the other, into bench/RESULTS.md:  make bench [DATA=fer2013.csv]

Each is a process of its own, and its highest use of memory is told. What needs your FER2013 or tf-keras-vis is left out
where that is missing, and the table says so. Nothing else should run on the machine meanwhile.
"""

import datetime
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

from fer_utils import data, machine

TARGET = Path(__file__).with_name("RESULTS.md")
PARTS = {
    "Loading": "bench.loading",
    "Training, each preset beside plain Keras in float32": "bench.training A B C D E small fast tiny",
    "Two operations that the kit replaces": "bench.operations",
    "Time to accuracy": "bench.time_to_accuracy",
    "The report": "bench.report",
    "Explanations beside tf-keras-vis": "bench.explain",
}


def missing(part):
    """Why a part cannot be measured here, or None."""
    if "time_to_accuracy" in part and data.load().drawn:
        return "needs FER2013 (DATA=…)"
    if "explain" in part and not importlib.util.find_spec("tf_keras_vis"):
        return "needs tf-keras-vis (see bench/explain.py)"


def measured(part):
    """Runs a part: (what it printed, exit code, seconds, highest memory in MB of it or of one it waited for)."""
    began, lines = time.perf_counter(), []
    process = subprocess.Popen([sys.executable, "-m", *part.split()], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line)
    _, status, usage = os.wait4(process.pid, 0)  # `subprocess` itself does not tell what one child used
    return "".join(lines), os.waitstatus_to_exitcode(status), time.perf_counter() - began, usage.ru_maxrss / 1024


def main():
    head = f"{machine.name()}; {datetime.date.today()}; `make bench`"
    texts = [f"# Measured\n\n{head}.\n"]
    for title, part in PARTS.items():
        print(f"== {title}", flush=True)
        if reason := missing(part):
            texts.append(f"## {title}\n\nNot measured: {reason}.\n")
            continue
        text, code, seconds, memory = measured(part)
        state = "" if not code else ", FAILED"
        facts = f"`python -m {part}`: {seconds:.0f} s; highest memory of a process {memory:.0f} MB{state}"
        texts.append(f"## {title}\n\n```\n{text.rstrip()}\n```\n\n{facts}.\n")
        TARGET.write_text("\n".join(texts), "utf-8")
    print(TARGET)


if __name__ == "__main__":
    main()
