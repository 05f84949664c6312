"""A test session has its own run store, cache and images; nothing is read from or left in the checkout."""

import os
import signal
import tempfile
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

# Where the tests run in the background (`nohup … &`) Ctrl-C is ignored, and so it would be in what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "PYTEST_XDIST_WORKER" not in os.environ:  # the workers share the folder of the process that starts them
    _ROOM = tempfile.TemporaryDirectory(prefix="fer-tests-")
    os.environ["FER_RUNS"] = f"{_ROOM.name}/runs"
    os.environ["FER_CACHE"] = f"{_ROOM.name}/cache"
    os.environ["FER_TEST_ROOM"] = _ROOM.name
os.environ.pop("FER_DATA", None)


@pytest.fixture(scope="session")
def few_faces():
    """Path of an .npz with 420 drawn faces: enough for every class in every split, quick to train on."""
    from fer_utils.faces import draw

    path = Path(os.environ["FER_TEST_ROOM"], "few_faces.npz")
    with FileLock(f"{path}.lock"):
        if not path.exists():
            drawn = draw(420, seed=1)
            np.savez(path, images=drawn.images, labels=drawn.labels, split=drawn.split)
    return path


@pytest.fixture
def on_few_faces(few_faces, monkeypatch):
    """`data.load()` gives the 420 drawn faces."""
    monkeypatch.setenv("FER_DATA", str(few_faces))
    return few_faces


@pytest.fixture(scope="session")
def real():
    """FER2013 without its private images: 28,709 of Training, 3,589 of PublicTest."""
    from fer_utils import data

    path = Path(os.environ.get("FER_TEST_DATA", "")) / "fer2013-train-public.csv.xz"
    if not os.environ.get("FER_TEST_DATA") or not path.exists():
        pytest.skip("FER_TEST_DATA is not set")
    return data.load(path)


@pytest.fixture
def own_folders(tmp_path, monkeypatch):
    """Keep cache and data/ of a test in its own folder, and no order of the classes or votes from outside."""
    from fer_utils import data

    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    for name in ("FER_DATA", "FER_ORDER", "FER_PLUS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(data, "DATA", tmp_path / "data")


@pytest.fixture
def folder(tmp_path):
    """An empty folder for a source, beside the cache of `own_folders`."""
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


@pytest.fixture
def store(tmp_path, monkeypatch):
    """An empty run store."""
    monkeypatch.setenv("FER_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"
