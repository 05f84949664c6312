"""Any Keras model of grey images to seven numbers, as the kit's own networks are: flat, ending in `logits`, `probs`."""

import collections
import contextlib
import re
import tempfile

import keras
import numpy as np
from keras import layers, ops
from keras.src.backend.common import global_state

from fer_utils import own
from fer_utils.labels import CLASSES, IMAGE_SHAPE
from fer_utils.layers import LogProbs, PerImage
from fer_utils.own import NetworkError

NORMALISING = (layers.Rescaling, layers.Normalization, PerImage)
ARITHMETIC = {"TrueDivide", "Divide", "Multiply", "Subtract", "Add"}  # of an image and a number, as in x / 255
TAKEN = ("logits", "probs")  # names that only the last two layers have


def standard(model, normalise=None, side=IMAGE_SHAPE[0], name=None):
    """Return a network of the kit's form that computes the same.

    Args:
        model: any Keras model from (48, 48, 1) to 7: sequential, functional, nested; ending in a softmax (of its last
            layer, or a layer of its own), or in logits.
        normalise: function of a Keras tensor that takes the place of the model's own normalisation (a Rescaling, a
            Normalization, arithmetic such as x / 255 on the images); None: it keeps its own.
        side: of the images in pixels; None for any.
        name: of the network; None: the model's own.

    Returns:
        Functional keras.Model without inner models, input (side, side, 1) grey levels 0…255, whose last layers are
        `logits` and `probs`, both float32.

    Raises:
        NetworkError: it has other inputs or outputs, or ends in something else.
    """
    whole = functional(model)
    images = keras.Input((side, side, 1), name="images")
    output = flat(whole, images, normalise)
    return ending_in_probs(keras.Model(images, output, name=name or whole.name))


def functional(model):
    """Return the model as a functional one, after a check of what goes in and comes out."""
    if not isinstance(model, keras.Model):
        raise NetworkError(
            f"the function must return a keras.Model, not {type(model).__name__}: end it with `return …`"
        )
    if not getattr(model, "inputs", None):  # Sequential without Input, or subclassed: known only after a call
        images = keras.Input(IMAGE_SHAPE, name="images")
        model = keras.Model(images, model(images), name=model.name)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        count = f"{len(model.inputs)} inputs and {len(model.outputs)} outputs"
        raise NetworkError(f"the network has {count}: it must have one of each, images (48, 48, 1) and 7 numbers")
    check_shapes(tuple(model.inputs[0].shape[1:]), tuple(model.outputs[0].shape[1:]))
    return keras.Model(model.inputs, model.outputs, name=model.name)


def check_shapes(given, answer):
    """Raise NetworkError unless a network takes (48, 48, 1) and gives 7 numbers."""
    if len(given) != 3 or any(size not in (None, wanted) for size, wanted in zip(given, IMAGE_SHAPE, strict=False)):
        hints = {(2304,): "start with Input((48, 48, 1)) and Flatten()", (48, 48): "add the axis of the channel"}
        hint = hints.get(given, "start with keras.Input((48, 48, 1))")
        if len(given) == 3 and given[2] == 3:
            hint = "the images are grey: after Input((48, 48, 1)), Concatenate()([x, x, x]) makes three channels"
        raise NetworkError(f"the network takes images of the shape {given}, not (48, 48, 1): {hint}")
    if answer != (len(CLASSES),):
        raise NetworkError(f"the network gives {answer} for an image, not (7,): end in Dense(7, activation='softmax')")


# -- one list of layers ------------------------------------------------------------------------------------------------


def flat(model, images, normalise=None):
    """Call copies of a model's layers on images, those of inner models in their places; return the output."""
    copies, names, start = {}, {"normalise"} if normalise else set(), normalise(images) if normalise else images
    raw = {id(start)} if normalise else set()  # tensors that the model has not normalised yet

    def call(layer, *args, **settings):
        if isinstance(layer, keras.Model) and getattr(layer, "inputs", None):
            return run(layer, [x for x in keras.tree.flatten((args, settings)) if isinstance(x, keras.KerasTensor)])
        if args and id(args[0]) in raw and normalises(layer, args[1:]):
            return args[0]
        new = copies.get(id(layer)) or copy(layer, names)
        copies[id(layer)] = new
        outputs = new(*args, **settings)
        if new is not layer and isinstance(layer, keras.Layer):
            take_weights(new, layer.get_weights())
        if args and id(args[0]) in raw and type(layer).__name__.startswith("Random"):
            raw.add(id(outputs))
        return outputs

    def run(inner, tensors):
        outputs = keras.Model(inner.inputs, inner.outputs)._run_through_graph(tensors, call_fn=call)
        return outputs if len(outputs) > 1 else outputs[0]

    return run(model, [start])


def normalises(layer, others):
    """Return whether a layer that takes images only shifts and scales their grey levels."""
    if isinstance(layer, NORMALISING):
        return True
    return type(layer).__name__ in ARITHMETIC and not any(isinstance(x, keras.KerasTensor) for x in others)


def copy(layer, names):
    """Return a layer of the same settings with a name of its own; itself where it cannot be copied."""
    name, number = layer.name, 1
    while name in names or name in TAKEN:
        number += 1
        name = f"{layer.name}_{number}"
    names.add(name)
    if name == layer.name and not isinstance(layer, keras.Layer):  # an operation such as x + y
        return layer
    if not isinstance(layer, layers.Lambda):  # its function would lose what it knows
        with contextlib.suppress(Exception):  # a class of the student's without get_config
            return type(layer).from_config(layer.get_config() | {"name": name})
    if name != layer.name:
        raise NetworkError(f"give the layer {layer.name} ({type(layer).__name__}) another name: this one is taken")
    return layer


def take_weights(new, weights):
    new.set_weights(weights)
    if hasattr(new, "finalize_state"):  # Normalization computes with what it derives from its weights
        new.finalize_state()


# -- its end -----------------------------------------------------------------------------------------------------------


def ending_in_probs(model):
    """Return a flat model with its end rewritten as `logits` -> `probs`."""
    tensor, last = behind_identities(model.outputs[0])
    if is_softmax(last):
        tensor, last = behind_identities(inputs_of(tensor)[0])
        logits = as_logits(tensor, last)
    elif is_softmax(getattr(last, "activation", None)):
        logits = as_logits(tensor, last)
    else:
        logits = of_unknown(model, tensor, last)
    return keras.Model(model.inputs[0], layers.Softmax(dtype="float32", name="probs")(logits), name=model.name)


def behind_identities(tensor):
    """Walk back over linear activations; return the tensor before them, and the layer that makes it."""
    last = tensor._keras_history.operation
    while isinstance(last, layers.Identity) or (isinstance(last, layers.Activation) and function_of(last) == "linear"):
        tensor = inputs_of(tensor)[0]
        last = tensor._keras_history.operation
    return tensor, last


def inputs_of(tensor):
    """Return the tensors that the layer which made this one was called on."""
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index].input_tensors


def function_of(layer):
    """Return the name of a layer's activation: "linear" for none."""
    function = getattr(layer, "activation", None)
    return getattr(function, "__name__", type(function).__name__) if function is not None else "linear"


def is_softmax(thing):
    """Return whether a layer, an operation or an activation function is a softmax."""
    if isinstance(thing, layers.Activation):
        return function_of(thing) == "softmax"
    return getattr(thing, "__name__", type(thing).__name__).lower() == "softmax"


def as_logits(tensor, last):
    """Return the logits: those of a dense last layer without its softmax, else the tensor, in a layer `logits`."""
    if isinstance(last, layers.Dense) and function_of(last) in ("linear", "softmax"):
        changed = {"name": "logits", "activation": "linear", "dtype": "float32"}
        dense = type(last).from_config(last.get_config() | changed)
        logits = dense(inputs_of(tensor)[0])
        take_weights(dense, last.get_weights())
        return logits
    if is_softmax(getattr(last, "activation", None)):  # a convolution, say
        bare = type(last).from_config(last.get_config() | {"name": "before_logits", "activation": "linear"})
        tensor = bare(inputs_of(tensor)[0])
        take_weights(bare, last.get_weights())
    return layers.Activation("linear", dtype="float32", name="logits")(tensor)


def of_unknown(model, tensor, last):
    """Return the logits of a network whose last layer is no softmax: by what it answers to a few images."""
    images = np.random.default_rng(0).uniform(0, 255, (4, *IMAGE_SHAPE)).astype(np.float32)
    answers = ops.convert_to_numpy(model(images, training=False)).astype(np.float32)
    if (answers >= 0).all() and np.allclose(answers.sum(axis=1), 1, atol=0.01):
        return LogProbs(dtype="float32", name="logits")(tensor)
    if function_of(last) != "linear":
        why = f"the last layer, {last.name}, ends in {function_of(last)}, which gives no probabilities of 7 classes"
        raise NetworkError(f"{why}: write Dense(7, activation='softmax'), or Dense(7) for logits")
    return as_logits(tensor, last)


# -- networks of one's own ---------------------------------------------------------------------------------------------


def build(preset, normalise=None, side=IMAGE_SHAPE[0], **settings):
    """Build the network of `mine…`, `cell:…` or `fresh:…` in the kit's form.

    Args:
        normalise, side: as of `standard`. settings: arguments for the student's function.

    Raises:
        NetworkError: names file and line.
    """
    path, where = own.place(preset)
    with own.explained(path, where):
        if own.kind(preset) == "fresh":
            return standard(keras.models.clone_model(load(preset)), normalise, side)
        if side is None:  # for the setting `sizes`
            settings |= {"side": None}
        with fresh_names():
            model = own.builder(preset)(**settings)
        return standard(model, normalise, side, name_of(preset))


@contextlib.contextmanager
def fresh_names():
    """Let Keras number the layers from the start (dense, dense_1, …), whatever networks this process has built."""
    kept = global_state.get_global_attribute("object_name_uids")
    global_state.set_global_attribute("object_name_uids", collections.defaultdict(int))
    try:
        yield
    finally:
        global_state.set_global_attribute("object_name_uids", kept)


def name_of(preset):
    """Return the name of a network: that of its function or file."""
    return re.sub(r"\W+", "_", re.sub(r"^cell:|-\w{8}$|\.\w+$", "", own.label(preset)).replace("file:", ""))


def try_out(model, settings):
    """Let a network answer, and store and load it.

    Raises:
        NetworkError: one of these fails.
    """
    path, where = own.place(settings["model"])
    with own.explained(path, where), tempfile.TemporaryDirectory() as folder:
        model(np.zeros((2, *IMAGE_SHAPE), np.float32), training=True)
        model.save(f"{folder}/model.keras")
        try:
            stored(f"{folder}/model.keras", own.code(settings["model"]), settings["model"], safe_mode=False)
        except Exception as error:
            hint = "a layer class needs get_config with all arguments of __init__; a Lambda had better be a layer class"
            raise NetworkError(f"stored, it cannot be loaded again: {own.first_line(error)} ({hint})") from error


def load(preset):
    """Return the trained network of `file:…` (or `fresh:…`) in the kit's form.

    Raises:
        NetworkError: the file is damaged, or has layers whose code is not there.
    """
    path, where = own.place(preset)
    with own.explained(path, where):
        try:
            model = stored(path, own.code(preset))
        except Exception as error:
            raise NetworkError(reason(error)) from error
        return standard(model, name=name_of(preset))


def stored(path, code, preset="", safe_mode=True):
    """Load a model from a file; classes that Keras does not know are looked for in the student's code."""
    with contextlib.suppress(Exception):
        return keras.models.load_model(path, compile=False, safe_mode=safe_mode)
    found = own.classes(code, preset)
    return keras.models.load_model(path, custom_objects=found, compile=False, safe_mode=safe_mode)


def history(model, images, labels):
    """Return the history.csv of a training that is not known: one row, of how the network answers validation images."""
    probs = model.predict(np.asarray(images), batch_size=256, verbose=0)
    loss = -np.log(np.maximum(probs[np.arange(len(labels)), labels], 1e-7)).mean()
    row = f"0,,,{loss},{(probs.argmax(axis=1) == labels).mean()},0,0,1"
    return f"epoch,loss,accuracy,val_loss,val_accuracy,seconds,cpu_seconds,round\n{row}\n"


def reason(error):
    """Say in a line why Keras could not load a file."""
    text = str(error)
    if "Lambda" in text or "lambda" in text:
        return "it has a Lambda layer, whose code is not loaded from files: write it as a layer class, and save again"
    for words in ("Could not locate class '", "Unknown layer: '", "Could not locate function '"):
        if words in text:
            name = text.split(words)[1].split("'")[0]
            return f"it has a layer {name} of its own: copy the class {name} into {own.shown(own.MINE)}"
    return f"it cannot be loaded ({own.first_line(error)}): save it again by model.save"
