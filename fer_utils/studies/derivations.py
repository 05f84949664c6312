"""The mathematics behind the layers: each formula written once, and checks by answers that are found without it.

A formula is an argument of its check, so a wrong one can be handed in as well, and is reported. The checks are Keras
itself, its automatic derivatives (GradientTape), exact algebra (SymPy) and finite differences.

References:
    Ioffe & Szegedy (2015), Batch normalization: accelerating deep network training.
    Dumoulin & Visin (2016), A guide to convolution arithmetic for deep learning.
"""

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

EPSILON = 1e-3  # what Keras adds to a variance before its root
STEP = 1e-5  # of finite differences: near the cube root of float64's precision, where their error is smallest
TOLERANCES = {"tape": 1e-12, "keras": 1e-12, "differences": 1e-7}  # largest relative error that counts as equal

# -- the size of a convolution's output --------------------------------------------------------------------------------

WINDOWS = ((2, 2, 1), (3, 1, 1), (3, 2, 1), (5, 3, 1), (3, 1, 2), (4, 1, 3))  # kernel, stride, dilation
PADDINGS = ("valid", "same", 1, 2)


class Taps(NamedTuple):
    """Which places of the input each output of a convolution reads, along one axis."""

    places: np.ndarray  # (outputs, kernel) int; below 0 or from `size` on lie the zeros of the padding
    size: int
    before: int  # zeros before the first place
    after: int


def conv_size(size, kernel, stride=1, dilation=1, padding="valid"):
    """Number of outputs of a convolution along one axis.

    Args:
        size: number of inputs. kernel, stride, dilation: ints from 1.
        padding: "valid" (none), "same" (so many zeros that stride 1 keeps the size) or an int: zeros on either side.

    >>> conv_size(48, kernel=5, stride=2, padding=2)
    24
    """
    if padding == "same":
        return math.ceil(size / stride)
    zeros = 0 if padding == "valid" else 2 * padding
    reach = dilation * (kernel - 1) + 1
    return (size + zeros - reach) // stride + 1


def same_padding(size, kernel, stride=1, dilation=1):
    """Zeros that "same" adds (before, after); an odd one goes to the end.

    >>> same_padding(48, kernel=3, stride=2)
    (0, 1)
    """
    reach = dilation * (kernel - 1) + 1
    total = max((math.ceil(size / stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def taps(size, kernel, stride=1, dilation=1, padding="valid"):
    """The places that each output reads: Taps. Arguments as of `conv_size`."""
    fixed = 0 if padding == "valid" else padding
    before, after = same_padding(size, kernel, stride, dilation) if padding == "same" else (fixed, fixed)
    first = stride * np.arange(conv_size(size, kernel, stride, dilation, padding)) - before
    return Taps(first[:, None] + dilation * np.arange(kernel), size, before, after)


def check_sizes(formula=conv_size, sizes=(11, 12, 24, 47, 48), windows=WINDOWS, paddings=PADDINGS):
    """A formula for the output size against convolutions that Keras really computes.

    Args:
        formula: called as `conv_size`.
        sizes: ints. windows: (kernel, stride, dilation) of each; Keras refuses stride and dilation both above 1.
        paddings: "valid", "same" or ints.

    Returns:
        DataFrame, a row a setting: kernel, stride, dilation, padding, size, formula, keras.
    """
    settings = [(*window, padding, size) for window in windows for padding in paddings for size in sizes]
    rows = [
        (k, s, d, padding, size, formula(size, k, s, d, padding), _convolve(size, k, s, d, padding).shape[1])
        for k, s, d, padding, size in settings
    ]
    return pd.DataFrame(rows, columns=["kernel", "stride", "dilation", "padding", "size", "formula", "keras"])


def check_same_padding(formula=same_padding, sizes=(11, 12, 24, 47, 48), windows=WINDOWS):
    """Does a convolution with these zeros around the picture give the same numbers as padding "same"?

    Args:
        formula: called as `same_padding`. sizes, windows: as of `check_sizes`.

    Returns:
        DataFrame, a row a setting: kernel, stride, dilation, size, before, after, equal (bool).
    """
    rows = []
    for kernel, stride, dilation in windows:
        for size in sizes:
            zeros = formula(size, kernel, stride, dilation)
            ours, keras_s = (_convolve(size, kernel, stride, dilation, padding) for padding in (zeros, "same"))
            equal = ours.shape == keras_s.shape and np.allclose(ours, keras_s, atol=1e-5)
            rows.append((kernel, stride, dilation, size, *zeros, equal))
    return pd.DataFrame(rows, columns=["kernel", "stride", "dilation", "size", "before", "after", "equal"])


def _convolve(size, kernel, stride, dilation, padding):
    """Keras' convolution of a fixed square picture; a padding in numbers (int, or before and after) is laid around."""
    picture = np.random.default_rng(0).normal(size=(1, size, size, 1)).astype(np.float32)
    if padding not in ("valid", "same"):
        zeros = padding if isinstance(padding, int) else (padding, padding)
        picture, padding = layers.ZeroPadding2D(zeros)(picture), "valid"
    return ops.convert_to_numpy(_conv_layer(kernel, stride, dilation, padding)(picture))


@lru_cache
def _conv_layer(kernel, stride, dilation, padding):
    """Built once for all sizes. Its weights differ from place to place, so that zeros on the wrong side are noticed."""
    weights = keras.initializers.RandomNormal(seed=0)
    return layers.Conv2D(1, kernel, stride, padding, dilation_rate=dilation, kernel_initializer=weights)


def beside(ours, theirs):
    """Two Series of whole numbers as one of texts: "24" where they agree, "24 ≠ 25" where not."""
    numbers = ours.map("{:,}".format)
    return numbers.where(ours == theirs, numbers + " ≠ " + theirs.map("{:,}".format))


# -- two layers, forwards and backwards --------------------------------------------------------------------------------
#
# A forward pass takes its inputs and the library that does the `maths`: np for numbers, keras.ops for tensors, SYMBOLS
# for algebra. It returns all its values, `loss` among them. An inner value may be given instead of being computed, and
# then be varied: so its own derivative is found.

SYMBOLS = SimpleNamespace(
    sum=np.sum,
    mean=np.mean,
    sqrt=np.frompyfunc(sympy.sqrt, 1, 1),
    exp=np.frompyfunc(sympy.exp, 1, 1),
    log=np.frompyfunc(sympy.log, 1, 1),
)


def batch_norm(x, gamma, beta, upstream, epsilon=EPSILON, maths=np, **given):
    """Batch normalisation of the training, and the loss sum(upstream * y): its gradient at y is then `upstream`.

    Args:
        x, upstream: (m, channels). gamma, beta: (channels,). epsilon: positive number.
        maths: np, keras.ops or SYMBOLS.
        given: mean, var or x_hat, to be taken as they are.

    Returns:
        Namespace with all inputs and mean, var, sd (channels,), x_hat, y (m, channels) and loss.
    """
    mean = given.get("mean", maths.mean(x, axis=0))
    var = given.get("var", maths.mean((x - mean) ** 2, axis=0))
    sd = maths.sqrt(var + epsilon)
    x_hat = given.get("x_hat", (x - mean) / sd)
    y = gamma * x_hat + beta
    inputs = {"x": x, "gamma": gamma, "beta": beta, "upstream": upstream, "epsilon": epsilon}
    return SimpleNamespace(**inputs, mean=mean, var=var, sd=sd, x_hat=x_hat, y=y, loss=maths.sum(upstream * y))


def batch_norm_gradients(v):
    """Gradients of the loss at every value of batch normalisation, from the last to the first.

    Args:
        v: what `batch_norm` returns.

    Returns:
        Dict of name -> gradient, shaped as the value of that name.
    """
    m, centred = len(v.x), v.x - v.mean
    d_x_hat = v.gamma * v.upstream
    d_var = -(d_x_hat * centred).sum(axis=0) / (2 * v.sd**3)
    d_mean = -d_x_hat.sum(axis=0) / v.sd - 2 * d_var * centred.mean(axis=0)
    d_x = d_x_hat / v.sd + 2 * d_var * centred / m + d_mean / m
    d_gamma, d_beta = (v.upstream * v.x_hat).sum(axis=0), v.upstream.sum(axis=0)
    return {"beta": d_beta, "gamma": d_gamma, "x_hat": d_x_hat, "var": d_var, "mean": d_mean, "x": d_x}


def batch_norm_gradient_in_one(v):
    """The gradient at x alone, all steps of `batch_norm_gradients` in one line."""
    d_gamma, d_beta = (v.upstream * v.x_hat).sum(axis=0), v.upstream.sum(axis=0)
    return {"x": v.gamma / v.sd * (v.upstream - d_beta / len(v.x) - v.x_hat * d_gamma / len(v.x))}


def softmax_cross_entropy(logits, truth, maths=np, **given):
    """Softmax of one picture's logits, and the cross-entropy with its true class.

    Args:
        logits: (classes,). truth: (classes,) that sum to 1: 1 for the true class, else 0.
        maths: np, keras.ops or SYMBOLS.
        given: probs, to be taken as they are.

    Returns:
        Namespace with logits, truth, probs (classes,) and loss.
    """
    powers = maths.exp(logits)  # of moderate logits; a library would subtract the largest one first
    probs = given.get("probs", powers / maths.sum(powers))
    return SimpleNamespace(logits=logits, truth=truth, probs=probs, loss=-maths.sum(truth * maths.log(probs)))


def softmax_jacobian(probs):
    """Derivatives of every probability k (row) by every logit i (column): p_k (1 − p_k) where i = k, else −p_k p_i."""
    return np.diag(probs) - np.outer(probs, probs)


def softmax_gradients_by_cases(v, jacobian=softmax_jacobian):
    """Gradients of the cross-entropy at the probabilities, and through both cases of the softmax at the logits."""
    d_probs = -v.truth / v.probs
    return {"probs": d_probs, "logits": d_probs @ jacobian(v.probs)}


def softmax_gradients(v):
    """The gradient at the logits as it is used: prediction minus truth."""
    return {"logits": v.probs - v.truth}


# -- three answers that are found without the formulas -----------------------------------------------------------------


def check_gradients(gradients, forward, keras_forward, inputs, letters):
    """Formulas for gradients against exact algebra, automatic derivatives and finite differences.

    Args:
        gradients: formula; what `forward` returns -> dict of name -> gradient.
        forward: the layer with its loss, as `batch_norm`.
        keras_forward: the same by Keras' own layer.
        inputs: dict of the layer's inputs in numbers (float64). letters: the same in SymPy's symbols.

    Returns:
        DataFrame with a row a gradient: entries, nonzero (how many of them differ from SymPy's derivative; the others
        are exactly equal), and the largest relative errors against the tape through `forward`, the tape through Keras'
        layer (NaN where Keras keeps the value to itself) and central differences with step 1e-5.
    """
    found = gradients(forward(**inputs))
    residuals = symbolic_residuals(gradients, forward, letters)
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
    """Which rows of `check_gradients` pass all their checks: Series of bool."""
    close = [~(checks[kind] > largest) for kind, largest in TOLERANCES.items()]  # NaN: nothing to compare with
    return pd.concat([checks["nonzero"] == 0, *close], axis=1).all(axis=1)


def as_text(checks):
    """The table of `check_gradients` as it is printed: "0 / 9" of SymPy's entries, errors as "2e−16", NaN as "–"."""
    text = checks[list(TOLERANCES)].map("{:.0e}".format).replace({"nan": "–", "0e+00": "0"})
    text = text.apply(lambda column: column.str.replace("-", "−"))
    text.insert(0, "nonzero", checks["nonzero"].astype(str) + " / " + checks["entries"].astype(str))
    return text


def symbolic_residuals(gradients, forward, letters):
    """Formula minus SymPy's derivative, over a common denominator and multiplied out: 0 where they are the same.

    Returns:
        Dict of name -> list of SymPy expressions, one an entry of the gradient.
    """
    values, residuals = forward(**letters, maths=SYMBOLS), {}
    for name, gradient in gradients(values).items():
        value = np.asarray(getattr(values, name))
        free = symbols("free", value.shape)  # stands for the value while the loss is differentiated by it
        loss = forward(**{**letters, name: free}, maths=SYMBOLS).loss
        back = dict(zip(free.flat, value.flat, strict=True))
        derivative = [sympy.diff(loss, symbol).subs(back) for symbol in free.flat]
        residuals[name] = [_multiplied_out(g - d) for g, d in zip(gradient.flat, derivative, strict=True)]
    return residuals


def _multiplied_out(expression):
    return sympy.expand(sympy.numer(sympy.together(expression)))


def symbols(name, shape, **assumptions):
    """An array of SymPy symbols."""
    made = [sympy.Symbol(f"{name}_{number}", **assumptions) for number in range(math.prod(shape))]
    return np.array(made, dtype=object).reshape(shape)


def tape_gradients(forward, inputs, names):
    """Automatic derivatives of the loss at those of the named values that `forward` gives away: dict of arrays."""
    tensors = {name: tf.constant(value) for name, value in inputs.items()}
    with tf.GradientTape() as tape:
        tape.watch(list(tensors.values()))
        values = forward(**tensors, maths=ops)
    sources = {name: getattr(values, name) for name in names if hasattr(values, name)}
    return {name: gradient.numpy() for name, gradient in tape.gradient(values.loss, sources).items()}


def differences(forward, inputs, name, step=STEP):
    """Central differences of the loss at the named value, one entry after the other: array shaped as the value."""
    value = getattr(forward(**inputs), name)
    gradient = np.empty_like(value)
    for place in np.ndindex(value.shape):
        up, down = value.copy(), value.copy()
        up[place] += step
        down[place] -= step
        above, below = (forward(**{**inputs, name: moved}).loss for moved in (up, down))
        gradient[place] = (above - below) / (2 * step)
    return gradient


def relative_error(found, expected):
    """Largest difference of two arrays as a share of the largest entry of the second; NaN where that is None."""
    return math.nan if expected is None else float(np.abs(found - expected).max() / np.abs(expected).max())


def sweep_steps(gradients, forward, inputs, name, steps):
    """How wrong central differences are, for every step and in two precisions.

    Args:
        gradients, forward, inputs: as of `check_gradients`. name: of one value. steps: floats, ascending.

    Returns:
        DataFrame with index `step` and columns float64 and float32: relative errors against the formula in float64.
    """
    truth, errors = gradients(forward(**inputs))[name], {}
    for precision in ("float64", "float32"):
        rounded = {key: np.asarray(value, precision) for key, value in inputs.items()}
        found = [differences(forward, rounded, name, np.dtype(precision).type(step)) for step in steps]
        errors[precision] = [relative_error(f, truth) for f in found]
    return pd.DataFrame(errors, index=pd.Index(steps, name="step"))


def slopes(errors, largest=0.1):
    """Exponents with which an error changes with the step, below and above its best step.

    Args:
        errors: Series over steps, a column of `sweep_steps`. largest: steps above it are left out.

    Returns:
        (below, above): slopes on log-log paper, of the steps at least three times smaller or larger than the best.
    """
    best = errors.idxmin()
    sides = errors[errors.index < best / 3], errors[(errors.index > 3 * best) & (errors.index <= largest)]
    return tuple(float(np.polyfit(np.log(side.index), np.log(side), 1)[0]) for side in sides)


# -- the two layers with numbers and with letters ----------------------------------------------------------------------


def batch_norm_inputs(m, channels, seed=0):
    """Inputs of `batch_norm` in numbers: x, upstream (m, channels), gamma, beta (channels,), epsilon; float64.

    Raises:
        ValueError: for fewer than three examples.
    """
    if m < 3:
        raise ValueError(
            f"m={m}: take 3 or more; two examples become ±1 whatever they are, so hardly any gradient is left"
        )
    rng = np.random.default_rng(seed)
    spread = np.linspace(-3, 3, m)[:, None]  # finite differences are useless where a variance is nearly 0
    x, upstream = rng.permuted(spread + rng.normal(1, 1, (m, channels)), axis=0), rng.normal(size=(m, channels))
    gamma, beta = rng.uniform(0.5, 1.5, channels), rng.normal(size=channels)
    return {"x": x, "gamma": gamma, "beta": beta, "upstream": upstream, "epsilon": np.float64(EPSILON)}


def check_batch_norm(gradients=batch_norm_gradients, m=4, channels=3, letters=3, seed=0):
    """`check_gradients` of batch normalisation.

    Args:
        gradients: formula, as `batch_norm_gradients`.
        m, channels: of the check in numbers (m from 3). letters: batch and channels of the check in algebra.
        seed: int, of the numbers.
    """
    shape = (letters, letters)
    algebra = {name: symbols(name, shape, real=True) for name in ("x", "upstream")}
    algebra |= {name: symbols(name, shape[:1], real=True) for name in ("gamma", "beta")}
    algebra["epsilon"] = sympy.Symbol("epsilon", positive=True)
    return check_gradients(gradients, batch_norm, _keras_batch_norm, batch_norm_inputs(m, channels, seed), algebra)


def _keras_batch_norm(x, gamma, beta, upstream, epsilon, maths):
    layer = layers.BatchNormalization(epsilon=float(epsilon), dtype="float64")
    layer.build(x.shape)
    y, _ = layer.stateless_call([gamma, beta], layer.non_trainable_variables, x, training=True)
    return SimpleNamespace(x=x, gamma=gamma, beta=beta, loss=maths.sum(upstream * y))


def softmax_inputs(classes=7, seed=0):
    """Inputs of `softmax_cross_entropy` in numbers: logits and truth (classes,), float64."""
    rng = np.random.default_rng(seed)
    return {"logits": rng.normal(0, 2, classes), "truth": np.eye(classes)[rng.integers(classes)]}


def check_softmax(gradients=softmax_gradients, classes=7, letters=3, seed=0):
    """`check_gradients` of softmax with cross-entropy; in algebra for every truth that sums to 1. Arguments alike."""
    truth = symbols("truth", (letters,), real=True)
    truth[-1] = 1 - truth[:-1].sum()
    algebra = {"logits": symbols("logits", (letters,), real=True), "truth": truth}
    return check_gradients(
        gradients, softmax_cross_entropy, _keras_cross_entropy, softmax_inputs(classes, seed), algebra
    )


def _keras_cross_entropy(logits, truth, maths):
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, reduction="sum", dtype="float64")
    return SimpleNamespace(logits=logits, loss=loss(truth[None], logits[None]))


# -- parameters and operations -----------------------------------------------------------------------------------------


class Counts(NamedTuple):
    """What a layer costs, from its settings and the shape of its input alone."""

    output: tuple  # shape, without the batch
    parameters: int = 0
    trained: int = 0
    flops: int = 0  # of one picture's forward pass; a multiply-add is 2


def conv_counts(config, shape):
    """Counts of a convolution: a kernel over all input channels, and one bias, for each filter."""
    *sides, channels = shape
    places = _slide(sides, config["kernel_size"], config)
    weights = math.prod(config["kernel_size"]) * channels * config["filters"]
    parameters = weights + config["use_bias"] * config["filters"]
    return Counts((*places, config["filters"]), parameters, parameters, 2 * math.prod(places) * weights)


def dense_counts(config, shape):
    """Counts of a dense layer: a weight for each pair of input and output, and one bias for each output."""
    *places, inputs = shape
    weights = inputs * config["units"]
    parameters = weights + config["use_bias"] * config["units"]
    return Counts((*places, config["units"]), parameters, parameters, 2 * math.prod(places) * weights)


def batch_norm_counts(config, shape):
    """Counts of batch normalisation: gamma and beta are trained, the moving mean and variance are not.

    After the training it is one multiply-add a value: y = a x + b with a = gamma / sd and b = beta − a mean.
    """
    return Counts(shape, 4 * shape[-1], 2 * shape[-1], 2 * math.prod(shape))


def pool_counts(config, shape):
    """Counts of a pooling: its window slides as a kernel does, and has no weights."""
    *sides, channels = shape
    return Counts((*_slide(sides, config["pool_size"], config), channels))


def flatten_counts(config, shape):
    return Counts((math.prod(shape),))


def _slide(sides, window, config):
    """Output height and width of a window that slides over an input."""
    dilation = config.get("dilation_rate", (1, 1))
    steps = zip(sides, window, config["strides"], dilation, strict=True)
    return [conv_size(*along_axis, config["padding"]) for along_axis in steps]


# A layer that is not here changes no shape, has no parameters and hardly costs anything.
FORMULAS = {
    "Conv2D": conv_counts,
    "Dense": dense_counts,
    "BatchNormalization": batch_norm_counts,
    "MaxPooling2D": pool_counts,
    "AveragePooling2D": pool_counts,
    "Flatten": flatten_counts,
}


def check_counts(model, formulas=FORMULAS):
    """Formulas for shapes and parameters against a model, layer by layer.

    Only the layers' settings are read for the formulas; every shape follows from the one before it.

    Args:
        model: flat Keras model whose layers form a chain, input (48, 48, 1).
        formulas: dict of kind of layer -> formula, as FORMULAS.

    Returns:
        DataFrame with index `layer` and columns kind, output, keras_output (tuples), parameters, keras_parameters,
        trained, keras_trained and flops.
    """
    shape, rows = IMAGE_SHAPE, {}
    for layer in model.layers:
        kind = type(layer).__name__
        counts = formulas[kind](layer.get_config(), shape) if kind in formulas else Counts(shape)
        shape = counts.output
        rows[layer.name] = {
            "kind": kind,
            **counts._asdict(),
            "keras_output": tuple(layer.output.shape[1:]),
            "keras_parameters": layer.count_params(),
            "keras_trained": sum(math.prod(weight.shape) for weight in layer.trainable_weights),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("layer")


def total_counts(model, formulas=FORMULAS):
    """`check_counts` of a whole network: dict of numbers.

    Returns:
        layers; shapes (of how many layers it is not Keras'); parameters, keras_parameters; trained, keras_trained;
        flops (of the conv and dense layers); batch_norm_flops.
    """
    counts = check_counts(model, formulas)
    names = ("parameters", "keras_parameters", "trained", "keras_trained")
    flops = counts.groupby("kind")["flops"].sum()
    return {
        "layers": len(counts),
        "shapes": int((counts["output"] != counts["keras_output"]).sum()),
        **{name: int(counts[name].sum()) for name in names},
        "flops": int(flops.drop("BatchNormalization", errors="ignore").sum()),
        "batch_norm_flops": int(flops.get("BatchNormalization", 0)),
    }
