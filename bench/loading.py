"""Measure time and memory of the first load of FER2013, which parses it, and of a later one, which maps the cache.

Run from the root of the kit:  FER_DATA=fer2013.csv python -m bench.loading
Each load runs in its own process, whose start and imports are not counted.
"""

import os
import subprocess
import sys
import tempfile

LOAD = """
import resource, time
import numpy
from fer_utils import data
began = time.perf_counter()
dataset = data.load()
seconds = time.perf_counter() - began
megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"{dataset.name}, {len(dataset.images):,} images|{seconds:9.3f} s|{megabytes:6.0f} MB")
"""


def main():
    with tempfile.TemporaryDirectory(prefix="fer-bench-") as cache:
        for when in ("first", "later"):
            command, environment = [sys.executable, "-c", LOAD], {**os.environ, "FER_CACHE": cache}
            output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
            name, seconds, memory = output.strip().splitlines()[-1].split("|")
            print(f"{when:6} {seconds} {memory}  {name}", flush=True)


if __name__ == "__main__":
    main()
