"""How fast are the explanations? Each method, and gradient ascent, beside tf-keras-vis in the same run.

Run from the root of the kit:  python -m bench.explain [images] [steps]
Both sides get the same network (untrained, in the precision that trainings have on this processor), images, copies,
steps, penalties and transformations; they take turns, and the table has their medians. Processor time counts all
cores, so its ratio holds on a busy machine too. An ascent's time includes building its graph, since every call pays it.
Below an ascent stand its operations a second, those of the layers up to the filters, forward and back to the image,
beside the GEMM peak (`bench.training`); the rest goes into transforming the images and into the graph.
Memory is by how much the use of a process of its own rose at most. tf-keras-vis is no dependency of the kit:

    python -m pip install --target build/tf-keras-vis --no-deps tf-keras-vis==0.8.7 deprecated imageio
    PYTHONPATH=build/tf-keras-vis python -m bench.explain
"""

import importlib.util
import os
import subprocess
import sys
import time
import warnings
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from bench.training import gemm_peak
from fer_utils import faces, machine, models, training
from fer_utils.explain import maximize, saliency

REPEATS, UNITS = 5, 32
ASCENTS = {"small": "conv2d_3", "A, first conv": "conv2d_1", "A, last conv": "conv2d_3"}
BUILDERS = {"small": "cnn_small", "A": "cnn_a"}
INSTALLED = importlib.util.find_spec("tf_keras_vis") is not None
warnings.filterwarnings("ignore", module="keras|tf_keras_vis")


def network(name, precision="auto"):
    """One of BUILDERS with random logits: those of a new network are 0, and so would every gradient be."""
    keras.utils.set_random_seed(0)
    with training.precision({"model": BUILDERS[name], "model_settings": {}, "precision": precision}):
        model = models.build(BUILDERS[name])
    logits = model.get_layer("logits")
    logits.kernel.assign(np.random.default_rng(0).normal(0, 0.05, logits.kernel.shape))
    return model


def jobs(count, steps):
    """Dict of name -> (maps a call, our function, theirs or None); the functions take nothing and return maps."""
    drawn = faces.draw(n=count, seed=0)
    images, classes = drawn.images.astype(np.float32), drawn.labels
    fast, exact, found = network("A"), network("A", "float32"), {}
    for name, method in saliency.METHODS.items():
        model = exact if name == "Grad-CAM++" else fast  # the library's Grad-CAM++ fails on bfloat16
        theirs = their_method(name, model, images, classes) if INSTALLED else None
        found[name] = count, partial(method, model, images, classes), theirs
    for name, layer in ASCENTS.items():
        model = network(name.split(",")[0])
        ours = partial(our_ascent, model, layer, steps)
        found[f"ascent: {name}"] = UNITS, ours, partial(their_ascent, model, layer, steps) if INSTALLED else None
    return found


def our_ascent(model, layer, steps):
    return maximize.maximize(model, layer, range(UNITS), steps=steps).images


# -- the library's equivalents -----------------------------------------------------------------------------------------


def their_method(name, model, images, classes):
    """The library's function for one of saliency.METHODS, with our settings; None where it has none."""
    from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
    from tf_keras_vis.saliency import Saliency
    from tf_keras_vis.utils.model_modifiers import GuidedBackpropagation
    from tf_keras_vis.utils.scores import CategoricalScore

    up_to_logits = keras.Model(model.inputs, model.get_layer("logits").output)
    score, gradients = CategoricalScore(classes.tolist()), Saliency(up_to_logits, clone=False)
    plain = {"gradient_modifier": None, "normalize_map": False}
    if name == "gradient":
        return partial(gradients, score, images, **plain)
    if name == "SmoothGrad":
        return partial(gradients, score, images, smooth_samples=50, smooth_noise=0.15, **plain)
    if name == "guided backprop":
        return partial(Saliency(up_to_logits, GuidedBackpropagation()), score, images, **plain)
    if name == "Grad-CAM++":
        layer = saliency.find_layer(model)
        return partial(GradcamPlusPlus(up_to_logits), score, images, penultimate_layer=layer, normalize_cam=False)
    return None


def their_ascent(model, layer, steps):
    """All filters in one batch, with what the library has: a roll instead of a shift, no sigmoid."""
    from tf_keras_vis.activation_maximization import ActivationMaximization
    from tf_keras_vis.activation_maximization.input_modifiers import Jitter, Rotate2D, Scale
    from tf_keras_vis.activation_maximization.regularizers import Norm, TotalVariation2D
    from tf_keras_vis.utils.model_modifiers import ExtractIntermediateLayer
    from tf_keras_vis.utils.scores import CategoricalScore

    ascent = ActivationMaximization(model, ExtractIntermediateLayer(layer), clone=False)
    grey = np.random.default_rng(0).uniform(100, 155, (UNITS, 48, 48, 1)).astype(np.float32)
    found = ascent(
        CategoricalScore(list(range(UNITS))),
        seed_input=grey,
        input_modifiers=[Jitter(4), Rotate2D(10), Scale(0.9, 1.1)],
        regularizers=[TotalVariation2D(0.2), Norm(0.1, p=2)],
        optimizer=keras.optimizers.Adam(0.1 * 255),
        steps=steps,
    )
    return np.asarray(found)[..., 0]


def limit(name, steps, rate, theirs):
    """How near an ascent is to what the processor's matrix products allow, and what ten times the library would be."""
    model = models.build(BUILDERS[name.split(",")[0]])
    part = keras.Model(model.inputs, model.get_layer(ASCENTS[name]).output)
    operations = 2 * steps * models.flops(part) / 1e9  # the gradient of the image costs as much as the forward pass
    peak = gemm_peak(training.best_precision({"model": "cnn_a", "model_settings": {}}))
    share = operations * rate / peak
    return (
        f"{operations * rate:.0f} GFLOP/s, {share:.0%} of the GEMM peak ({peak:.0f}); "
        f"ten times the library would be {10 * theirs * operations / peak:.0%}"
    )


# -- measuring ---------------------------------------------------------------------------------------------------------


def alternate(functions, repeats):
    """Median (seconds, processor seconds) of each function; they take turns, after one warm-up each."""
    spent = {function: [] for function in functions}
    for number in range(repeats + 1):
        for function in functions:
            wall, cpu = time.perf_counter(), time.process_time()
            function()
            if number:
                spent[function].append((time.perf_counter() - wall, time.process_time() - cpu))
    return [np.median(spent[function], axis=0) for function in functions]


def memory(name, side, count):
    """Megabytes by which one call raises the memory use of a process that does nothing else, at its highest."""
    command = [sys.executable, "-m", "bench.explain", str(count), "3", name, side]  # more steps need no more memory
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def rise(function):
    """As above, of this process (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew at what is in use now
    before = _peak()
    function()
    return (_peak() - before) / 1024


def _peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def main(count=16, steps=50, name=None, side=None):
    found = jobs(int(count), int(steps))
    if name:
        print(rise(found[name][1 if side == "ours" else 2]))
        return
    if not INSTALLED:
        print(__doc__[__doc__.index("tf-keras-vis is no") :])
    print(f"{count} images; ascents: {UNITS} filters, {steps} steps, graph included; {machine.name()}")
    print(f"{'':24} {'maps a second':^21} {'times faster':^17} {'memory, MB':^15}  maps")
    print(f"{'':24} {'ours':>10} {'theirs':>10} {'clock':>8} {'cores':>8} {'ours':>7} {'theirs':>7} alike")
    for name, (maps, ours, theirs) in found.items():
        sides = {"ours": ours} | ({"theirs": theirs} if theirs else {})
        spent = alternate(list(sides.values()), REPEATS if "ascent" not in name else 3)
        megabytes = [f"{memory(name, side, count):7.0f}" for side in sides]
        rate = [f"{maps / wall:10.1f}" for wall, _ in spent]
        if not theirs:
            print(f"{name:24} {rate[0]} {'–':>10} {'':8} {'':8} {megabytes[0]}", flush=True)
            continue
        clock, cores = spent[1] / spent[0]
        alike = "" if "ascent" in name else f"{np.corrcoef(np.ravel(ours()), np.ravel(theirs()))[0, 1]:.2f}"
        print(f"{name:24} {rate[0]} {rate[1]} {clock:8.1f} {cores:8.1f} {' '.join(megabytes)} {alike:>5}", flush=True)
        if "ascent" in name:
            rates = (maps / wall for wall, _ in spent)
            print(f"{'':24} {limit(name.removeprefix('ascent: '), int(steps), *rates)}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
