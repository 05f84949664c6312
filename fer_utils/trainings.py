"""The command for trainings: list them, train in the background, record, train anew what is recorded and compare.

    python -m fer_utils.trainings                                  list the run store, and what is recorded
    python -m fer_utils.trainings --background "preset=B epochs=3" train it in a process of its own
    python -m fer_utils.trainings --fresh "preset=E profile=full"  train it although it is recorded, and compare
    python -m fer_utils.trainings --reproduce [E A-dnn]            the same with all that is recorded, or with these
    python -m fer_utils.trainings --record E "preset=E …"          keep it in fer_utils/recorded/; --weights: these, too
    python -m fer_utils.trainings --results                        the table of README.md

What was stopped resumes, what is finished is only compared; with CLUSTER=slurm the trainings are jobs of a cluster.
"""

import argparse
import os
import subprocess
import sys

from fer_utils import claims, cluster, data, metrics, presets, recorded, runs
from fer_utils.finished import Finished, RunError, epochs_so_far
from fer_utils.own import NetworkError
from fer_utils.settings import SettingsError
from fer_utils.words import duration, number


def show_store():
    """Print the finished runs, the interrupted ones, and those that are recorded."""
    for run in runs.list_finished():
        print(f"{run.info['data']['name']:28} {run}")
    for partial in sorted(runs.store().glob("*.partial")):
        name, epochs = partial.name.removesuffix(".partial"), epochs_so_far(partial)
        print(f"{'interrupted or running':28} {name}: {epochs} epochs so far")
    for run in list_recorded():
        print(f"{run.info['data']['name']:28} {run}; {run.origin}")


def list_recorded():
    """List the trainings that ship with the kit, as Finished."""
    return [Finished(recorded.FOLDER / name) for name in recorded.names()]


def results():
    """Return the table of README.md: what the five reports say and what is recorded, then the kit's own networks."""
    lines = [
        "| system | its report | PublicTest (n = 3,589) | epochs | hours | PFLOP |",
        "|---|---|---|---:|---:|---:|",
    ]
    for preset in [*claims.REPORTED, *presets.KIT]:
        run, said, claim = Finished(recorded.FOLDER / preset), claims.REPORTED.get(preset), "the kit's own"
        if said:
            where = said["split"] or "split not stated"
            claim = f"{said['sign']}{number(said['accuracy'], '.1%')} ({where})" if said["accuracy"] else "–"
        hours = run.info["seconds"] / 3600
        row = [preset, claim, f"{run.accuracy('public')}", f"{run.info['epochs']}", f"{hours:.2f}", f"{run.pflop:.3g}"]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def train_in_background(run, fresh, words):
    """Train a run in a process of its own, with a log beside its folder; one that is there already is only told.

    Args:
        run: runs.Run. fresh: whether it is trained although it is recorded. words: its settings, as they were typed.
    """
    folder = run.folder if run.is_finished() else None if fresh else run.record()
    if folder:
        found = run.read(folder)
        print(f"{found}; {found.origin}" + "; FRESH=1 trains it here" * found.is_recorded)
        return
    run.check()
    log = runs.store() / f"{run.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        command = [sys.executable, "-m", "fer_utils.trainings", *(["--fresh"] if fresh else []), *words]
        process = subprocess.Popen(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL, start_new_session=True)
    print(f"process {process.pid}; follow it with: tail -f {os.path.relpath(log)}, or: make runs, or: make board")


# -- trained anew, and compared ----------------------------------------------------------------------------------------


def known_runs(wanted=()):
    """Return the recorded trainings of the training images at hand.

    Args:
        wanted: names in fer_utils/recorded; empty for all.

    Returns:
        Dict from name to Run or SelfTraining.

    Raises:
        SettingsError: there is none, or none of such a name.
    """
    from fer_utils.studies import selftrain  # imports TensorFlow

    if missing := sorted(set(wanted) - set(recorded.names())):
        raise SettingsError(f"{missing[0]!r} is not recorded; there are: {', '.join(recorded.names()) or 'none'}")
    parts = {}, {"val_share": selftrain.VAL_SHARE}
    here, known = {data.fingerprint(splits=data.TRAINING, **part) for part in parts}, {}
    for name in wanted or recorded.names():
        settings = recorded.info(name)["settings"]
        if settings["data"] in here:
            known[name] = (selftrain.SelfTraining if "arm" in settings else runs.Run)(**settings)
    if not known:
        raise SettingsError("nothing is recorded for these training images: make reproduce DATA=fer2013.csv")
    return known


def agreement(run, record, dataset):
    """Compare a run with its record on the test images.

    Args:
        run, record: Finished, of the same settings. dataset: data.Dataset of both.

    Returns:
        (agrees, line): whether the accuracy is within the 95 % interval of the recorded one, and a line that says so.
    """
    split = dataset.test_split
    truth = dataset.part(split)[1]
    now, then = run.probs(dataset, split), record.probs(dataset, split)
    new, old = metrics.accuracy(truth, now), metrics.accuracy(truth, then)
    *_, p = metrics.mcnemar(truth, now, then)
    agrees = bool(old.low <= new.value <= old.high)
    times = " against ".join(duration(one.info["seconds"]) for one in (run, record))
    line = (
        f"{record.name:24} {split} {number(new.value, '.1%')}, recorded {old}, "
        f"n = {old.n:,}: {'agrees' if agrees else 'DIFFERS'} (McNemar, {metrics.p_equals(p)}); {times}"
    )
    return agrees, line


def reproduce(known):
    """Train these runs anew, print how well each agrees with its record, and return whether all do.

    Args:
        known: dict from the name of a record to its Run or SelfTraining.
    """
    all_agree = True
    if cluster.chosen():
        runs.fit_all(list(known.values()), fresh=True)
    for name, run in known.items():  # here one after the other: each is compared as soon as it is there
        agrees, line = agreement(run.fit(fresh=True), Finished(recorded.FOLDER / name), run.dataset())
        print(line, flush=True)
        all_agree &= agrees
    return all_agree


def main(arguments=None):
    """Return the exit code: 0; or 1 where a result differs, or for what the user can put right, told in a line."""
    parser = argparse.ArgumentParser(prog="python -m fer_utils.trainings", description="List, train or compare runs.")
    parser.add_argument("words", nargs="*", metavar="NAME=VALUE", help="settings, such as preset=B epochs=3")
    parser.add_argument("--background", action="store_true", help="train in a process of its own")
    parser.add_argument("--check", action="store_true", help="only build the network, and say what is wrong with it")
    parser.add_argument("--fresh", action="store_true", help="train although it is recorded, and compare the two")
    parser.add_argument("--reproduce", action="store_true", help="so with all that is recorded; words are names here")
    parser.add_argument("--record", metavar="NAME", help="keep the run in fer_utils/recorded under this name")
    parser.add_argument("--results", action="store_true", help="print the table of README.md")
    parser.add_argument("--weights", action="store_true", help="with --record: its weights, too")
    options = parser.parse_args(arguments)
    try:
        if options.reproduce:
            return 0 if reproduce(known_runs(options.words)) else 1
        if options.results:
            print(results())
            return 0
        if not options.words:
            show_store()
            return 0
        return act(options, runs.run_of(options.words))
    except (SettingsError, data.DataError, RunError, NetworkError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def act(options, run):
    """Do with a Run what the options say; return the exit code."""
    record = run.record()
    if options.check:
        run.check()
    elif options.background:
        train_in_background(run, options.fresh, options.words)
    elif options.fresh and record:
        return 0 if reproduce({record.relative_to(recorded.FOLDER).as_posix(): run}) else 1
    else:
        print(made := run.fit())
        if options.record:
            recorded.write(made, options.record, options.weights)
    return 0


if __name__ == "__main__":
    sys.exit(main())
