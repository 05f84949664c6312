"""Your own network: edit it, then `make question Q=cnn PRESET=mine`, or PRESET=mine with anything else."""

import keras
from keras import layers


def model():
    """Grey levels 0 to 255 of an image (48, 48, 1) -> probabilities of the 7 classes."""
    return keras.Sequential(
        [
            keras.Input((48, 48, 1)),
            layers.Rescaling(1 / 255),  # the network normalises by itself
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.BatchNormalization(momentum=0.9),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.BatchNormalization(momentum=0.9),
            layers.MaxPooling2D(),
            layers.Conv2D(128, 3, padding="same", activation="relu"),
            layers.BatchNormalization(momentum=0.9),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.3),
            layers.Dense(7, activation="softmax"),
        ]
    )


# What is left out has a usual value; `quick`, `smoke` and `full` change some for these profiles.
# All settings: the class Run in fer_utils/runs.py.
settings = {
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "batch": 64,
    "epochs": 30,
    "augmentation": {"flip": True, "shift": 0.1, "rotation": 10.0},
    "quick": {"epochs": 8, "batch": 32},
}
