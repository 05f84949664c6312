"""Literal settings: the systems of the student reports and the kit's own, and how long each profile trains.

A preset names a model builder and everything its training needs; `quick` inside it holds what the quick profile
changes for this preset alone. A letter is a student report, `-dnn` its fully connected counterpart. Where a report
does not say a setting, a usual one stands here. Networks of one's own (`own`) have their settings elsewhere.
"""

from fer_utils import own

PRESETS = {
    # A (2017 Fall): three conv blocks; shift, rotation and noise; early stopping, and the whole repeated in a loop. How
    # strong its dropout was its report does not say: chosen on validation, with the falling rate and rounds of 15, none
    # of which stops early: the rate has to fall to its end, and the best weights are kept in any case.
    "A": {
        "model": "cnn_a",
        "model_settings": {"dropout": 0.125},
        "normalisation": "scale",
        "augmentation": {"shift": 0.1, "rotation": 35.0, "noise": 0.05},
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "schedule": "triangle",
        "batch": 75,
        "epochs": 15,
        "rounds": 3,
        "patience": 15,
        "quick": {  # a few hundred steps: weaker augmentation (B, C, fast: dropout), or nothing is learned
            "epochs": 4,
            "rounds": 1,
            "batch": 32,
            "learning_rate": 5e-4,
            "augmentation": {"shift": 0.05, "rotation": 10.0, "noise": 0.02},
        },
        "smoke": {"rounds": 1},
    },
    "A-dnn": {
        "model": "dnn_a",
        "normalisation": "scale",
        "augmentation": {"shift": 0.1, "rotation": 35.0, "noise": 0.05},
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "batch": 75,
        "epochs": 20,
        "keep": "last",  # its report stopped nothing early
        "quick": {  # as for A; a DNN's epoch is cheap, and its first five or so teach it nothing
            "epochs": 15,
            "batch": 32,
            "learning_rate": 5e-4,
            "augmentation": {"shift": 0.05, "rotation": 10.0, "noise": 0.02},
        },
    },
    # B (2017 Fall): wide and slow; rare classes resampled; flip, crop and rotation; early stopping.
    "B": {
        "model": "cnn_b",
        "normalisation": "scale",
        "augmentation": {"flip": True, "crop": 0.15, "rotation": 15.0},
        "imbalance": "resample",
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "batch": 128,
        "epochs": 60,
        "patience": 12,
        "quick": {"epochs": 3, "batch": 32, "learning_rate": 5e-4, "model_settings": {"dropout": 0.1}},
    },
    "B-dnn": {
        "model": "dnn_b",
        "normalisation": "scale",
        "augmentation": {"flip": True, "crop": 0.15, "rotation": 15.0},
        "imbalance": "resample",
        "optimizer": "adam",
        "learning_rate": 1e-4,
        "batch": 128,
        "epochs": 30,
        "patience": 12,
        "quick": {  # as for A; with resampled classes it takes longer to pass the most frequent one's share
            "epochs": 12,
            "batch": 64,
            "learning_rate": 2e-4,
            "augmentation": {"flip": True, "crop": 0.05, "rotation": 5.0},
        },
    },
    # C (2019 Fall): seven convs, one of an ensemble's members.
    "C": {
        "model": "cnn_c",
        "normalisation": "scale",
        "augmentation": {"flip": True, "shift": 0.1},  # its report does not say which; chosen on validation
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "schedule": "triangle",
        "batch": 128,
        "epochs": 45,
        "quick": {  # as for A
            "epochs": 5,
            "batch": 32,
            "learning_rate": 5e-4,
            "model_settings": {"dropout": 0.2},
            "augmentation": {"flip": True, "shift": 0.05, "rotation": 10.0},
        },
    },
    # D (2017 Fall): Adadelta for 100 "epochs" of 400 batches of 32: 44.6 sweeps over the training images. "Steps" are
    # those of a generator, but what it did to images is not stated: flips and shifts, and the rate's fall in 30 sweeps,
    # none of which may be left out by early stopping, were chosen on validation. They need thousands of steps (quick).
    "D": {
        "model": "cnn_d",
        "normalisation": "scale",
        "augmentation": {"flip": True, "shift": 0.1},
        "optimizer": "adadelta",
        "learning_rate": 0.1,
        "schedule": "triangle",
        "batch": 32,
        "epochs": 30,
        "patience": 30,
        "quick": {"epochs": 2, "patience": None, "augmentation": {}, "schedule": "constant"},
    },
    "D-dnn": {
        "model": "dnn_d",
        "normalisation": "scale",
        "augmentation": {},
        "optimizer": "adadelta",
        "learning_rate": 0.1,
        "batch": 32,
        "epochs": 45,
        "quick": {"epochs": 15},
    },
    # E (2019 Spring): two convs a block, l1_l2 on every kernel, rotation by up to 10π degrees and mirroring.
    "E": {
        "model": "cnn_e",
        "normalisation": "scale",
        "augmentation": {"rotation": 31.4, "flip": True},
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "batch": 128,
        "epochs": 50,
        "quick": {"epochs": 5, "batch": 32},
    },
    "E-dnn": {
        "model": "dnn_e",
        "normalisation": "zscore",  # its report says only that it normalised; chosen on validation
        "augmentation": {"rotation": 31.4, "flip": True},
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "batch": 128,
        "epochs": 50,
        "quick": {"epochs": 15, "batch": 32, "augmentation": {"rotation": 10.0, "flip": True}},
    },
    # The kit's own small network, for studies of many trainings.
    "small": {
        "model": "cnn_small",
        "normalisation": "scale",
        "augmentation": {"shift": 0.1, "rotation": 10.0, "flip": True},
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "batch": 64,
        "epochs": 30,
        "quick": {"epochs": 8},
    },
    # The best accuracy for the time on two cores (bench/fast.md tells what was tried).
    "fast": {
        "model": "cnn_fast",
        "normalisation": "zscore",
        "augmentation": {"flip": True, "shift": 0.1, "rotation": 12.0, "zoom": 0.15, "cutout": 12},
        "optimizer": "adamw",
        "learning_rate": 3e-3,
        "weight_decay": 0.03,
        "schedule": "triangle",
        "label_smoothing": 0.1,
        "tta": "flip",
        "keep": "last",
        "batch": 128,
        "epochs": 45,
        "sizes": [24, 36, 48],
        "quick": {  # as for A
            "epochs": 6,
            "batch": 32,
            "sizes": [],
            "model_settings": {"dropout": 0.2},
            "augmentation": {"flip": True, "shift": 0.08, "rotation": 10.0, "zoom": 0.1},
        },
        "smoke": {"sizes": []},
    },
    # The first of two trainings of the most accurate network, without its votes: `make reproduce R=large` does both.
    "large": {
        "model": "cnn_large",
        "normalisation": "zscore",
        "augmentation": {"flip": True, "shift": 0.1, "rotation": 10.0, "zoom": 0.1},
        "optimizer": "adamw",
        "learning_rate": 2e-3,
        "weight_decay": 0.05,
        "schedule": "triangle",
        "tta": "flip+shift",
        "keep": "last",
        "batch": 128,
        "epochs": 20,
        "sizes": [24, 36, 48],
        "quick": {"epochs": 6, "batch": 32, "sizes": []},
        "smoke": {"sizes": []},
    },
    # 96,882 parameters, distilled from a larger network.
    "tiny": {
        "model": "cnn_fast",
        "model_settings": {"widths": [32, 32, 32, 40], "dropout": 0.0},
        "normalisation": "zscore",
        "augmentation": {"flip": True, "shift": 0.08, "rotation": 10.0, "zoom": 0.1},
        "optimizer": "adamw",
        "learning_rate": 4e-3,
        "weight_decay": 0.005,
        "schedule": "triangle",
        "teachers": [{"preset": "fast"}],
        "tta": "flip",
        "keep": "last",
        "batch": 128,
        "epochs": 40,
        "sizes": [24, 36, 48],
        "quick": {"epochs": 6, "batch": 32, "sizes": []},
        "smoke": {"sizes": []},
    },
}

OWN = ("mine (notebooks/mine.py)", "file:my.keras")  # what else may be named

# What a profile changes in every preset. `limit`: number of training images, None for all.
PROFILES = {
    "smoke": {"limit": 210, "epochs": 1},  # seconds: for tests
    "quick": {"limit": 4000},  # minutes on two cores: the default
    "full": {"limit": None},  # the reports' own epochs
}

KIT = ("large", "fast", "tiny")  # the presets of no report, made for accuracy at little compute, that are recorded


def settings(preset, profile):
    """Return all settings of a training: the preset's, then the profile's, then the preset's own for that profile.

    Raises:
        ValueError: for an unknown preset or profile; the message lists the known ones.
    """
    own_network = own.kind(preset) != ""
    for name, known in ((preset, [preset] if own_network else [*PRESETS, *OWN]), (profile, PROFILES)):
        if name not in known:
            raise ValueError(f"{name!r} is not one of: {', '.join(known)}")
    chosen = own.settings(preset) if own_network else PRESETS[preset]
    merged = {name: value for name, value in chosen.items() if name not in PROFILES}
    return merged | PROFILES[profile] | chosen.get(profile, {})
