"""The layers of any Keras model in one list: those of nested models in their places, and what each one is fed by."""

from functools import lru_cache
from typing import NamedTuple

import keras
from keras import layers

from fer_utils.labels import CLASSES, IMAGE_SHAPE
from fer_utils.words import words

CONVS = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D, layers.Conv2DTranspose)
GLOBAL_POOLINGS = (layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D)
RELUS = {"relu", "relu6", "leakyrelu", "prelu"}
ACTIVATIONS = RELUS | {"elu", "celu", "selu", "gelu", "silu", "mish", "tanh", "sigmoid", "hardsilu", "softplus"}


class NoAnswer(ValueError):
    """A method has no answer for a network; `text` says why, for `prose.say`."""

    def __init__(self, template, /, **fields):
        self.text = words(template, **fields)
        super().__init__(self.text)


class Step(NamedTuple):
    """One call of a layer."""

    layer: keras.Layer  # the model's own, not a copy (or a Keras operation such as `x + y`)
    before: tuple[str, ...]  # the steps whose outputs it takes
    output: keras.KerasTensor


@lru_cache(maxsize=32)
def steps(model, after=None):
    """List the layers from the images to the probabilities, nested functional and sequential models opened.

    Args:
        model: input (48, 48, 1), any functional or sequential Keras model.
        after: function (layer, output) -> output, applied to every layer's output; None: nothing.

    Returns:
        dict of name -> Step. A nested layer whose name is taken gets a number; the model's own layers keep theirs.
    """
    inputs = [layer.name for layer in model.layers if isinstance(layer, layers.InputLayer)]
    images = layers.InputLayer(IMAGE_SHAPE, name=inputs[0] if inputs else "images")
    found, makers = {images.name: Step(images, (), images.output)}, {id(images.output): images.name}
    own = {layer.name: layer for layer in model.layers}

    def call(layer, *args, **settings):
        tensors = [x for x in keras.tree.flatten((args, settings)) if isinstance(x, keras.KerasTensor)]
        if isinstance(layer, keras.Model) and getattr(layer, "inputs", None):
            return _run(layer, tensors, call)
        name, number = layer.name, 1
        while name in found or own.get(name, layer) is not layer:
            name, number = f"{layer.name}_{number + 1}", number + 1
        outputs = (layer if name == layer.name else _Named(layer, name))(*args, **settings)
        if after:
            outputs = after(layer, outputs)
        found[name] = Step(layer, tuple(makers[id(x)] for x in tensors), keras.tree.flatten(outputs)[0])
        makers.update((id(x), name) for x in keras.tree.flatten(outputs))
        return outputs

    _run(model, [images.output], call)
    return found


class _Named(layers.Layer):
    """A call of a layer under another name: Keras wants the names within a model to differ."""

    def __init__(self, layer, name):
        super().__init__(name=name, autocast=False)
        self.layer = layer

    def call(self, *args, **settings):
        return self.layer(*args, **settings)


def _run(model, tensors, call):
    """Call the layers of a model on other tensors, each by `call`; return its output."""
    plain = keras.Model(model.inputs, model.outputs)  # functional, also where the model is sequential
    outputs = plain._run_through_graph(tensors, call_fn=call)  # what `keras.models.clone_model` does
    return outputs if len(outputs) > 1 else outputs[0]


def part(model, names, after=None):
    """Return the Keras model from the images to what these steps put out: dict of name -> output."""
    found = steps(model, after)
    return keras.Model(next(iter(found.values())).output, {name: found[name].output for name in names})


# -- which layers there are --------------------------------------------------------------------------------------------


def convolutions(model):
    """List the names of the convolutions, from the input on.

    Raises:
        NoAnswer: for a network without any.
    """
    found = steps(model)
    if names := [name for name, step in found.items() if isinstance(step.layer, CONVS)]:
        return names
    if closed := [name for name, step in found.items() if isinstance(step.layer, keras.Model)]:
        raise NoAnswer(
            "The layers of {model} cannot be reached inside {inner}, a subclassed model: build it as a functional or "
            "sequential one.",
            model=model.name,
            inner=closed[0],
        )
    raise NoAnswer(
        "{model} has no convolutions, so it has no feature maps, filters or Grad-CAM++ maps.", model=model.name
    )


def relus(model):
    """List the names of the layers that apply a ReLU (a leaky one, too), of their own or fused.

    Raises:
        NoAnswer: for a network without any.
    """
    if names := [name for name, step in steps(model).items() if activation(step.layer) in RELUS]:
        return names
    raise NoAnswer("{model} has no ReLUs, so guided backprop would be its gradient.", model=model.name)


def activation(layer):
    """Return the name of the nonlinearity that a layer applies, such as leakyrelu; "" for none."""
    own = getattr(layer, "activation", None)
    function = own or layer
    name = getattr(function, "__name__", type(function).__name__).lower().replace("_", "")
    applies = name not in ("linear", "softmax") if own else name in ACTIVATIONS
    return name if applies else ""


def has_matrix(layer):
    """Return whether a layer has a kernel or another array of weights (a batch norm has vectors alone)."""
    return any(len(weight.shape) > 1 for weight in getattr(layer, "weights", ()))


def classifier(model):
    """Return the name of the dense layer that gives the answer, be it `logits` or before it; None for none."""
    kernels = [name for name, step in steps(model).items() if isinstance(step.layer, (*CONVS, layers.Dense))]
    last = kernels and steps(model)[kernels[-1]]
    return kernels[-1] if last and tuple(last.output.shape[1:]) == (len(CLASSES),) else None


@lru_cache(maxsize=16)
def activation_layers(model):
    """Map each conv, hidden dense and global pooling layer to the layer that holds its activations.

    That is the layer itself where the nonlinearity is fused into it, else the next activation layer. Where the logits
    follow the convolutions directly, the vector between them (such as Flatten's) is there, too.
    """
    every, answer, found = steps(model), classifier(model), {}
    for name, step in every.items():
        if name in (answer, "logits"):
            break
        if isinstance(step.layer, (*CONVS, layers.Dense, *GLOBAL_POOLINGS)):
            found[name] = name
        elif activation(step.layer):
            for source in _sources(every, name):
                same = len(every[source].output.shape) == len(step.output.shape)
                if same and found[source] == source and not activation(every[source].layer):
                    found[source] = name
    if found and not any(len(every[name].output.shape) == 2 for name in found):
        names = list(every)
        between = names[names.index(next(iter(found))) : names.index(name)]
        found |= {flat: flat for flat in [n for n in between if len(every[n].output.shape) == 2][:1]}
    return found


def _sources(every, name):
    """List the conv, dense and pooling layers that reach a step without another one, or a nonlinearity, between."""
    found = []
    for before in every[name].before:
        layer = every[before].layer
        if isinstance(layer, (*CONVS, layers.Dense, *GLOBAL_POOLINGS)):
            found.append(before)
        elif not activation(layer):
            found += _sources(every, before)
    return found
