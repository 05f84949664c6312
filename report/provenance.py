"""What a report says of its own origin: the trainings behind its numbers, the notebooks, the machine, the versions."""

import math
from collections import Counter, defaultdict

from fer_utils import words

from . import translations

TESTS = ("public", "test", "private", "val")  # an accuracy is that of the first of these splits


def trainings(receipts):
    """The distinct trainings that the questions cited, in the order of the questions.

    Args:
        receipts: list of receipts, as `execute.Task.receipt` returns them.

    Returns:
        List of dicts, each a run.json without its layers, plus `name` and `changed`.
    """
    cited = [record for receipt in receipts for record in receipt.get("cited", [])]
    return list({record["name"]: record for record in cited}.values())


def systems(records, at_most=8):
    """The trainings whose settings are those of a preset, not arms of an experiment: what the cover sums up.

    Returns:
        List of dicts: system, parameters, epochs, accuracy [value, low, high], split, n.
    """
    return [_system(record) for record in records if not record["changed"] and record["scores"]][:at_most]


def _system(record):
    split = next(name for name in TESTS if name in record["scores"])
    score, preset, model = record["scores"][split], record["settings"]["preset"], record["settings"]["model"]
    return {
        "system": f"{preset.removesuffix('-dnn')} · {model.partition('_')[0].upper()}",
        "parameters": f"{record['parameters']:,}",
        "epochs": str(record["epochs"]),
        "accuracy": [round(score[part], 4) for part in ("value", "low", "high")],
        "split": split,
        "n": f"{score['n']:,}",
    }


def caveat(records, known):
    """What holds for all accuracies of a report: list of texts in the language of a Catalog; none without a score.

    That is how wide an interval is at the n of the test split, and how many settings were trained with one seed only.
    """
    sizes = Counter(_test_of(record) for record in records if record["scores"])
    if not sizes:
        return []
    split, n = sizes.most_common(1)[0][0]
    low, high = sorted(100 * half_width(accuracy, n) for accuracy in (0.5, 0.7))
    said = [translations.say(known, "caveat", split=split, n=f"{n:,}", low=f"{low:.1f}", high=f"{high:.1f}")]
    seeds = defaultdict(set)
    for record in records:
        seed, settings = record["settings"]["seed"], {**record["settings"], **record["changed"], "seed": None}
        seeds[repr(sorted(settings.items()))].add(seed)
    single = sum(len(of_settings) == 1 for of_settings in seeds.values())
    if single:
        said.append(translations.say(known, "caveat_seeds", single=f"{single:,}", all=f"{len(seeds):,}"))
    return said


def half_width(share, n):
    """Half the width of Wilson's 95 % interval of a share (0…1) of n images, without the slow imports of `metrics`."""
    z = 1.959964
    return z * math.sqrt(share * (1 - share) / n + (z / n) ** 2 / 4) / (1 + z**2 / n)


def _test_of(record):
    """The split that a training's accuracy is of, and its number of images."""
    split = next(name for name in TESTS if name in record["scores"])
    return split, record["scores"][split]["n"]


def origin(records, receipts, known):
    """Everything on the page of settings and provenance, numbers as a Catalog's language writes them.

    Returns:
        Dict of lists of rows (strings): `trainings` (name, with † if recorded, changed settings, images, parameters,
        epochs, seconds, accuracy on validation), `notebooks` (name, parameters, key, seconds), `machine` (words and
        values); and `recorded`, where and when that was, or "".
    """
    recorded = {f"{record['processor']}, {record['finished'][:10]}": None for record in records if record["recorded"]}
    return {
        "trainings": [_training(record, known) for record in records],
        "recorded": "; ".join(recorded),
        "notebooks": [_notebook(receipt) for receipt in receipts],
        "machine": _machine(records, receipts),
    }


def _training(record, known):
    settings = record["settings"]
    changed = ", ".join(f"{name} = {_plain(value)}" for name, value in record["changed"].items())
    return [
        f"{settings['preset']} · {settings['profile']} · {settings['seed']}" + "†" * bool(record["recorded"]),
        changed,
        f"{record['data']['training_images']:,}",
        f"{record['parameters']:,}",
        str(record["epochs"]),
        f"{record['seconds']:,.0f}",
        known.say(words.number(record["scores"]["val"]["value"], ".1%")) if "val" in record["scores"] else "–",
    ]


def _plain(value):
    """A setting as a reader writes it: `shift 0.1, rotation 35.0`."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(inner)}" for name, inner in value.items()) or "none"
    return str(value)


def _notebook(receipt):
    parameters = ", ".join(f"{name} = {value!r}" for name, value in receipt["parameters"].items() if value is not None)
    return [receipt["notebook"], parameters, receipt["key"], f"{receipt['seconds']:,.0f}"]


def _machine(records, receipts):
    """What trainings and notebooks ran with, each value once."""
    versions = {f"{name} {version}": None for receipt in receipts for name, version in receipt["versions"].items()}
    rows = {
        "processor": {record["processor"]: None for record in records},
        "precision": {record["precision"]: None for record in records},
        "fingerprint": {receipt["data"]: None for receipt in receipts},
        "versions": versions,
    }
    return [[word, ", ".join(values)] for word, values in rows.items() if any(values)]
