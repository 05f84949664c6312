"""How long does it take to load FER2013 for the first time, and later?

Run from the root of the kit:  FER_DATA=fer2013.csv python -m bench.loading
Each time in a process of its own (its start and its imports are not counted), the first with an empty cache.
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
print(f"{dataset.name}, {len(dataset.images):,} pictures|{seconds:9.3f} s|{megabytes:6.0f} MB")
"""


def main():
    with tempfile.TemporaryDirectory(prefix="fer-bench-") as cache:
        for when in ("first", "later"):
            command, environment = [sys.executable, "-c", LOAD], {**os.environ, "FER_CACHE": cache}
            told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
            name, seconds, memory = told.strip().splitlines()[-1].split("|")
            print(f"{when:6} {seconds} {memory}  {name}", flush=True)


if __name__ == "__main__":
    main()
