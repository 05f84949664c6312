"""Every formula passes its checks, and every check rejects a formula with a wrong term."""

import math
from functools import partial
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
import sympy
from keras import layers
from lesson import definitions

from fer_utils import models
from fer_utils.studies import derivations

lesson = SimpleNamespace(**definitions("math"))  # the formulas, as the notebook defines them
conv_size, same_padding = lesson.conv_size, lesson.same_padding
check_batch_norm = partial(derivations.check_batch_norm, forward=lesson.batch_norm)
check_softmax = partial(derivations.check_softmax, forward=lesson.softmax_cross_entropy)
COUNTS = {"size": conv_size, "layer": lesson.layer_counts, "batch_norm": lesson.batch_norm_counts}

# -- the size of a convolution's output --------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", ["valid", "same", 1, 2])
@pytest.mark.parametrize("stride", [1, 2, 3])  # also together with a dilation, which Keras rejects
def test_sizes_by_counting_the_positions_of_the_kernel(stride, padding):
    for size in (5, 8, 13, 48):
        for kernel, dilation in ((1, 1), (2, 1), (3, 2), (4, 1), (3, 1)):
            window = (size, kernel, stride, dilation)
            zeros = {"valid": (0, 0), "same": same_padding(*window)}.get(padding, (padding, padding))
            starts = range(-zeros[0], size + zeros[1], stride)
            fitting = [start for start in starts if start + dilation * (kernel - 1) < size + zeros[1]]
            assert conv_size(*window, padding) == len(fitting)
            places = derivations.taps(conv_size, same_padding, *window, padding).places
            assert places[:, 0].tolist() == fitting
            assert (np.diff(places, axis=1) == dilation).all() and places.shape[1] == kernel


def test_sizes_agree_with_keras():
    checked = derivations.check_sizes(conv_size, sizes=(11, 12, 47, 48))
    assert len(checked.drop_duplicates()) >= 90
    assert checked["formula"].tolist() == checked["keras"].tolist()
    assert checked["keras"].nunique() > 10


# name: (padding, a formula that is wrong for it)
WRONG_SIZES = {
    "without + 1": (1, lambda n, k, s, d, p: (n + 2 * p - d * (k - 1) - 1) // s),
    "without − 1": (1, lambda n, k, s, d, p: (n + 2 * p - d * (k - 1)) // s + 1),
    "rounded up": (1, lambda n, k, s, d, p: math.ceil((n + 2 * p - d * (k - 1) - 1) / s) + 1),
    "zeros on one side only": (1, lambda n, k, s, d, p: (n + p - d * (k - 1) - 1) // s + 1),
    "without dilation": (2, lambda n, k, s, d, p: (n + 2 * p - k) // s + 1),
    "dilation times kernel": (2, lambda n, k, s, d, p: (n + 2 * p - d * k) // s + 1),
    "without stride": (2, lambda n, k, s, d, p: n + 2 * p - d * (k - 1)),
    "same, rounded down": ("same", lambda n, k, s, d, p: n // s),
    "same, always the input size": ("same", lambda n, k, s, d, p: n),
}


@pytest.mark.parametrize(("padding", "formula"), WRONG_SIZES.values(), ids=WRONG_SIZES)
def test_a_wrong_size_is_rejected(padding, formula):
    checked = derivations.check_sizes(formula, (12, 15), windows=[(3, 2, 1), (3, 1, 2)], paddings=[padding])
    assert (checked["formula"] != checked["keras"]).any()


def test_same_padding_agrees_with_keras():
    checked = derivations.check_same_padding(same_padding)
    assert checked["equal"].all() and (checked["before"] != checked["after"]).any()


WRONG_ZEROS = {
    "the odd one before": lambda *window: same_padding(*window)[::-1],
    "always those of stride 1": lambda n, k, s, d: same_padding(n, k, 1, d),
    "one too many": lambda *window: (same_padding(*window)[0], same_padding(*window)[1] + 1),
}


@pytest.mark.parametrize("formula", WRONG_ZEROS.values(), ids=WRONG_ZEROS)
def test_wrong_zeros_are_rejected(formula):
    assert not derivations.check_same_padding(formula, sizes=(11, 12), windows=[(3, 2, 1), (4, 1, 1)])["equal"].all()


# -- gradients ---------------------------------------------------------------------------------------------------------


def right(v):
    return lesson.batch_norm_gradients(v)


def test_batch_norm_gradients_pass_every_check():
    checks = check_batch_norm(right)
    assert list(checks.index) == ["beta", "gamma", "x_hat", "var", "mean", "x"]
    assert checks["entries"].tolist() == [3, 3, 9, 3, 3, 9] and (checks["nonzero"] == 0).all()
    assert derivations.agree(checks).all()
    assert checks["keras"].notna().tolist() == [True, True, False, False, False, True]


def direct(v):
    return right(v)["x_hat"] / v.sd


def through_var(v):
    return 2 * right(v)["var"] * (v.x - v.mean) / len(v.x)


def through_mean(v):
    return right(v)["mean"] / len(v.x)


# name: (the gradient that is wrong, the formula)
WRONG_BATCH_NORM = {
    "x: without the direct path": ("x", lambda v: through_var(v) + through_mean(v)),
    "x: without the variance": ("x", lambda v: direct(v) + through_mean(v)),
    "x: without the mean": ("x", lambda v: direct(v) + through_var(v)),
    "x: wrong sign": ("x", lambda v: direct(v) - through_var(v) + through_mean(v)),
    "x: without the 2": ("x", lambda v: direct(v) + through_var(v) / 2 + through_mean(v)),
    "x: m − 1 for m": ("x", lambda v: direct(v) + (through_var(v) + through_mean(v)) * len(v.x) / (len(v.x) - 1)),
    "x in one: without x_hat": ("x", lambda v: v.gamma / v.sd * (v.upstream - right(v)["beta"] / len(v.x))),
    "x_hat: without gamma": ("x_hat", lambda v: v.upstream),
    "var: without the half": ("var", lambda v: 2 * right(v)["var"]),
    "var: wrong power": ("var", lambda v: right(v)["var"] * v.sd),
    "var: without epsilon": ("var", lambda v: right(v)["var"] * v.sd**2 / v.var),
    "mean: wrong sign": ("mean", lambda v: -right(v)["mean"]),
    "mean: not divided by s": ("mean", lambda v: right(v)["mean"] * v.sd),
    "gamma: x for x_hat": ("gamma", lambda v: (v.upstream * v.x).sum(axis=0)),
    "beta: mean for sum": ("beta", lambda v: v.upstream.mean(axis=0)),
}


@pytest.mark.parametrize(("name", "formula"), WRONG_BATCH_NORM.values(), ids=WRONG_BATCH_NORM)
def test_every_check_rejects_a_wrong_term_of_batch_norm(name, formula):
    checks = check_batch_norm(lambda v: {name: formula(v)}, symbolic_size=2)
    assert not derivations.agree(checks).any()
    (row,) = checks.itertuples()
    assert row.nonzero == row.entries
    assert row.tape > 1e-5 and row.differences > 1e-5 and not row.keras <= 1e-5


def test_one_wrong_gradient_among_right_ones_is_found():
    checks = check_batch_norm(lambda v: right(v) | {"mean": 2 * right(v)["mean"]}, symbolic_size=2)
    passed = derivations.agree(checks)
    assert passed.index.tolist() == ["beta", "gamma", "x_hat", "var", "mean", "x"]
    assert passed[~passed].index.tolist() == ["mean"]


def test_exact_sums_of_the_gradient_at_x():
    m = 3
    shapes = {"x": (m, 1), "upstream": (m, 1), "gamma": (1,), "beta": (1,)}
    inputs = {name: derivations.symbols(name, shape, real=True) for name, shape in shapes.items()}
    v = lesson.batch_norm(**inputs, epsilon=sympy.Symbol("epsilon", positive=True), maths=derivations.SYMBOLS)
    gradient = right(v)
    assert sympy.expand(gradient["x"].sum()) == 0
    along = (gradient["x"] * v.x_hat).sum() - (v.epsilon * v.gamma / v.sd**3 * gradient["gamma"])[0]
    assert sympy.expand(sympy.numer(sympy.together(along))) == 0


def test_softmax_gradients_pass_every_check():
    cases = check_softmax(lesson.softmax_gradients_by_cases)
    result = check_softmax(lesson.softmax_gradients)
    assert list(cases.index) == ["probs", "logits"] and list(result.index) == ["logits"]
    assert derivations.agree(pd.concat([cases, result])).all()


def by_cases(jacobian):
    return lambda v: {"logits": lesson.softmax_gradients_by_cases(v, jacobian)["logits"]}


WRONG_SOFTMAX = {
    "truth − prediction": lambda v: {"logits": v.truth - v.probs},
    "prediction alone": lambda v: {"logits": v.probs},
    "case i = k alone": by_cases(lambda p: np.diag(p * (1 - p))),
    "case i ≠ k alone": by_cases(lambda p: np.diag(p**2) - np.outer(p, p)),
    "p for p (1 − p)": by_cases(lambda p: np.diag(p + p**2) - np.outer(p, p)),
    "plus in i ≠ k": by_cases(lambda p: np.diag(p - 2 * p**2) + np.outer(p, p)),
    "log of 10": lambda v: {"probs": -v.truth / v.probs / 2},
    "without minus": lambda v: {"probs": v.truth / v.probs},
    "p for 1 / p": lambda v: {"probs": -v.truth * v.probs},
}


@pytest.mark.parametrize("formula", WRONG_SOFTMAX.values(), ids=WRONG_SOFTMAX)
def test_every_check_rejects_a_wrong_term_of_softmax(formula):
    (row,) = check_softmax(formula, symbolic_size=2).itertuples()
    assert row.nonzero > 0 and row.tape > 0.01 and row.differences > 0.01 and not row.keras <= 0.01


@pytest.mark.parametrize(("m", "seed"), [(3, 1), (9, 2), (64, 3)])
def test_gradients_hold_for_other_batches(m, seed):
    inputs = derivations.batch_norm_inputs(m, 2, seed)
    gradients = right(lesson.batch_norm(**inputs))
    tape = derivations.tape_gradients(lesson.batch_norm, inputs, gradients)
    for name, gradient in gradients.items():
        differences = derivations.differences(lesson.batch_norm, inputs, name)
        assert derivations.relative_error(gradient, tape[name]) < 1e-12
        assert derivations.relative_error(gradient, differences) < 1e-7


def test_a_batch_of_two_is_rejected():
    with pytest.raises(ValueError, match="m=2"):
        derivations.batch_norm_inputs(2, 3)


# -- the step of finite differences ------------------------------------------------------------------------------------


def test_slopes_of_known_errors():
    steps = np.logspace(-10, 0, 31)
    assert derivations.slopes(pd.Series(steps**2 + 1e-14 / steps, steps)) == pytest.approx((-1, 2), abs=0.02)


def test_the_error_against_a_wrong_formula_has_a_lower_bound():
    steps, inputs = np.logspace(-8, -2, 7), derivations.batch_norm_inputs(4, 2)
    errors = {}
    for name, change in (("right", 1.0), ("wrong", 1.01)):
        formula = lambda v, change=change: {"x": change * right(v)["x"]}  # noqa: E731
        errors[name] = derivations.sweep_steps(formula, lesson.batch_norm, inputs, "x", steps)
    assert errors["right"]["float64"].min() < 1e-8 < 1e-3 < errors["wrong"]["float64"].min()
    assert (errors["right"]["float32"] >= errors["right"]["float64"]).all()


# -- parameters and operations -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cnn_a", "dnn_a", "cnn_b", "cnn_c", "cnn_e", "dnn_e", "cnn_small"])
def test_counts_agree_with_the_builders(name):
    agrees_with_keras(models.build(name))


def agrees_with_keras(model):
    total = derivations.count(model, **COUNTS)
    assert total["wrong"] == 0 and total["layers"] == len(model.layers)
    assert total["parameters"] == model.count_params() and total["trained"] == models.trainable_parameters(model)
    assert total["flops"] == models.flops(model)
    return total


def odd_network():
    """Build what no builder uses: rectangular kernels, strides, dilation, no bias."""
    return keras.Sequential([
        keras.Input((48, 48, 1)),
        layers.Conv2D(4, (3, 5), strides=2, use_bias=False),
        layers.BatchNormalization(),
        layers.Conv2D(6, 3, dilation_rate=2, padding="same"),
        layers.MaxPooling2D(3, strides=2, padding="same"),
        layers.AveragePooling2D((2, 3)),
        layers.Flatten(),
        layers.Dense(5, use_bias=False),
    ])  # fmt: skip


def test_counts_of_unusual_layers():
    assert agrees_with_keras(odd_network())["extra"] == 2 * 23 * 22 * 4


def changed_layer(change):
    """Return COUNTS with another formula for conv and dense layers."""

    def layer(taps, inputs, outputs, places, bias):
        return change(*lesson.layer_counts(taps, inputs, outputs, places, bias), taps, inputs, outputs)

    return COUNTS | {"layer": layer}


def changed_batch_norm(change):
    return COUNTS | {"batch_norm": lambda channels, places: change(*lesson.batch_norm_counts(channels, places))}


# name: (the total that is wrong, the formulas)
WRONG_COUNTS = {
    "without bias": ("parameters", changed_layer(lambda p, f, taps, inputs, outputs: (p - outputs, f))),
    "over one channel": ("parameters", changed_layer(lambda p, f, taps, inputs, outputs: (p // inputs, f))),
    "a multiply-add as 1": ("flops", changed_layer(lambda p, f, taps, inputs, outputs: (p, f // 2))),
    "with the bias": ("flops", changed_layer(lambda p, f, taps, inputs, outputs: (p, f + outputs))),
    "batch norm with two": ("parameters", changed_batch_norm(lambda p, trained, f: (p // 2, trained, f))),
    "batch norm trains all": ("trained", changed_batch_norm(lambda p, trained, f: (p, p, f))),
    "sizes too small": ("wrong", COUNTS | {"size": lambda *setting: conv_size(*setting) - 1}),
}


@pytest.fixture(scope="module")
def cnn_e():
    return models.build("cnn_e")


@pytest.mark.parametrize(("kind", "formulas"), WRONG_COUNTS.values(), ids=WRONG_COUNTS)
def test_a_wrong_count_is_rejected(cnn_e, kind, formulas):
    right, total = derivations.count(cnn_e, **COUNTS), derivations.count(cnn_e, **formulas)
    assert total[kind] != right[kind]
    assert (total["wrong"] > 0) == (kind != "flops")
