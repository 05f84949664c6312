"""Literal settings: the systems of the student reports and the kit's own, and how long each profile trains.

A preset names a model builder and everything its training needs; `quick` inside it holds what the quick profile
changes for this preset alone. A letter is a student report, `-dnn` its fully connected counterpart.
"""

PRESETS = {
    # A (2017 Fall): three conv blocks, shift, rotation and noise, early stopping on validation.
    "A": {
        "model": "cnn_a",
        "normalisation": "scale",
        "augmentation": {"shift": 0.1, "rotation": 35.0, "noise": 0.05},
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "batch": 75,
        "passes": 20,
        "patience": 8,
        "quick": {  # a few hundred steps: weaker dropout and augmentation, or nothing is learned yet
            "passes": 4,
            "batch": 32,
            "learning_rate": 5e-4,
            "model_settings": {"dropout": 0.1},
            "augmentation": {"shift": 0.05, "rotation": 10.0, "noise": 0.02},
        },
    },
    "A-dnn": {
        "model": "dnn_a",
        "normalisation": "scale",
        "augmentation": {"shift": 0.1, "rotation": 35.0, "noise": 0.05},
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "batch": 75,
        "passes": 20,
        "keep": "last",  # its report stopped nothing early
        "quick": {"passes": 4, "batch": 32},
    },
    # E (2019 Spring): two convs a block, l1_l2 on every kernel, rotation by up to 10π degrees and mirroring.
    "E": {
        "model": "cnn_e",
        "normalisation": "scale",
        "augmentation": {"rotation": 31.4, "flip": True},
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "batch": 128,
        "passes": 50,
        "quick": {"passes": 5},
    },
    "E-dnn": {
        "model": "dnn_e",
        "normalisation": "scale",
        "augmentation": {"rotation": 31.4, "flip": True},
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "batch": 128,
        "passes": 50,
        "quick": {"passes": 5},
    },
    # The kit's own small net: many trainings in little time.
    "small": {
        "model": "cnn_small",
        "normalisation": "scale",
        "augmentation": {"shift": 0.1, "rotation": 10.0, "flip": True},
        "optimizer": "adam",
        "learning_rate": 2e-3,
        "batch": 64,
        "passes": 30,
        "quick": {"passes": 8},
    },
}

# What a profile changes in every preset. `limit`: how many training pictures are used, None for all of them.
PROFILES = {
    "smoke": {"limit": 210, "passes": 1},  # seconds: for tests
    "quick": {"limit": 4000},  # minutes on two cores: the default
    "full": {"limit": None},  # the reports' own passes
}


def settings(preset, profile):
    """Everything a training needs, from the preset, then the profile, then what the preset says for that profile.

    Raises:
        ValueError: for an unknown preset or profile; the message lists the known ones.
    """
    for word, table in ((preset, PRESETS), (profile, PROFILES)):
        if word not in table:
            raise ValueError(f"{word!r} is not one of: {', '.join(table)}")
    merged = {name: value for name, value in PRESETS[preset].items() if name not in PROFILES}
    return merged | PROFILES[profile] | PRESETS[preset].get(profile, {})
