"""Two operations that the kit replaces, each beside its usual form.

Run from the root of the kit:  python -m bench.operations
- The gradient of a convolution's kernel: oneDNN's own, and as one matrix product for each place of the kernel.
  `layers.convolve` uses the second where this table shows it ahead: bfloat16, maps of 6×6 and smaller.
- Batch norm, forward and backward: Keras' own, and `layers.BatchNormalization`.
"""

import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

from fer_utils import layers, machine

SHAPES = [  # images, side, channels in and out
    (128, 24, 32, 64),
    (128, 12, 64, 128),
    (128, 6, 128, 256),
    (128, 6, 512, 512),
    (128, 3, 256, 256),
]


def gradient(convolve):
    @tf.function
    def of(x, kernel, upstream):
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            maps = convolve(x, kernel)
        return tape.gradient(maps, kernel, upstream)

    return of


def best(function, *arguments):
    """Milliseconds of the fastest of ten calls."""
    function(*arguments)
    times = []
    for _ in range(10):
        began = time.perf_counter()
        tf.cast(function(*arguments), tf.float32).numpy()
        times.append(time.perf_counter() - began)
    return 1000 * min(times)


def norm_step(layer):
    @tf.function
    def of(x, upstream):
        with tf.GradientTape() as tape:
            tape.watch(x)
            maps = layer(x, training=True)
        return tape.gradient(maps, x, upstream)

    return of


def norms():
    print("\nbatch norm, forward and backward")
    print(f"{'images, side, channels':26} {'precision':10} {'Keras':>8} {'ours':>9} {'times faster':>13}")
    for images, side, channels in ((128, 48, 32), (128, 24, 80), (128, 12, 128)):
        for precision in ("mixed_bfloat16", "float32"):
            dtype = "bfloat16" if precision == "mixed_bfloat16" else "float32"
            x, upstream = (tf.cast(tf.random.normal((images, side, side, channels)), dtype) for _ in range(2))
            both = keras.layers.BatchNormalization, layers.BatchNormalization
            usual, ours = (best(norm_step(layer(dtype=precision)), x, upstream) for layer in both)
            shape = f"{images}, {side}, {channels}"
            print(f"{shape:26} {dtype:10} {usual:8.1f} {ours:9.1f} {usual / ours:13.2f}", flush=True)


def main():
    print(f"{machine.name()}; milliseconds, best of ten\n\nkernel gradient of a 3×3 convolution")
    print(f"{'images, side, in, out':26} {'precision':10} {'oneDNN':>8} {'products':>9} {'times faster':>13}")
    for images, side, channels, filters in SHAPES:
        for precision in (tf.bfloat16, tf.float32):
            x = tf.cast(tf.random.normal((images, side, side, channels)), precision)
            kernel = tf.cast(tf.random.normal((3, 3, channels, filters)), precision)
            upstream = tf.cast(tf.random.normal((images, side, side, filters)), precision)
            ways = (lambda x, kernel: tf.nn.conv2d(x, kernel, 1, "SAME")), layers._convolve_small
            usual, ours = (best(gradient(way), x, kernel, upstream) for way in ways)
            shape = f"{images}, {side}, {channels}, {filters}"
            print(f"{shape:26} {precision.name:10} {usual:8.1f} {ours:9.1f} {usual / ours:13.2f}", flush=True)
    norms()


if __name__ == "__main__":
    main()
