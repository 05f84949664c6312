"""Checks of the mathematics of the layers: each takes a formula and compares it with results computed without it.

The formulas are the notebook's (`math`), which shows and derives them. They are compared with Keras, automatic
differentiation (GradientTape), exact algebra (SymPy) and finite differences.

References:
    Ioffe & Szegedy (2015), Batch normalization: accelerating deep network training by reducing internal covariate
    shift, ICML.
    Dumoulin & Visin (2016), A guide to convolution arithmetic for deep learning, arXiv:1603.07285.
"""

import itertools
import math
from functools import lru_cache
from types import SimpleNamespace
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd
import sympy
import tensorflow as tf
from keras import layers, ops

from fer_utils.labels import IMAGE_SHAPE

EPSILON = 1e-3  # default of Keras' BatchNormalization
STEP = 1e-5  # of finite differences: near the cube root of float64's precision, where their error is smallest
TOLERANCES = {"tape": 1e-12, "keras": 1e-12, "differences": 1e-7}  # largest relative error that passes a check

# -- the size of a convolution's output --------------------------------------------------------------------------------

WINDOWS = ((2, 2, 1), (3, 1, 1), (3, 2, 1), (5, 3, 1), (3, 1, 2), (4, 1, 3))  # kernel, stride, dilation
PADDINGS = ("valid", "same", 1, 2)


class Taps(NamedTuple):
    """The input positions that each output of a convolution reads, along one axis."""

    places: np.ndarray  # (outputs, kernel) ints; positions below 0 or from `size` on are padding
    size: int  # number of inputs
    before: int  # zeros of padding before the input
    after: int  # … and after it


def taps(conv_size, same_padding, size, kernel, stride=1, dilation=1, padding="valid"):
    """Return the input positions that each output reads by two formulas, as Taps.

    Args:
        conv_size, same_padding: functions (size, kernel, stride, dilation[, padding]) -> outputs, and (before, after).
        size: number of inputs. kernel, stride, dilation: ints from 1.
        padding: "valid" (none), "same" or an int: number of zeros on either side.
    """
    fixed = 0 if padding == "valid" else padding
    before, after = same_padding(size, kernel, stride, dilation) if padding == "same" else (fixed, fixed)
    first = stride * np.arange(conv_size(size, kernel, stride, dilation, padding)) - before
    return Taps(first[:, None] + dilation * np.arange(kernel), size, before, after)


def check_sizes(formula, sizes=(11, 12, 24, 47, 48), windows=WINDOWS, paddings=PADDINGS):
    """Compare a formula for the output size with convolutions computed by Keras.

    Args:
        formula: function (size, kernel, stride, dilation, padding) -> number of outputs.
        sizes: ints, sides of square images.
        windows: (kernel, stride, dilation) triples; Keras rejects stride and dilation both above 1.
        paddings: "valid", "same" or ints.

    Returns:
        DataFrame, one row per setting: kernel, stride, dilation, padding, size, formula, keras.
    """
    rows = []
    for window, padding, size in itertools.product(windows, paddings, sizes):
        setting = (size, *window, padding)
        rows.append((*window, padding, size, formula(*setting), _convolve(*setting).shape[1]))
    return pd.DataFrame(rows, columns=["kernel", "stride", "dilation", "padding", "size", "formula", "keras"])


def check_same_padding(formula, sizes=(11, 12, 24, 47, 48), windows=WINDOWS):
    """Check that explicit zeros around the image give the same convolution as padding "same".

    Args:
        formula: function (size, kernel, stride, dilation) -> (zeros before, zeros after).
        sizes, windows: as for `check_sizes`.

    Returns:
        DataFrame, one row per setting: kernel, stride, dilation, size, before, after, equal (bool).
    """
    rows = []
    for window, size in itertools.product(windows, sizes):
        zeros = formula(size, *window)
        ours, theirs = (_convolve(size, *window, padding) for padding in (zeros, "same"))
        equal = ours.shape == theirs.shape and np.allclose(ours, theirs, atol=1e-5)
        rows.append((*window, size, *zeros, equal))
    return pd.DataFrame(rows, columns=["kernel", "stride", "dilation", "size", "before", "after", "equal"])


def _convolve(size, kernel, stride, dilation, padding):
    """Convolve a fixed square image by Keras; padding may also be an int or (before, after)."""
    image = np.random.default_rng(0).normal(size=(1, size, size, 1)).astype(np.float32)
    if padding not in ("valid", "same"):
        zeros = padding if isinstance(padding, int) else (padding, padding)
        image, padding = layers.ZeroPadding2D(zeros)(image), "valid"
    return ops.convert_to_numpy(_conv_layer(kernel, stride, dilation, padding)(image))


@lru_cache
def _conv_layer(kernel, stride, dilation, padding):
    """Build a layer once for all sizes; its weights are asymmetric, so zeros on the wrong side change the result."""
    weights = keras.initializers.RandomNormal(seed=0)
    return layers.Conv2D(1, kernel, stride, padding, dilation_rate=dilation, kernel_initializer=weights)


# -- checks of gradients -----------------------------------------------------------------------------------------------
#
# A layer with its loss is a function of its inputs and a math library (`maths`): np for numbers, keras.ops for tensors,
# SYMBOLS for algebra. It returns a namespace of all its values, including `loss`. An intermediate value may be given
# instead of being computed, so that the loss can be differentiated with respect to it.

SYMBOLS = SimpleNamespace(
    sum=np.sum,
    mean=np.mean,
    sqrt=np.frompyfunc(sympy.sqrt, 1, 1),
    exp=np.frompyfunc(sympy.exp, 1, 1),
    log=np.frompyfunc(sympy.log, 1, 1),
)


def check_gradients(gradients, forward, keras_forward, inputs, symbolic_inputs):
    """Compare formulas for gradients with exact algebra, automatic differentiation and finite differences.

    Args:
        gradients: formula, a function of the namespace returned by `forward` -> dict of name -> gradient.
        forward: the layer with its loss.
        keras_forward: the same, with Keras' layer.
        inputs: dict of the layer's inputs as float64 arrays.
        symbolic_inputs: the same as arrays of SymPy symbols.

    Returns:
        DataFrame, one row per gradient: entries; nonzero (how many of them differ from SymPy's derivative); and the
        largest relative errors: tape (GradientTape through `forward`), keras (GradientTape through Keras' layer; NaN
        where the layer does not expose the value) and differences (central ones).
    """
    found = gradients(forward(**inputs))
    residuals = symbolic_residuals(gradients, forward, symbolic_inputs)
    references = {
        "tape": tape_gradients(forward, inputs, found),
        "keras": tape_gradients(keras_forward, inputs, found),
        "differences": {name: differences(forward, inputs, name) for name in found},
    }
    rows = {
        name: {
            "entries": len(residuals[name]),
            "nonzero": sum(residual != 0 for residual in residuals[name]),
            **{kind: relative_error(found[name], by.get(name)) for kind, by in references.items()},
        }
        for name in found
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def agree(checks):
    """Return which rows of `check_gradients` pass all their checks, as a Series of bools."""
    close = [~(checks[kind] > largest) for kind, largest in TOLERANCES.items()]  # NaN (nothing to compare with) passes
    return pd.concat([checks["nonzero"] == 0, *close], axis=1).all(axis=1)


def symbolic_residuals(gradients, forward, inputs):
    """Return the expanded numerators of formula minus SymPy's derivative: 0 where they are equal.

    Args:
        gradients, forward: as for `check_gradients`.
        inputs: dict of arrays of SymPy symbols.

    Returns:
        Dict of name -> list of SymPy expressions, one per entry of the gradient.
    """
    values, residuals = forward(**inputs, maths=SYMBOLS), {}
    for name, gradient in gradients(values).items():
        value = np.asarray(getattr(values, name))
        free = symbols("free", value.shape)  # stands for the value while the loss is differentiated
        loss = forward(**{**inputs, name: free}, maths=SYMBOLS).loss
        back = dict(zip(free.flat, value.flat, strict=True))
        derivative = [sympy.diff(loss, symbol).subs(back) for symbol in free.flat]
        residuals[name] = [_expanded_numerator(g - d) for g, d in zip(gradient.flat, derivative, strict=True)]
    return residuals


def _expanded_numerator(expression):
    return sympy.expand(sympy.numer(sympy.together(expression)))


def symbols(name, shape, **assumptions):
    """Return an array of SymPy symbols; `assumptions` as for `sympy.Symbol`."""
    made = [sympy.Symbol(f"{name}_{number}", **assumptions) for number in range(math.prod(shape))]
    return np.array(made, dtype=object).reshape(shape)


def tape_gradients(forward, inputs, names):
    """Differentiate the loss by those of the named values that `forward` returns, with GradientTape: dict of arrays."""
    tensors = {name: tf.constant(value) for name, value in inputs.items()}
    with tf.GradientTape() as tape:
        tape.watch(list(tensors.values()))
        values = forward(**tensors, maths=ops)
    sources = {name: getattr(values, name) for name in names if hasattr(values, name)}
    return {name: gradient.numpy() for name, gradient in tape.gradient(values.loss, sources).items()}


def differences(forward, inputs, name, step=STEP):
    """Differentiate the loss by the named value with central differences: an array of the value's shape."""
    value = getattr(forward(**inputs), name)
    gradient = np.empty_like(value)
    for index in np.ndindex(value.shape):
        up, down = value.copy(), value.copy()
        up[index] += step
        down[index] -= step
        above, below = (forward(**{**inputs, name: changed}).loss for changed in (up, down))
        gradient[index] = (above - below) / (2 * step)
    return gradient


def relative_error(found, expected):
    """Return the largest difference of two arrays relative to the largest entry of the second; NaN if that is None."""
    return math.nan if expected is None else float(np.abs(found - expected).max() / np.abs(expected).max())


def sweep_steps(gradients, forward, inputs, name, steps):
    """Measure the error of central differences for each step, in two precisions.

    Args:
        gradients, forward, inputs: as for `check_gradients`.
        name: the value at which to differentiate.
        steps: floats, ascending.

    Returns:
        DataFrame, one row per step; columns float64 and float32: relative errors against the formula in float64.
    """
    truth, errors = gradients(forward(**inputs))[name], {}
    for precision in ("float64", "float32"):
        rounded = {key: np.asarray(value, precision) for key, value in inputs.items()}
        found = [differences(forward, rounded, name, np.dtype(precision).type(step)) for step in steps]
        errors[precision] = [relative_error(f, truth) for f in found]
    return pd.DataFrame(errors, index=pd.Index(steps, name="step"))


def slopes(errors, largest=0.1):
    """Fit the exponents with which the error depends on the step, below and above the best step.

    Args:
        errors: Series over steps, a column of `sweep_steps`.
        largest: steps above it are left out.

    Returns:
        (below, above): slopes in log-log scale over the steps at least three times smaller or larger than the best.
    """
    best = errors.idxmin()
    sides = errors[errors.index < best / 3], errors[(errors.index > 3 * best) & (errors.index <= largest)]
    return tuple(float(np.polyfit(np.log(side.index), np.log(side), 1)[0]) for side in sides)


# -- the two layers with numeric and symbolic inputs -------------------------------------------------------------------


def batch_norm_inputs(m, channels, seed=0):
    """Draw float64 inputs of batch normalisation: x, upstream (m, channels), gamma, beta (channels,), epsilon.

    Raises:
        ValueError: for fewer than three examples.
    """
    if m < 3:
        raise ValueError(f"m={m}: take 3 or more; two examples always become ±1, so hardly any gradient is left")
    rng = np.random.default_rng(seed)
    spread = np.linspace(-3, 3, m)[:, None]  # finite differences are inaccurate where the variance is nearly 0
    x, upstream = rng.permuted(spread + rng.normal(1, 1, (m, channels)), axis=0), rng.normal(size=(m, channels))
    gamma, beta = rng.uniform(0.5, 1.5, channels), rng.normal(size=channels)
    return {"x": x, "gamma": gamma, "beta": beta, "upstream": upstream, "epsilon": np.float64(EPSILON)}


def check_batch_norm(gradients, forward, m=4, channels=3, symbolic_size=3, seed=0):
    """Run `check_gradients` on batch normalization.

    Args:
        gradients, forward: as for `check_gradients`.
        m, channels: shape of the numeric batch; m from 3.
        symbolic_size: number of examples and of channels of the symbolic batch.
        seed: int, draws the numbers.
    """
    batch, vector = (symbolic_size, symbolic_size), (symbolic_size,)
    shapes = {"x": batch, "upstream": batch, "gamma": vector, "beta": vector}
    algebra = {name: symbols(name, shape, real=True) for name, shape in shapes.items()}
    algebra["epsilon"] = sympy.Symbol("epsilon", positive=True)
    return check_gradients(gradients, forward, _keras_batch_norm, batch_norm_inputs(m, channels, seed), algebra)


def _keras_batch_norm(x, gamma, beta, upstream, epsilon, maths):
    layer = layers.BatchNormalization(epsilon=float(epsilon), dtype="float64")
    layer.build(x.shape)
    y, _ = layer.stateless_call([gamma, beta], layer.non_trainable_variables, x, training=True)
    return SimpleNamespace(x=x, gamma=gamma, beta=beta, loss=maths.sum(upstream * y))


def softmax_inputs(classes=7, seed=0):
    """Draw float64 inputs of softmax with cross-entropy: logits and truth, (classes,) each."""
    rng = np.random.default_rng(seed)
    return {"logits": rng.normal(0, 2, classes), "truth": np.eye(classes)[rng.integers(classes)]}


def check_softmax(gradients, forward, classes=7, symbolic_size=3, seed=0):
    """Run `check_gradients` on softmax with cross-entropy; the symbolic truth is anything that sums to 1.

    Args:
        gradients, forward: as for `check_gradients`.
        classes, symbolic_size: number of classes of the numeric and of the symbolic check.
        seed: int, draws the numbers.
    """
    truth = symbols("truth", (symbolic_size,), real=True)
    truth[-1] = 1 - truth[:-1].sum()
    algebra = {"logits": symbols("logits", (symbolic_size,), real=True), "truth": truth}
    inputs = softmax_inputs(classes, seed)
    return check_gradients(gradients, forward, _keras_cross_entropy, inputs, algebra)


def _keras_cross_entropy(logits, truth, maths):
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, reduction="sum", dtype="float64")
    return SimpleNamespace(logits=logits, loss=loss(truth[None], logits[None]))


# -- parameters and operations -----------------------------------------------------------------------------------------


def count(model, size, layer, batch_norm):
    """Count a model by formulas, which read only the layers' configs, and compare every layer with Keras'.

    Each input shape is the computed output shape of the previous layer.

    Args:
        model: Keras model whose layers form a chain, input (48, 48, 1).
        size: function (size, kernel, stride, dilation, padding) -> number of outputs along one axis.
        layer: function (taps, inputs, outputs, places, bias) -> (parameters, operations) of a conv or dense layer.
        batch_norm: function (channels, places) -> (parameters, trained parameters, operations).

    Returns:
        Dict of ints: layers; parameters; trained; flops (of the conv and dense layers); wrong (how many shapes, numbers
        of parameters and of trained ones differ from Keras'); extra (operations of batch normalization).
    """
    shape, total = IMAGE_SHAPE, dict.fromkeys(("layers", "parameters", "trained", "flops", "wrong", "extra"), 0)
    for each in model.layers:
        kind, config = type(each).__name__, each.get_config()
        shape, taps, inputs = _moved(kind, config, shape, size)
        places, found = math.prod(shape[:-1]), {"parameters": 0, "trained": 0}
        if taps:
            parameters, found["flops"] = layer(taps, inputs, shape[-1], places, int(config["use_bias"]))
            found["parameters"] = found["trained"] = parameters
        elif kind == "BatchNormalization":
            found["parameters"], found["trained"], found["extra"] = batch_norm(shape[-1], places)
        trained = sum(math.prod(weight.shape) for weight in each.trainable_weights)
        pairs = (shape, each.output.shape[1:]), (found["parameters"], each.count_params()), (found["trained"], trained)
        found |= {"layers": 1, "wrong": sum(ours != theirs for ours, theirs in pairs)}
        total = {name: so_far + found.get(name, 0) for name, so_far in total.items()}
    return total


def _moved(kind, config, shape, size):
    """Return the output shape of a layer, and taps and input channels where it has a kernel (0 taps: it has none)."""
    *sides, channels = shape
    if kind == "Dense":
        return (*sides, config["units"]), 1, channels
    if kind == "Flatten":
        return (math.prod(shape),), 0, channels
    window = config.get("kernel_size" if kind == "Conv2D" else "pool_size")
    if window is None:  # other layers change no shape
        return shape, 0, channels
    axes = zip(sides, window, config["strides"], config.get("dilation_rate", (1, 1)), strict=True)
    places = [size(*axis, config["padding"]) for axis in axes]
    return (*places, config.get("filters", channels)), math.prod(window) * (kind == "Conv2D"), channels
