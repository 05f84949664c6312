"""Trainings as jobs: what they ask for and, where a Slurm is, a job that is left, warned, sent again, or fails."""

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from fer_utils import cluster, runs
from fer_utils.settings import SettingsError

KIT = Path(__file__).resolve().parents[1]
SINFO = "main* infinite 64\nmain* infinite 2\nshort 2:00 16\ngpu 1-12:00:00 32\n"

# $SLURM -> some of what submitit is told
ASKED = [
    ("", {"timeout_min": 720, "cpus_per_task": 2}),  # a node of the default partition has no more
    ("cpus=8 hours=0.5", {"timeout_min": 30, "cpus_per_task": 8, "slurm_srun_args": ["--cpus-per-task=8"]}),
    ("partition=short", {"timeout_min": 2, "cpus_per_task": 4, "slurm_partition": "short"}),
    (
        "partition=gpu gpus=1 cpus=8 hours=48 mem=32 account=007 qos=low jobs=4",
        {
            **{"slurm_partition": "gpu", "gpus_per_node": 1, "cpus_per_task": 8, "timeout_min": 2160, "mem_gb": 32},
            **{"slurm_account": "007", "slurm_qos": "low", "slurm_array_parallelism": 4},
        },
    ),
    ("constraint=a100|h100 gres=gpu:a100:1", {"slurm_constraint": "a100|h100", "slurm_gres": "gpu:a100:1"}),
]
# $SLURM -> what is answered, a line for each problem
REFUSED = [
    (
        "cores=8",
        "SLURM has no 'cores'; it has: partition, account, qos, constraint, gres, hours, cpus, gpus, mem, jobs",
    ),
    ("cpus=many", "SLURM: cpus is a number of cores, from 1, not 'many'"),
    ("cpus=0 mem=32G", "SLURM: cpus is .*, not 0\nSLURM: mem is memory in GB, such as 32, not '32G'"),
    ("hours=-1", "SLURM: hours is hours at a time.*, not -1"),
    ("gpu", "SLURM: settings are written name=value.*'gpu'"),
]


@pytest.fixture
def partitions(monkeypatch):
    """A Slurm that only lists its partitions."""

    def ask(*command):
        wanted = [word.partition("=")[2] for word in command if word.startswith("--partition=")]
        return "".join(row for row in SINFO.splitlines(keepends=True) if not wanted or row.split()[0] in wanted)

    monkeypatch.setattr(cluster, "ask", ask)


@pytest.mark.parametrize(("slurm", "told"), ASKED)
def test_submitit_is_told_by_its_own_names(slurm, told, partitions, monkeypatch):
    monkeypatch.setenv("SLURM", slurm)
    asked = cluster.parameters()
    assert {name: asked[name] for name in told} == told
    assert None not in asked.values() and asked["slurm_additional_parameters"] == {"requeue": True}


@pytest.mark.parametrize(("slurm", "answer"), REFUSED)
def test_what_slurm_does_not_know_is_refused(slurm, answer, partitions, monkeypatch):
    monkeypatch.setenv("SLURM", slurm)
    with pytest.raises(SettingsError, match=f"^{answer}"):
        cluster.parameters()


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("2:00", 2), ("1:30:00", 90), ("2-00:00:00", 2880), ("45", 0), ("infinite", cluster.FOREVER)],
)
def test_times_are_read_as_slurm_writes_them(text, minutes):
    assert cluster.minutes(text) == minutes


def test_a_cluster_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setenv("CLUSTER", "slrum")
    with pytest.raises(SettingsError, match="CLUSTER must be slurm or local, not 'slrum'"):
        cluster.chosen()
    monkeypatch.setenv("CLUSTER", "slurm")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SettingsError, match="no Slurm on this machine"):
        cluster.chosen()


def test_a_job_that_does_not_get_on_is_not_sent_again_for_ever(tmp_path):
    run = SimpleNamespace(partial=tmp_path, name="some")
    run.train_once = lambda: None

    def start(job, epoch):
        job()
        if epoch:
            (tmp_path / f"state.{epoch}").touch()
        return job.checkpoint().function

    job = cluster.Training(run)
    for epoch in (1, 0, 0, 2, 0, 0):  # two fruitless starts in a row may be bad luck: preemption, say
        job = start(job, epoch)
    with pytest.raises(runs.RunError, match=r"no epoch was finished in any of 3 starts.*hours="):
        start(job, 0)


def test_a_job_that_fails_says_why_where_it_is_waited_for(on_few_faces, store, monkeypatch, capsys):
    monkeypatch.setenv("CLUSTER", "local")
    failing = runs.Run(preset="small", profile="smoke", data="another")
    with pytest.raises(runs.RunError) as caught:
        runs.fit_all([runs.Run(preset="small", profile="smoke"), failing])
    first, *more = str(caught.value).splitlines()
    assert first.startswith("job ") and f"({failing.name}) failed: " in first and "and small-smoke-data" not in first
    assert "needs another" in first and more[-1].strip().startswith("its log: ") and len(more) < 8
    assert runs.Run(preset="small", profile="smoke").is_finished()  # the other one ended well
    assert "Ctrl-C stops them" in capsys.readouterr().err


def test_why_a_job_is_pending_is_told(monkeypatch):
    monkeypatch.setattr(
        cluster, "ask", lambda *_: "7_0|RUNNING|None\n7_1|PENDING|Resources\n8|PENDING|PartitionConfig\n"
    )
    assert cluster.queue() == {
        "7_0": "running",
        "7_1": "pending (Resources)",
        "8": "pending (PartitionConfig: it may never start; cancel it and ask for less)",
    }
    monkeypatch.setattr(cluster, "ask", lambda *_: None)  # Slurm does not answer: nothing is known, nothing is lost
    assert cluster.queue() is None
    job = cluster.Job(SimpleNamespace(name="some", is_finished=lambda: False), cluster.JobPaths(KIT / "none", "7"))
    assert not job.look(None)
    job.seen -= 2 * cluster.GRACE
    assert job.look({})


# -- on a real Slurm ---------------------------------------------------------------------------------------------------


def slurm_answers():
    return bool(shutil.which("sinfo")) and bool(cluster.ask("timeout", "5", "sinfo", "--noheader"))


on_slurm = pytest.mark.skipif(not slurm_answers(), reason="there is no Slurm here: `sinfo` does not answer")

FIT = """
from fer_utils import cluster, runs
cluster.GRACE = 3  # seconds: one disk
wanted = [runs.Run(preset="A", profile="smoke", epochs={epochs}, batch=30, patience=1000)]
wanted += [runs.Run(preset="small", profile="smoke", data="another")] * {failing}
print("before", *[run.name for run in wanted], flush=True)
print(runs.fit_all(wanted)[0].name)
"""


@pytest.fixture
def shared(few_faces, monkeypatch):
    """A folder in the checkout, which the nodes of a cluster see, too: for the data, the cache and the run store."""
    (KIT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="test-cluster-", dir=KIT / "build", ignore_cleanup_errors=True) as folder:
        shutil.copy(few_faces, folder)
        for name, value in {
            "FER_DATA": f"{folder}/{few_faces.name}", "FER_CACHE": f"{folder}/cache", "FER_RUNS": f"{folder}/runs",
            "CLUSTER": "slurm", "SLURM": "cpus=1 hours=0.5",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        yield Path(folder, "runs")
        for note in Path(folder, "runs/.jobs").glob("*.job"):  # of a test that failed
            cluster.ask("scancel", note.read_text())


def fit(epochs, failing=0):
    """Another process that fits runs on the cluster, and waits."""
    code = FIT.format(epochs=epochs, failing=failing)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(condition, seconds=120):
    """Wait until a condition holds; return what it gives."""
    deadline = time.monotonic() + seconds
    while not (held := condition()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert held, "it never came"
    return held


def epochs_of(store):
    return max(map(cluster.epochs_so_far, store.glob("*.partial")), default=0)


@on_slurm
def test_a_job_is_left_and_found_again_warned_and_resumed_and_its_neighbours_failure_is_told(shared):
    leaving = fit(epochs=8, failing=1)
    until(lambda: epochs_of(shared))
    leaving.send_signal(signal.SIGINT)
    said = leaving.communicate()[1]
    (number,) = {note.read_text() for note in (shared / ".jobs").glob("A-*.job")}
    assert f"scancel {number.partition('_')[0]}" in said and number.endswith("_0")  # an array
    waiting = fit(epochs=8, failing=1)
    before = epochs_of(shared)
    cluster.ask("scancel", "--signal=USR2", number)  # as Slurm does before the time is over
    until(lambda: "pending" in cluster.queue().get(number, ""))
    until(lambda: cluster.ask("scontrol", "update", f"JobId={number}", "StartTime=now") is not None)  # not in 2 minutes
    output, said = waiting.communicate()
    assert waiting.returncode and "RunError: job " in said and "needs another" in said, said
    assert said.startswith("1 job(s) sent earlier are in the queue") and f"job {number} " in said
    history = (next(shared.glob("A-*")) / "history.csv").read_text().splitlines()[1:]
    assert [int(row.split(",")[0]) for row in history] == list(range(8))
    log = (shared / ".jobs" / f"{number}_0_log.err").read_text()
    starts = [int(line.split(": ")[1].split()[0]) for line in log.splitlines() if line.endswith("epochs so far")]
    assert starts[0] == 0 and before <= starts[1] < 8 and len(starts) == 2


@on_slurm
def test_a_job_that_was_cancelled_is_told(shared):
    waiting = fit(epochs=500)
    (number,) = until(lambda: [note.read_text() for note in (shared / ".jobs").glob("*.job")])
    until(lambda: cluster.queue().get(number) == "running")
    cluster.ask("scancel", number)
    said = waiting.communicate()[1]
    assert f"job {number} " in said and "failed: cancelled" in said
    assert not list((shared / ".jobs").glob("*.job"))


@on_slurm
def test_what_slurm_refuses_is_told(shared, monkeypatch):
    monkeypatch.setenv("SLURM", "partition=nowhere cpus=1")
    with pytest.raises(runs.RunError, match="Slurm refuses this: .*invalid partition"):
        runs.Run(preset="small", profile="smoke").fit()


@pytest.mark.long
@on_slurm
def test_a_training_longer_than_its_limit_ends_well(shared, monkeypatch):
    """Two minutes at a time, and two more until Slurm starts a job again."""
    monkeypatch.setenv("SLURM", "cpus=1 hours=0.04")
    waiting = fit(epochs=400)
    said = waiting.communicate()[1]
    assert waiting.returncode == 0 and said.count(": running, ") >= 2, said
    history = (next(shared.glob("A-*")) / "history.csv").read_text().splitlines()[1:]
    assert [int(row.split(",")[0]) for row in history] == list(range(400))
