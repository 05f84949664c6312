"""Accuracy on PublicTest against processor time: the preset `fast`, and B in float32.

Run from the root of the kit, with your FER2013:  FER_DATA=fer2013.csv python -m bench.time_to_accuracy [long]
Short: 6 epochs of `fast`, one of B (minutes). Long: both to their ends, B until its validation accuracy has not risen
for 12 epochs (hours). The trainings are runs of the store: what is there already is not trained again. B too has the
kit's faster layers (`bench.training` says by how much): beside plain Keras `fast` is further ahead than shown here.

A curve is the validation accuracy after each epoch; PublicTest is scored once, at the end of a training, and is its
last mark. Draws build/bench/time-to-accuracy.svg, and prints when each reached .62 on
validation, or the highest accuracy that both of them reached.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from matplotlib.ticker import PercentFormatter

from fer_utils import data, runs
from fer_utils.plots import style
from fer_utils.presets import HUMAN

GOAL = 0.62


def trainings(form):
    """Dict of name -> finished run."""
    fast, b = ({"epochs": 6}, {"epochs": 1}) if form == "short" else ({}, {})
    wanted = {
        "fast": runs.Run(preset="fast", profile="full", **fast),
        "B, float32": runs.Run(preset="B", profile="full", precision="float32", **b),
    }
    return {name: run.fit() for name, run in wanted.items()}


@style.applied
def draw(found):
    figure = style.new_figure(3.2)
    axis = figure.subplots()
    axis.axhspan(*HUMAN, color=style.QUIET, alpha=0.15, lw=0)
    place = {"xycoords": ("axes fraction", "data"), "ha": "right", "va": "center", "fontsize": 7}
    axis.annotate("people", (1, sum(HUMAN) / 2), **place)
    for (name, run), color in zip(found.items(), style.NETWORKS, strict=False):
        history, minutes = run.history, run.history["cpu_seconds"].cumsum() / 60
        axis.plot(minutes, history["val_accuracy"], color=color, label=f"{name}, validation")
        splits = [split for split in ("public", "public+tta") if split in run.info["scores"]]
        for split, marker in zip(splits, "o*", strict=False):
            reached = run.info["scores"][split]["value"]
            axis.plot(minutes.iloc[-1], reached, marker, color=color, ms=7, mfc="white", label=f"{name}, {split}")
    style.plain_log_ticks(axis.xaxis)
    axis.set(xscale="log", xlabel="processor time, minutes of all cores together", ylabel="accuracy")
    style.plain_log_ticks(axis.xaxis)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.legend(loc="lower right")
    return figure


def minutes_to(level, run):
    """Processor minutes after which the validation accuracy was at this level for the first time."""
    history = run.history
    return history["cpu_seconds"].cumsum()[history["val_accuracy"] >= level].iloc[0] / 60


def main(form="short"):
    dataset = data.load()
    found = trainings(form)
    level = min([GOAL, *(run.history["val_accuracy"].max() for run in found.values())])
    print(f"{dataset.name}; validation n = {len(dataset.where('val')):,}, public n = {len(dataset.where('public')):,}")
    for name, run in found.items():
        minutes = run.history["cpu_seconds"].sum() / 60
        scores = ", ".join(
            f"{split} {s['value']:.3f} [{s['low']:.3f}, {s['high']:.3f}]" for split, s in run.info["scores"].items()
        )
        clock = run.info["seconds"] / 60
        print(f"{name:18} {len(run.history)} epochs, {clock:.0f} min by the clock, {minutes:.0f} min of all cores;")
        print(f"{'':18} {scores}; validation {level:.3f} after {minutes_to(level, run):.1f} min of all cores")
    ours, plain = (minutes_to(level, run) for run in found.values())
    print(f"to validation {level:.3f} B takes {plain / ours:.1f} times as much processor time as fast")
    path = Path("build/bench/time-to-accuracy.svg")
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(found).savefig(path)
    print(f"{path}; figures as wide as {style.WIDTH} in")


if __name__ == "__main__":
    main(*sys.argv[1:])
