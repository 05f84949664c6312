"""Measure time and memory of the first load of FER2013, which parses it, and of a later one, which maps the cache.

Run from the root of the kit:  FER_DATA=fer2013.csv python -m bench.loading [another checkout ...]
Each load runs in its own process, whose start and imports are not counted. Other checkouts are measured in turn with
this one, so that what else the machine does meets all of them; the best of some turns counts.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

TURNS = 3
HERE = Path(__file__).resolve().parents[1]
LOAD = """
import resource, time
import numpy
from fer_utils import data
began = time.perf_counter()
dataset = data.load()
seconds = time.perf_counter() - began
megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"{dataset.name}, {len(dataset.images):,} images|{seconds}|{megabytes}")
"""


def loaded(root, cache):
    """Loads the data with the code in a folder: (name, seconds, megabytes)."""
    environment = {**os.environ, "FER_CACHE": cache, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", LOAD]
    output = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=True).stdout
    name, seconds, memory = output.strip().splitlines()[-1].split("|")
    return name, float(seconds), float(memory)


def main(others):
    roots = [HERE, *(Path(other).resolve() for other in others)]
    turns = {(root, when): [] for root in roots for when in ("first", "later")}
    for _ in range(TURNS if others else 1):
        for root in roots:
            with tempfile.TemporaryDirectory(prefix="fer-bench-") as cache:
                for when in ("first", "later"):
                    turns[root, when].append(loaded(root, cache))
    for (root, when), measured in turns.items():
        name, seconds, memory = min(measured, key=lambda one: one[1])
        print(f"{when:6} {seconds:9.3f} s {memory:6.0f} MB  {name}{f'  {root}' if others else ''}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
