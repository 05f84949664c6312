"""How fast does each preset train? Images a second beside plain Keras in float32, and the share of the GEMM peak.

Run from the root of the kit:  python -m bench.training [presets …]
Both sides have the same network, images, augmentation, batch and optimiser and take turns. Ours is what `runs.Run`
trains: this processor's precision and `augment.batches`. Plain Keras is float32, with Keras' own layers, those of
augmentation in front of the network, as its guides show it. The peak is a product of two 2048×2048 matrices in the
precision of the run, measured before and after, as other users of the machine may come and go.
"""

import contextlib
import functools
import os
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from fer_utils import augment, faces, layers, machine, models, presets, runs, training
from fer_utils.labels import CLASSES

IMAGES, TURNS, SECONDS = 1024, 3, 4.0


def gemm_peak(precision):
    """Billions of floating-point operations a second, the best of ten products."""
    matrix = tf.cast(tf.random.normal((2048, 2048)), "bfloat16" if "bfloat16" in precision else "float32")
    product, best = tf.function(tf.matmul), 0.0
    for _ in range(10):
        began = time.perf_counter()
        tf.cast(product(matrix, matrix)[0, 0], tf.float32).numpy()
        best = max(best, 2 * 2048**3 / (time.perf_counter() - began) / 1e9)
    return best


def layers_of(settings):
    """The augmentation of a preset as Keras layers."""
    found = [keras.layers.RandomFlip("horizontal")] if settings.get("flip") else []
    if settings.get("rotation"):
        found.append(keras.layers.RandomRotation(settings["rotation"] / 360, fill_mode="nearest"))
    if settings.get("shift"):
        found.append(keras.layers.RandomTranslation(settings["shift"], settings["shift"], fill_mode="nearest"))
    if settings.get("zoom") or settings.get("crop"):
        found.append(keras.layers.RandomZoom(settings.get("zoom") or settings["crop"], fill_mode="nearest"))
    if settings.get("noise"):
        noise = keras.layers.GaussianNoise(settings["noise"])
        found += [keras.layers.Rescaling(1 / 255), noise, keras.layers.Rescaling(255)]
    return found


@contextlib.contextmanager
def keras_own_layers():
    """Within it networks are built from Keras' own layers, where the kit has faster ones of the same mathematics."""
    kits = models.Conv2D, models.BatchNormalization
    models.Conv2D = keras.layers.Conv2D
    models.BatchNormalization = functools.partial(keras.layers.BatchNormalization, momentum=layers.MOMENTUM)
    try:
        yield
    finally:
        models.Conv2D, models.BatchNormalization = kits


class Side:
    """A model and its stream of batches; `rate` trains for some seconds."""

    def __init__(self, model, settings, stream):
        self.batch = settings["batch"]
        model.compile(training.optimizer(settings, steps=1000), "categorical_crossentropy")
        model.make_train_function()
        self.step, self.batches = model.train_function, iter(stream.repeat().prefetch(4))
        for _ in range(3):
            self.step(self.batches)

    def rate(self):
        """Images a second, by the clock and by all cores."""
        done, wall, cpu = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - wall < SECONDS:
            float(self.step(self.batches)["loss"])
            done += self.batch
        return done / (time.perf_counter() - wall), done / (time.process_time() - cpu)


def sides(preset, drawn):
    """(settings, ours, plain Keras)."""
    settings = runs.Run(preset=preset, profile="full").settings()
    images, labels = drawn.images[:IMAGES], drawn.labels[:IMAGES].astype("int64")
    with training.precision(settings):
        stream = augment.batches(
            images,
            tf.one_hot(labels, len(CLASSES)),
            settings["batch"],
            seed=0,
            epochs=1,
            augmentation=settings["augmentation"],
        )
        ours = Side(training.build(settings, images), settings, stream)
    with training.precision(settings | {"precision": "float32"}), keras_own_layers():
        model = training.build(settings, images)
        inputs = x = keras.Input((48, 48, 1))
        for layer in layers_of(settings["augmentation"]):
            x = layer(x)
        pairs = tf.data.Dataset.from_tensor_slices((images.astype("float32"), tf.one_hot(labels, len(CLASSES))))
        stream = pairs.shuffle(IMAGES).batch(settings["batch"])
        plain = Side(keras.Model(inputs, model(x)), settings, stream)
    return settings, ours, plain


def main(*chosen):
    drawn = faces.draw(n=IMAGES, seed=0)
    auto = training.best_precision({"model": "cnn_a", "model_settings": {}})
    print(f"{machine.name()}; {auto}; {IMAGES} drawn faces; median of {TURNS} turns of {SECONDS:.0f} s")
    print(f"{'preset':8} {'images a second':>22} {'times faster':>16} {'GFLOP/s':>8} {'peak':>6} share")
    print(f"{'':8} {'ours':>11} {'plain':>10} {'clock':>8} {'cores':>7}")
    for preset in chosen or presets.PRESETS:
        keras.utils.set_random_seed(0)
        settings, ours, plain = sides(preset, drawn)
        before = gemm_peak(auto)
        turns = [(*ours.rate(), *plain.rate()) for _ in range(TURNS)]
        peak = statistics.median([before, gemm_peak(auto)])
        clock, cores, plain_clock, plain_cores = np.median(turns, axis=0)
        work = 3 * models.flops(training.build(settings, drawn.images)) * clock / 1e9  # backward costs twice forward
        ratios = f"{clock / plain_clock:8.2f} {cores / plain_cores:7.2f}"
        print(
            f"{preset:8} {clock:11.0f} {plain_clock:10.0f} {ratios} {work:8.0f} {peak:6.0f} {work / peak:5.0%}",
            flush=True,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
