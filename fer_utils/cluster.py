"""Trainings as jobs of a cluster, with CLUSTER=slurm: what a job asks for, how it is sent, resumed and waited for.

    CLUSTER=slurm SLURM="partition=gpu gpus=1 cpus=8 hours=12 mem=32" make report

submitit sends the jobs. Slurm warns a job before its time is over, and the job has itself sent again; a preempted one
Slurm sends again by itself. Either way the training resumes after its last epoch. CLUSTER=local does the same with
processes of this machine, which have no limit of time.
"""

import contextlib
import getpass
import io
import os
import pickle
import shutil
import subprocess
import sys
import time

import pydantic
import submitit
from filelock import FileLock
from submitit.core.utils import FailedJobError, FailedSubmissionError, JobPaths
from submitit.helpers import DelayedSubmission, clean_env

from fer_utils.finished import RunError, epochs_so_far, store
from fer_utils.settings import SettingsError, parse

WARNING = 30  # seconds before its time is over that a job is told; Slurm may do so up to a minute earlier
IDLE = 3  # starts in a row without a finished epoch after which a job is not sent again
GRACE = 15  # seconds that a result may take from the cluster's disk to this machine
FOREVER = 60 * 24 * 365  # minutes
NEVER = ("PartitionConfig", "PartitionTimeLimit", "BadConstraints")  # why a job waits for what no node has
TOLD = ("slurm_partition", "slurm_account", "timeout_min", "cpus_per_task", "gpus_per_node", "mem_gb")

# -- what a job asks for -----------------------------------------------------------------------------------------------


class Wanted(pydantic.BaseModel):
    """What $SLURM may hold, and what a job asks for without it. None: whatever the cluster gives."""

    model_config = pydantic.ConfigDict(extra="forbid")

    partition: str | None = pydantic.Field(None, description="a name that `sinfo` lists")
    account: str | None = pydantic.Field(None, description="a name")
    qos: str | None = pydantic.Field(None, description="a name")
    constraint: str | None = pydantic.Field(None, description="features of nodes")
    gres: str | None = pydantic.Field(None, description="resources, such as gpu:a100:1")
    hours: float = pydantic.Field(12, gt=0, description="hours at a time, such as 12 or 0.5")
    cpus: int = pydantic.Field(4, gt=0, description="a number of cores, from 1")
    gpus: int | None = pydantic.Field(None, ge=0, description="a number of GPUs, from 0")
    mem: float | None = pydantic.Field(None, gt=0, description="memory in GB, such as 32")
    jobs: int = pydantic.Field(256, gt=0, description="how many jobs run at once, from 1")


def chosen():
    """Return `slurm`, `local`, or "" where trainings are no jobs: $CLUSTER.

    Raises:
        SettingsError: there is no such cluster, or no Slurm here.
    """
    name = os.environ.get("CLUSTER", "")
    if name not in ("", "slurm", "local"):
        raise SettingsError(f"CLUSTER must be slurm or local, not {name!r}")
    if name == "slurm" and not shutil.which("sbatch"):
        raise SettingsError("CLUSTER=slurm, but there is no Slurm on this machine: `sbatch` was not found")
    return name


def wanted():
    """Read $SLURM.

    Raises:
        SettingsError: for an unknown name or a bad value; a line for each, which says what there is.
    """
    fields, lines = Wanted.model_fields, []
    texts = {name: "" for name, field in fields.items() if field.annotation == str | None}
    try:
        return Wanted(**parse(os.environ.get("SLURM", ""), texts))
    except SettingsError as error:
        raise SettingsError(f"SLURM: {error}") from None
    except pydantic.ValidationError as error:
        for found in error.errors():
            (name,) = found["loc"]
            known = f"SLURM has no {name!r}; it has: {', '.join(fields)}"
            lines.append(
                known if name not in fields else f"SLURM: {name} is {fields[name].description}, not {found['input']!r}"
            )
        raise SettingsError("\n".join(lines)) from None


def parameters():
    """Return what a job asks for, by submitit's names. It never asks for more time than the partition allows."""
    asked = wanted()
    minutes, cores = most(asked.partition)
    cpus = asked.cpus if "cpus" in asked.model_fields_set else min(asked.cpus, cores)
    named = {name: getattr(asked, name) for name in ("partition", "account", "qos", "constraint", "gres")}
    given = {f"slurm_{name}": value for name, value in named.items()}
    given |= {"cpus_per_task": cpus, "gpus_per_node": asked.gpus, "mem_gb": asked.mem}
    given |= {
        "timeout_min": max(1, int(min(60 * asked.hours, minutes))),
        "slurm_array_parallelism": asked.jobs,
        "slurm_signal_delay_s": WARNING,
        "slurm_srun_args": [f"--cpus-per-task={cpus}"],  # since Slurm 22.05 srun does not take it from sbatch
        "slurm_additional_parameters": {"requeue": True},  # also where a cluster's default is another
    }
    return {name: value for name, value in given.items() if value is not None}


def most(partition):
    """Return the minutes and the cores that every node of a partition (None: the default one) gives to a job."""
    where = [f"--partition={partition}"] if partition else []
    said = ask("sinfo", "--noheader", "--exact", "--format=%P %l %c", *where) or ""
    rows = [line.split() for line in said.splitlines()]
    rows = [row for row in rows if len(row) == 3 and (partition or row[0].endswith("*"))]
    return min((minutes(row[1]) for row in rows), default=FOREVER), min((int(row[2]) for row in rows), default=FOREVER)


def minutes(text):
    """Return a time of Slurm's in minutes: `2:00`, `1:30:00`, `2-00:00:00` or `infinite`.

    >>> minutes("1-02:00:30")
    1560
    """
    days, _, clock = text.rpartition("-")
    if not clock.replace(":", "").isdigit():
        return FOREVER
    hours, minutes, _ = [0, 0, *map(int, clock.split(":"))][-3:]
    return 1440 * int(days or 0) + 60 * hours + minutes


def ask(*command):
    """Return what a command of Slurm's prints; None where it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    return None if done.returncode else done.stdout


# -- in the job --------------------------------------------------------------------------------------------------------


class Training:
    """A training as submitit wants a job that can be sent again: `checkpoint` is called when its time is nearly over.

    Args:
        run: runs.Stored. idle: how many starts in a row have ended without a finished epoch.
    """

    def __init__(self, run, idle=0):
        self.run, self.idle = run, idle

    def __call__(self):
        for name in ("CLUSTER", "FER_TRAIN", "FER_CITED"):  # they are for the process that waits, on another machine
            os.environ.pop(name, None)
        if cores := os.environ.get("SLURM_CPUS_PER_TASK"):
            os.environ["TF_NUM_INTRAOP_THREADS"] = cores
        self.first = self.state()
        print(f"{self.run.name}: {epochs_so_far(self.run.partial)} epochs so far", file=sys.stderr, flush=True)
        return self.run.train_once()

    def checkpoint(self):
        idle = self.idle + 1 if self.state() == self.first else 0
        if idle == IDLE:
            raise RunError(
                f'no epoch was finished in any of {IDLE} starts: ask for more time at once (SLURM="hours=…"), '
                "or for more cores"
            )
        return DelayedSubmission(type(self)(self.run, idle))

    def state(self):
        """When the state that a training resumes from was written."""
        return [path.stat().st_mtime_ns for path in self.run.partial.glob("state.*")]


# -- sending and waiting -----------------------------------------------------------------------------------------------


class Job:
    """A training that was sent.

    Args:
        run: runs.Stored. paths: submitit's JobPaths. process: submitit's job, where it is a process of this machine.
    """

    def __init__(self, run, paths, process=None):
        self.run, self.paths, self.process = run, paths, process
        self.id, self.said, self.seen = paths.job_id, "", time.monotonic()

    def look(self, queue):
        """Tell what has changed; return whether it has ended. `queue`: as the function of this name gives it."""
        state = "running" if self.process and not self.process.done() else (queue or {}).get(self.id, "")
        if state or queue is None:
            self.seen = time.monotonic()
        if self.paths.result_pickle.exists() or self.run.is_finished():
            return True
        if state not in ("", "completing", self.said):
            self.said, epochs = state, epochs_so_far(self.run.partial)
            tell(f"job {self.id} ({self.run.name}): {state}" + f", {epochs} epochs so far" * (epochs > 0))
        return time.monotonic() - self.seen > GRACE

    def failure(self):
        """Return what went wrong: lines, the first of which says most; "" if nothing did."""
        said, gone = "", "cancelled, or stopped by Slurm before it could be sent again (time, memory)"
        if self.paths.result_pickle.exists():
            outcome, said = pickle.loads(self.paths.result_pickle.read_bytes())
            if outcome == "success":
                return ""
        elif self.run.is_finished():
            return ""
        elif self.paths.stderr.exists():
            said = self.paths.stderr.read_text("utf-8", "replace")
        lines = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in said.split("\n")]  # the last state of a progress bar
        lines = [line for line in lines if line.strip()][-6:]
        why = lines.pop() if self.paths.result_pickle.exists() else gone
        return "\n    ".join(
            [f"job {self.id} ({self.run.name}) failed: {why}", *lines, f"its log: {self.paths.stderr}"]
        )

    def forget(self):
        note(self.run).unlink(missing_ok=True)


def train(runs):
    """Train runs as one array of jobs, and wait for them. Those whose jobs were left there earlier are not sent again.

    Raises:
        SettingsError: $SLURM is not understood.
        RunError: Slurm refuses them, or some failed; all others have ended then.
    """
    folder().mkdir(parents=True, exist_ok=True)
    with FileLock(folder() / "lock"):
        if jobs := left(runs):
            tell(f"{len(jobs)} job(s) sent earlier are in the queue. {farewell(jobs)}")
        there = {job.run.name for job in jobs}
        jobs += send([run for run in runs if run.name not in there])
    try:
        wait(jobs)
    except KeyboardInterrupt:
        tell(farewell(jobs))
        raise


def folder():
    return store() / ".jobs"


def note(run):
    """The file that keeps the number of a run's job, for a later process that waits for it."""
    return folder() / f"{run.name}.job"


def left(runs):
    """Return the jobs of earlier processes that are still in the queue."""
    notes = [(run, note(run).read_text()) for run in runs if note(run).exists()] if chosen() == "slurm" else []
    known = queue() if notes else {}
    if known is None:
        raise RunError("Slurm does not answer (`squeue` fails): try again later")
    return [Job(run, JobPaths(folder(), number)) for run, number in notes if number in known]


def send(runs):
    """Send runs as one array; return their jobs."""
    if not runs:
        return []
    asked = parameters() if chosen() == "slurm" else {"timeout_min": FOREVER, "gpus_per_node": wanted().gpus or 0}
    limit = {f"{chosen()}_max_num_timeout": 10**6}  # `Training.checkpoint` ends what does not get on
    executor = submitit.AutoExecutor(folder(), cluster=chosen(), **limit)
    executor.update_parameters(name=runs[0].name if len(runs) == 1 else f"{len(runs)}-trainings", **asked)
    try:
        with clean_env(), contextlib.redirect_stderr(io.StringIO()):  # this process may be in a job itself
            sent = executor.submit_array([Training(run) for run in runs])
    except (FailedJobError, FailedSubmissionError) as error:
        raise RunError(f"Slurm refuses this: {error}") from None
    jobs = [Job(run, job.paths, job if chosen() == "local" else None) for run, job in zip(runs, sent, strict=True)]
    if chosen() == "slurm":
        for job in jobs:
            note(job.run).write_text(job.id)
    given = " ".join(f"{name.removeprefix('slurm_')}={asked[name]}" for name in TOLD if name in asked)
    tell(f"{len(jobs)} job(s) sent to {chosen()}: {given}. {farewell(jobs)}")
    return jobs


def farewell(jobs):
    """Say what Ctrl-C does."""
    if chosen() == "local":
        return "Ctrl-C stops them; they resume when they are asked for again"
    numbers = " ".join(sorted({job.id.partition("_")[0] for job in jobs}))
    return (
        "Ctrl-C leaves the jobs on the cluster: the same command waits for them again. "
        f"To cancel them: scancel {numbers} (what is finished is kept). Logs: {os.path.relpath(folder())}"
    )


def queue():
    """Return the user's jobs that have not ended, number -> state; None where Slurm does not answer."""
    said = ask("squeue", f"--user={getpass.getuser()}", "--array", "--noheader", "--format=%i|%T|%r")
    if said is None:
        return None
    rows = [line.split("|") for line in said.splitlines()]
    return {number: state.lower() + because(reason) * (state == "PENDING") for number, state, reason in rows}


def because(reason):
    """Say why a job is pending."""
    return f" ({reason}{': it may never start; cancel it and ask for less' * (reason in NEVER)})"


def wait(jobs):
    """Wait until all jobs have ended, and tell each change.

    Raises:
        RunError: some failed, with the last lines of each.
    """
    began, waiting, failures = time.monotonic(), jobs, []
    while waiting:
        known = queue() if chosen() == "slurm" else {}
        ended = [job for job in waiting if job.look(known)]
        for job in ended:
            job.forget()
            failures.append(job.failure())
            tell(failures[-1].partition("\n")[0] or f"job {job.id} ({job.run.name}): ended")
        waiting = [job for job in waiting if job not in ended]
        time.sleep(min(15, 1 + (time.monotonic() - began) / 20) if waiting else 0)  # squeue is not asked too often
    if failures := [said for said in failures if said]:
        raise RunError("\n".join(failures))


def tell(line):
    print(line, file=sys.stderr, flush=True)
