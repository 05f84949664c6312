"""The recipe of a training in words: what was chosen, beside what a student report says that it chose."""

from fer_utils import claims
from fer_utils.words import duration, joined, marked, number, words

LABELS = {  # settings in the order of the table
    "limit": words("training images"),
    "normalisation": words("normalisation"),
    "augmentation": words("augmentation"),
    "sizes": words("image sizes"),
    "imbalance": words("class imbalance"),
    "label_smoothing": words("label smoothing"),
    "votes": words("share of people's votes in the targets"),
    "teachers": words("networks that teach"),
    "teacher_weight": words("share of the teachers in the targets"),
    "start": words("initial weights"),
    "penalty": words("penalty on the weights"),
    "optimizer": words("optimizer"),
    "weight_decay": words("weight decay"),
    "learning_rate": words("learning rate"),
    "schedule": words("learning rate schedule"),
    "batch": words("batch size"),
    "epochs": words("epochs"),
    "rounds": words("rounds"),
    "patience": words("early stopping"),
    "keep": words("kept weights"),
    "ema": words("averaging of the weights"),
    "tta": words("views at test time"),
    "precision": words("numeric precision"),
    "seed": words("seed"),
    "profile": words("profile"),
}
SPECIAL = ("sizes", "label_smoothing", "votes", "teachers", "start", "penalty", "weight_decay", "ema", "tta")
HIDDEN = ("rounds", "schedule", "profile", "teacher_weight", "precision")  # told with others, or nowhere
OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "adadelta": "Adadelta", "sgd": "SGD", "rmsprop": "RMSprop"}
CHOICES = {
    "none": words("none"),
    "own": words("by the network itself"),
    "scale": words("grey levels divided by 255"),
    "zscore": words("mean 0, standard deviation 1 over the training images"),
    "image": words("mean 0, standard deviation 1 in each image"),
    "resample": words("rare classes drawn more often"),
    "weight": words("rare classes weigh more in the loss"),
    "constant": words("constant"),
    "triangle": words("rises over the first fifth of the steps, then falls to 0"),
    "best": words("those with the best validation accuracy"),
    "last": words("those of the last epoch"),
    "flip": words("each image and its mirror image"),
    "flip+shift": words("each image, shifted and mirrored"),
}
AMOUNTS = {  # name in words, sign in front of the amount, its format, and its unit
    "shift": (words("shift"), "±", ".0%", ""),
    "rotation": (words("rotation"), "±", "g", "°"),
    "zoom": (words("zoom"), "±", ".0%", ""),
    "shear": (words("shear"), "±", "g", "°"),
    "crop": (words("crop"), "≤ ", ".0%", ""),
    "flip": (words("mirroring"), "", "", ""),
    "noise": (words("noise"), "σ = ", ".0%", ""),
    "cutout": (words("cutout"), "", "g", " px"),
}
COLUMNS = marked("setting", "here", "in its report", "comparison")


def table(run, network):
    """Return the recipe of a finished run, beside that of its report if its preset is a report's.

    Args:
        run: Finished. network: its Keras model, which need not be trained.

    Returns:
        List of dicts with the keys in COLUMNS: texts; the last two keys only with a report, None where it says nothing.
    """
    info, own = run.info, run.info["settings"] | {"penalty": penalty(network)}
    if (own["patience"] or 0) + 1 >= own["epochs"]:  # a round ends before it can be stopped
        own["patience"] = None
    report, stated = claims.REPORTED.get(own["preset"]), claims.STATED.get(own["preset"], {})
    shown = [name for name in LABELS if name in stated or name not in SPECIAL or is_on(own[name])]
    rows = [_row(words("parameters"), f"{info['parameters']:,}", report and f"{report['parameters']:,}")]
    rows.append(_row(words("loss"), words("cross-entropy")))
    rows += [_setting(name, info, own, stated, report) for name in shown if name not in HIDDEN]
    if info["data"]["training_images"]:  # else the weights are those of an earlier training
        place = run.origin if run.is_recorded else info["processor"]
        rows += [_row(words("time"), duration(info["seconds"])), _row(words("machine"), place)]
    return [dict(zip(COLUMNS, row if report else row[:2], strict=False)) for row in rows]


def _setting(name, info, own, stated, report):
    """Return the row of a setting."""
    if name == "epochs":
        return _epochs(info, own, stated, report)
    if name == "limit":
        return _row(LABELS[name], f"{info['data']['training_images']:,}")
    here = said(name, own[name])
    if name == "learning_rate":
        here = words("{rate}, {schedule}", rate=here, schedule=said("schedule", own["schedule"]))
    if name not in stated:
        return _row(LABELS[name], here)
    return _row(LABELS[name], here, said(name, stated[name]), agrees(own[name], stated[name]))


def _row(label, here, stated=None, same=None):
    same = here == stated if same is None else same
    return label, here, stated, None if stated is None else words("the same") if same else words("differs")


def _epochs(info, own, stated, report):
    """Return the row of the epochs: those that were trained, of how many at most, and the best one."""
    known = {"run": info["epochs"], "epochs": own["epochs"], "rounds": own["rounds"], "best": info["best_epoch"]}
    most = words("{rounds} rounds of {epochs}", **known) if own["rounds"] > 1 else words("{epochs} at most", **known)
    here = words("{run} ({most}); {best} was the best", most=most, **known)
    if not report or not report["training"]:
        return _row(LABELS["epochs"], here)
    sweeps, total = report["epochs"], own["epochs"] * own["rounds"]
    as_long = abs(total - sweeps) < 1 if sweeps else own["epochs"] == stated["epochs"] and own["rounds"] > 1
    return _row(LABELS["epochs"], here, report["training"], as_long)


def compared(rows):
    """Say how a recipe, as `table` returns it, compares with its report: a list of one sentence; empty without one."""
    setting, _, of_report, verdict = COLUMNS
    if not any(of_report in row for row in rows):
        return []
    told = [row for row in rows if row.get(of_report)]
    other = [row[setting] for row in told if row[verdict] == "differs"]
    if other:
        return [words("Different from the report: {others}.", others=joined(other))]
    if len(told) == 1:
        return [words("The report states one of these values, and it is the same here.")]
    return [words("The report states {n} of these values, and all of them are the same here.", n=len(told))]


def differing(run, other):
    """Say which settings of a training differ from another's, besides the network itself.

    Args:
        run, other: finished runs, such as those of `matched.train_pair`.

    Returns:
        List of texts, such as ["epochs 15 instead of 4"].
    """
    ours, theirs = run.info["settings"], other.info["settings"]
    names = [name for name in LABELS if name in theirs and ours[name] != theirs[name]]
    return [
        words("{label} {ours} instead of {theirs}", label=LABELS[n], ours=said(n, ours[n]), theirs=said(n, theirs[n]))
        for n in names
    ]


# -- values in words ---------------------------------------------------------------------------------------------------


def said(name, value):
    """Return the value of a setting of `runs.Run` in words; True is one that is stated without its value."""
    if value is True:
        return words("yes, value not stated")
    if name == "optimizer":
        return OPTIMIZERS[value]
    if isinstance(value, str) and value in CHOICES:
        return CHOICES[value]
    if name == "limit":
        return f"{value:,}" if value else words("all")
    if name == "patience" and value:
        return words("after {n} epochs without progress", n=value)
    if name == "augmentation" and value:
        return joined([_amount(name, size) for name, size in value.items() if size] or [CHOICES["none"]])
    if name == "penalty" and value:
        return words("L1 {l1:g}, L2 {l2:g}", l1=value[0], l2=value[1])
    return _plain(value) if value or name == "seed" else CHOICES["none"]


def _amount(name, size):
    """Say one kind of augmentation, such as "rotation ±35°"; True has no amount."""
    label, sign, form, unit = AMOUNTS[name]
    return label if size is True else words("{label} {amount}", label=label, amount=sign + number(size, form) + unit)


def _plain(value):
    if isinstance(value, list):
        return joined([_plain(part) for part in value])
    if isinstance(value, dict):
        return _plain(value["preset"])
    return number(value, "g" if isinstance(value, float) else "," if isinstance(value, int) else "")


def is_on(value):
    """Return whether a setting does anything."""
    return bool(value) and value != "none"


def agrees(ours, stated):
    """Return whether a setting is as a report states it; True stands for any value, also within a dict."""
    if stated is True:
        return is_on(ours)
    if isinstance(stated, dict):
        ours = {name: size for name, size in ours.items() if size}
        return set(ours) == set(stated) and all(agrees(ours[name], size) for name, size in stated.items())
    return ours == stated


def penalty(network):
    """Return (L1, L2), the factors of the penalty on a network's kernels; None without one."""
    found = (getattr(layer, "kernel_regularizer", None) for layer in network.layers)
    factors = [(float(getattr(one, "l1", 0)), float(getattr(one, "l2", 0))) for one in found if one]
    return factors[0] if factors else None


def source(settings):
    """Name the work that an optimizer comes from, in a sentence; None for one without a single origin."""
    name = settings["optimizer"]
    if name == "adam":
        return words("Adam is the optimizer of [Kingma & Ba (2015)](https://arxiv.org/abs/1412.6980).")
    if name == "adadelta":
        return words("Adadelta is the optimizer of [Zeiler (2012)](https://arxiv.org/abs/1212.5701).")
    return None
