"""How much compute does it take to a validation accuracy of .62? The kit's own network in few epochs, beside system B.

Run from the root of the kit, with your FER2013:  FER_DATA=fer2013.csv python -m bench.time_to_accuracy [epochs]
Trains `fast` with fewer filters and weaker augmentation for so many epochs (12: minutes; fewer do not reach .62). B is
its recorded training, where there is one of these images. Both are runs of the store: what is there is not trained
again. Compute is counted (`finished.Finished.pflop`), since processors differ tenfold and other jobs share them.

Draws the validation accuracy after each epoch against the compute so far into build/bench/time-to-accuracy.svg, with
PublicTest as the last mark, and prints when each reached .62, or the highest accuracy that both of them reached.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from fer_utils import data, runs
from fer_utils.claims import HUMAN
from fer_utils.plots import style

GOAL = 0.62
RECIPE = {
    "preset": "fast",
    "profile": "full",
    "model_settings": {"widths": [32, 64, 128, 256], "dropout": 0.2},
    "augmentation": {"flip": True, "shift": 0.08, "rotation": 10.0, "zoom": 0.1},
    "weight_decay": 0.01,
}


@style.applied
def draw(found):
    figure = style.new_figure(3.2)
    axis = figure.subplots()
    axis.axhspan(*HUMAN, color=style.QUIET, alpha=0.15, lw=0)
    style.note(axis, "people", (0, sum(HUMAN) / 2), (4, 0), xycoords=axis.get_yaxis_transform(), va="center")
    for (name, run), color in zip(found.items(), style.NETWORKS, strict=False):
        axis.plot(run.pflop_by_epoch.cumsum(), run.history["val_accuracy"], color=color, label=f"{name}, validation")
        reached = run.accuracy("public").value
        axis.plot(run.pflop, reached, "o", color=color, ms=7, mfc="white", label=f"{name}, PublicTest")
    axis.set(xscale="log", xlabel="compute of the training so far, PFLOP", ylabel="accuracy")
    style.plain_log_ticks(axis.xaxis)
    style.percent(axis.yaxis)
    axis.legend(loc="lower right")
    return figure


def compute_to(level, run):
    """PFLOP after which the validation accuracy was at this level for the first time."""
    return run.pflop_by_epoch.cumsum()[run.history["val_accuracy"] >= level][0]


def main(epochs="12"):
    dataset = data.load()
    wanted = {"fast": runs.Run(**RECIPE, epochs=int(epochs)), "B": runs.Run(preset="B", profile="full")}
    found = {name: run.fit() for name, run in wanted.items()}
    level = min([GOAL, *(run.history["val_accuracy"].max() for run in found.values())])
    print(f"{dataset.name}; validation n = {len(dataset.where('val')):,}, public n = {len(dataset.where('public')):,}")
    spent = {name: compute_to(level, run) for name, run in found.items()}
    for name, run in found.items():
        minutes, scores = run.info["seconds"] / 60, f"val {run.accuracy('val')}, public {run.accuracy('public')}"
        print(f"{name:5} {run.info['epochs']} epochs, {run.pflop:.3f} PFLOP, {minutes:.0f} min; {scores}")
        print(f"{'':5} validation {level:.3f} after {spent[name]:.3f} PFLOP")
    print(f"to validation {level:.3f} B takes {spent['B'] / spent['fast']:.1f} times as much compute as fast")
    path = Path("build/bench/time-to-accuracy.svg")
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(found).savefig(path)
    print(f"{path}; {style.WIDTH:.1f} in wide")


if __name__ == "__main__":
    main(*sys.argv[1:])
