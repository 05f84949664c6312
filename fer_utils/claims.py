"""What others say: the student reports of their networks and trainings, and how well people agree with the labels."""

from fer_utils.words import marked

# How good and how long: accuracy (with "< ": below, "≈ ": about), where it was measured ("Kaggle": the public
# leaderboard; None: not stated), how long the network was trained, and how many sweeps over Training (28,709) that is.
ROUNDS, STEPS, FIFTY = marked("rounds of 20 epochs", "100 epochs of 400 × 32 images", "50 epochs")
_COLUMNS = "parameters", "accuracy", "sign", "split", "training", "epochs"
_CLAIMS = {
    "A": (629_077, 0.65478, "", "Kaggle", ROUNDS, None),
    "A-dnn": (623_422, 0.20, "< ", "validation", None, None),
    "B": (8_019_463, 0.70, "≈ ", "Kaggle", None, None),
    "B-dnn": (13_643_783, 0.30, "≈ ", None, None, None),
    "C": (4_103_495, None, "", None, None, None),
    "D": (13_562_119, 0.6296, "", None, STEPS, 100 * 400 * 32 / 28_709),
    "D-dnn": (1_387_207, 0.2655, "", None, STEPS, 100 * 400 * 32 / 28_709),
    "E": (1_919_975, 0.62217, "", "Kaggle", FIFTY, 50),
    "E-dnn": (2_076_697, 0.36639, "", "Kaggle", FIFTY, 50),
}
REPORTED = {preset: dict(zip(_COLUMNS, claims, strict=True)) for preset, claims in _CLAIMS.items()}

# What the reports say of their trainings; True: named without its value. What is left out they do not say.
_A = {"normalisation": "scale", "augmentation": {"shift": 0.1, "rotation": 35.0, "noise": 0.05}}
_D = {"optimizer": "adadelta", "learning_rate": 0.1, "batch": 32}
_E = {"normalisation": True, "optimizer": "adam", "penalty": (3e-5, 5e-5)}  # L1 and L2 of every kernel
STATED = {
    "A": _A | {"batch": 75, "epochs": 20, "rounds": True, "patience": True},
    "A-dnn": _A | {"patience": None},
    "B": {"augmentation": dict.fromkeys(("flip", "crop", "rotation"), True), "imbalance": "resample", "patience": True},
    "D": _D,
    "D-dnn": _D,
    "E": _E | {"augmentation": {"rotation": 31.4, "flip": True}},
    "E-dnn": _E,
}

# Share of images on which people agree with the labels, low and high: 65 ± 5 %.
# Goodfellow et al. (2013), Challenges in Representation Learning, arXiv:1307.0414.
HUMAN = (0.60, 0.70)
