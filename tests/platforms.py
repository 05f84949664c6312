"""Which platforms and Pythons can install requirements.txt, from wheels alone: python tests/platforms.py

Asks the package index (needs uv and a network), installs nothing, and prints a table. Ends with 1 where one cannot.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements.txt"
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = {  # what people call it -> uv's name, with the system that TensorFlow's own wheels are for
    "Linux x86-64": "x86_64-manylinux_2_28",
    "Linux aarch64": "aarch64-manylinux_2_28",
    "macOS arm64": "aarch64-apple-darwin",
    "Windows x86-64": "x86_64-pc-windows-msvc",
}


def resolve(platform, python, requirements=None):
    """Resolve requirements.txt, or other requirements (str), for a platform of PLATFORMS and a version of Python.

    Returns:
        (packages, why): how many packages would be installed and with which TensorFlow, "" where it cannot be; what uv
        said then.
    """
    text = requirements or REQUIREMENTS.read_text("utf-8")
    command = ["uv", "pip", "compile", "-", "--no-header", "--no-annotate", "--only-binary", ":all:"]
    command += ["--python-platform", PLATFORMS[platform], "--python-version", python]
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode:
        return "", done.stderr.strip()
    lines = [line for line in done.stdout.splitlines() if "==" in line]
    engine = next(line for line in lines if re.match(r"tensorflow(-cpu)?(\[.*\])?==", line))
    return f"{len(lines)}, {engine.split('==')[0]}", ""


def unreachable(why):
    """Return whether uv failed for want of a network."""
    return bool(re.search("Failed to fetch|Request failed|dns error|Connect|offline", why))


def main():
    if not shutil.which("uv"):
        print("skipped: uv is not installed (pip install uv)")
        return 0
    failed = []
    print(f"{'':16}" + "".join(f"{python:24}" for python in PYTHONS))
    for platform in PLATFORMS:
        print(f"{platform:16}", end="", flush=True)
        for python in PYTHONS:
            packages, why = resolve(platform, python)
            if unreachable(why):
                print("\nskipped: no package index can be reached")
                return 0
            print(f"{packages or 'NO':24}", end="", flush=True)
            failed += [f"{platform}, Python {python}:\n{why}"] if why else []
        print()
    print(*failed, sep="\n\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
