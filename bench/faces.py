"""How hard are the drawn faces? A small CNN and a DNN with as many parameters see them for the same few epochs.

Run from the root of the kit:  python -m bench.faces [epochs]
Prints, for each, accuracy on the public split with its Wilson interval, and the rows of the confusion matrix.
"""

import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from keras import layers
from statsmodels.stats.proportion import proportion_confint

from fer_utils import faces
from fer_utils.labels import CLASSES, IMAGE_SHAPE


def cnn():
    """Three blocks of convolution and pooling, then a hidden layer."""
    inputs = keras.Input(IMAGE_SHAPE)
    x = layers.Rescaling(1 / 64, -2)(inputs)
    for filters in (16, 32, 64):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", kernel_initializer="he_normal")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Dropout(0.3)(layers.Flatten()(x))
    x = layers.Dropout(0.3)(layers.Dense(96, activation="relu")(x))
    return keras.Model(inputs, layers.Dense(len(CLASSES))(x), name="cnn")


def dnn():
    """Two hidden layers on the plain pixels."""
    inputs = keras.Input(IMAGE_SHAPE)
    x = layers.Flatten()(layers.Rescaling(1 / 64, -2)(inputs))
    for units in (98, 192):
        x = layers.Dense(units, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(len(CLASSES))(x), name="dnn")


def confusion(labels, predicted):
    """Share of each true class (row) that was called each class (column); (7, 7), rows sum to 1."""
    counts = np.zeros((len(CLASSES), len(CLASSES)))
    np.add.at(counts, (labels, predicted), 1)
    return counts / np.maximum(counts.sum(1, keepdims=True), 1)


def report(model, drawn, epochs):
    """Train one model and print what it reached."""
    keras.utils.set_random_seed(0)
    train, public = drawn.split == "train", drawn.split == "public"
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss)
    start = time.perf_counter()
    model.fit(drawn.images[train], drawn.labels[train], batch_size=64, epochs=epochs, verbose=0)
    seconds = time.perf_counter() - start
    predicted = model.predict(drawn.images[public], verbose=0).argmax(1)
    labels = drawn.labels[public]
    hits, n = int((predicted == labels).sum()), len(labels)
    low, high = proportion_confint(hits, n, method="wilson")
    print(f"\n{model.name}: {model.count_params():,} parameters, {epochs} epochs in {seconds:.0f} s")
    print(f"public accuracy {hits / n:.3f} [{low:.3f}, {high:.3f}], n = {n}")
    print(f"{'true / predicted':>16}", *(f"{name:>8}" for name in CLASSES))
    for name, row in zip(CLASSES, confusion(labels, predicted), strict=True):
        print(f"{name:>16}", *(f"{share:8.2f}" for share in row))


def main(epochs=14):
    start = time.perf_counter()
    drawn = faces.draw()
    print(f"{len(drawn.labels):,} faces drawn in {time.perf_counter() - start:.1f} s")
    for build in (cnn, dnn):
        keras.utils.set_random_seed(0)  # before the weights are drawn
        report(build(), drawn, epochs)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
