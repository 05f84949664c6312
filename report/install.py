"""Make .venv and install what requirements.txt pins: what `make setup` calls, by any Python, before anything is there.

python3 report/install.py             with uv, else venv, else virtualenv
GPU=1 python3 report/install.py       TensorFlow for a GPU (0: for the processor; not set: as `nvidia-smi` says)
python3 report/install.py --dry-run   only print the commands
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 13)  # those that TensorFlow has wheels for
ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
CHOSEN = VENV / "requirements.txt"  # requirements.txt with the TensorFlow for this machine
ENGINES = ("tensorflow", "tensorflow-cpu")  # they share their files: one must go before the other comes
NO_VENV = (
    "This Python cannot make .venv, for it lacks ensurepip. Install one of these, then make again: apt-get install "
    "python3-venv (Debian, Ubuntu), or python3 -m pip install uv (Colab and elsewhere)"
)


def main(arguments=()):
    """Install, or only print the commands; return the exit code, after a line that says what is wrong."""
    if why := wrong_python(sys.version_info[:3]):
        print(why, file=sys.stderr)
        return 1
    try:
        gpu = wants_gpu(os.environ.get("GPU", ""))
        text = requirements((ROOT / "requirements.txt").read_text("utf-8"), gpu)
        commands = steps(gpu)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"TensorFlow for {'a GPU' if gpu else 'the processor'}", flush=True)
    if "--dry-run" in arguments:
        print(*(" ".join(map(str, command)) for command in commands), sep="\n")
        return 0
    make, *rest = commands
    code = run(make)
    if code == 0:
        CHOSEN.write_text(text, "utf-8")
    return code or next((code for command in rest if (code := run(command))), 0)


def run(command):
    return subprocess.run(list(map(str, command)), cwd=ROOT).returncode


def wrong_python(version):
    """Return a line on a Python that cannot be used; "" for one that can."""
    if OLDEST <= tuple(version[:2]) <= NEWEST:
        return ""
    known = [f"3.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]
    there = next((name for name in reversed(known) if shutil.which(f"python{name}")), known[-1])
    return (
        f"Python {', '.join(known[:-1])} or {known[-1]} is needed (TensorFlow has no other); this is "
        f"{'.'.join(map(str, version))}. Try: make setup PYTHON=python{there}"
    )


# -- which TensorFlow --------------------------------------------------------------------------------------------------


def wants_gpu(given):
    """Return whether TensorFlow is to use a GPU: "1" and "0" say so, "" leaves it to `nvidia-smi`.

    Raises:
        ValueError: another word, or a GPU where TensorFlow can use none.
    """
    if given not in ("", "0", "1"):
        raise ValueError(f"GPU={given}: write GPU=1 or GPU=0")
    if sys.platform != "linux":
        if given == "1":
            raise ValueError("GPU=1: TensorFlow uses a GPU on Linux alone (on Windows: in WSL)")
        return False
    return given == "1" or (given == "" and gpu_answers())


def gpu_answers():
    """Return whether `nvidia-smi` lists a GPU."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and "GPU" in listed.stdout


def requirements(text, gpu):
    """Return requirements.txt, for a GPU with one TensorFlow with CUDA in the place of both others."""
    if not gpu:
        return text
    text = re.sub(r"(?m)^tensorflow-cpu==.*\n", "", text)
    return re.sub(r"(?m)^tensorflow(==[\w.]+).*$", r"tensorflow[and-cuda]\1", text)


# -- the commands ------------------------------------------------------------------------------------------------------


def steps(gpu):
    """Return the commands, each a list of words: make .venv, remove the other TensorFlow, install.

    Raises:
        ValueError: nothing that is there can make .venv.
    """
    python, make = VENV / "bin" / "python", maker()
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    uninstall, install = [*pip, "uninstall", "-qq", "-y"], [*pip, "install", "-q"]
    if make[0] == "uv":
        uninstall, install = (["uv", "pip", word, "-q", "--python", python] for word in ("uninstall", "install"))
    return [make, [*uninstall, unwanted(gpu)], [*install, "-r", CHOSEN, "-e", "."]]


def maker():
    """Return the command that makes .venv with what this Python has."""
    if shutil.which("uv"):
        return ["uv", "venv", "-q", "--allow-existing", "--python", sys.executable, VENV]
    for module, needed in (("venv", "ensurepip"), ("virtualenv", "virtualenv")):
        if importlib.util.find_spec(needed):
            return [sys.executable, "-m", module, VENV]
    if shutil.which("virtualenv"):
        return ["virtualenv", "-q", "--python", sys.executable, VENV]
    raise ValueError(NO_VENV)


def unwanted(gpu):
    """Return the TensorFlow that must not be there as well."""
    on_x86 = os.uname().machine == "x86_64" if hasattr(os, "uname") else True
    return ENGINES[0] if sys.platform == "linux" and on_x86 and not gpu else ENGINES[1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
