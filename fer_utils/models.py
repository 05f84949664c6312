"""The networks: one plain builder function a model, each callable without arguments.

Every builder returns a flat functional `keras.Model` with named layers: input (48, 48, 1) grey levels 0…255 -> the
model's own normalisation -> … -> `logits` (7,) -> `probs` (7,). Explanations read `logits`, losses and scores `probs`.
"""

import math

import keras
from keras import layers

from fer_utils import adapt, own
from fer_utils.labels import CLASSES, IMAGE_SHAPE
from fer_utils.layers import BatchNormalization, Conv2D, PerImage, SkipInit, StandardisedConv2D

PIXELS = math.prod(IMAGE_SHAPE)
COUNTED = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D, layers.Conv2DTranspose, layers.Dense)

# -- input and output, the same in every network ----------------------------------------------------------------------


def start(shape=IMAGE_SHAPE, **normalisation):
    """Return the input and the normalised images (arguments as of `normalise`)."""
    inputs = keras.Input(shape, name="images")
    return inputs, normalise(inputs, **normalisation)


def normalise(x, normalisation="scale", mean=127.5, sd=64.0):
    """Normalise grey levels 0…255, as the model's first layer.

    Args:
        x: Keras tensor (batch, 48, 48, 1).
        normalisation: `none` (0…255 as they are), `scale` (/255), `zscore` (mean and standard deviation of the
            training set) or `image` (each image's own).
        mean, sd: grey levels, used by `zscore` alone.

    Raises:
        ValueError: for another word.
    """
    if normalisation == "none":
        return x
    if normalisation == "scale":
        return layers.Rescaling(1 / 255, name="normalise")(x)
    if normalisation == "zscore":
        return layers.Rescaling(1 / sd, offset=-mean / sd, name="normalise")(x)
    if normalisation == "image":
        return PerImage(name="normalise")(x)
    raise ValueError(f"normalisation={normalisation!r}: choose none, scale, zscore or image")


def classify(inputs, x, name, **dense):
    """Finish a model: features `x` -> `logits` -> `probs`, both in float32 (the softmax of bfloat16 is coarse).

    The logits start at 0, all classes equally likely: random ones cost some epochs to be unlearned.
    """
    logits = layers.Dense(len(CLASSES), dtype="float32", kernel_initializer="zeros", name="logits", **dense)(x)
    return keras.Model(inputs, layers.Softmax(dtype="float32", name="probs")(logits), name=name)


# -- system A ----------------------------------------------------------------------------------------------------------


def cnn_a(dropout=0.25, **normalisation):
    """A's CNN: three conv blocks 48 -> 24 -> 12 -> 6, then 110 – 480 – 7. 629,077 parameters, 1,420 not trained."""
    inputs, x = start(**normalisation)
    for block, (filters, size) in enumerate([(50, 5), (80, 5), (100, 3)], start=1):
        x = Conv2D(filters, size, padding="same", activation="relu", name=f"conv2d_{block}")(x)
        x = BatchNormalization(name=f"bn_{block}")(x)
        x = layers.MaxPooling2D(2, name=f"pool_{block}")(x)
        x = layers.Dropout(dropout, name=f"drop_{block}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(110, activation="relu", name="dense_1")(x)
    x = layers.Dropout(2 * dropout, name="drop_dense_1")(x)
    x = layers.Dense(480, activation="relu", name="dense_2")(x)
    x = BatchNormalization(name="bn_dense_2")(x)
    x = layers.Dropout(2 * dropout, name="drop_dense_2")(x)
    return classify(inputs, x, "cnn_a")


def dnn_a(**normalisation):
    """A's DNN: 2304 – 197 – 826 – 7. 623,422 parameters."""
    return dnn((197, 826), name="dnn_a", **normalisation)


# -- system B ----------------------------------------------------------------------------------------------------------


def cnn_b(dropout=0.25, **normalisation):
    """B's CNN: four conv blocks up to 512 filters, the last average-pooled, then 1024 – 256 – 7. 8,019,463."""
    inputs, x = start(**normalisation)
    for block, (filters, size) in enumerate([(64, 5), (128, 3), (512, 3), (512, 3)], start=1):
        x = Conv2D(filters, size, padding="same", name=f"conv2d_{block}")(x)
        x = layers.LeakyReLU(0.1, name=f"leaky_{block}")(x)
        x = BatchNormalization(name=f"bn_{block}")(x)
        pool = layers.AveragePooling2D if block == 4 else layers.MaxPooling2D
        x = pool(2, name=f"pool_{block}")(x)
        x = layers.Dropout(dropout, name=f"drop_{block}")(x)
    x = layers.Flatten(name="flatten")(x)
    for number, width in enumerate([1024, 256], start=1):
        x = layers.Dense(width, activation="relu", name=f"dense_{number}")(x)
        x = BatchNormalization(name=f"bn_dense_{number}")(x)
        x = layers.Dropout(2 * dropout, name=f"drop_dense_{number}")(x)
    return classify(inputs, x, "cnn_b")


def dnn_b(**normalisation):
    """B's DNN: 2304 – 4096 – 1024 – 7. 13,643,783 parameters."""
    return dnn((4096, 1024), name="dnn_b", **normalisation)


# -- system C ----------------------------------------------------------------------------------------------------------


def cnn_c(dropout=1.0, **normalisation):
    """C's CNN: seven 3×3 convs 16 … 512, five poolings (48 -> 1), then 256 – 128 – 7. 4,103,495 parameters.

    Args:
        dropout: factor of the report's rates (0.1 … 0.7).
    """
    inputs, x = start(**normalisation)
    blocks = [(16, 1, 0.0), (32, 2, 0.1), (64, 1, 0.2), (128, 2, 0.3), (256, 2, 0.3), (512, 2, 0.5), (512, 2, 0.5)]
    for block, (filters, pool, rate) in enumerate(blocks, start=1):
        x = Conv2D(filters, 3, padding="same", name=f"conv2d_{block}")(x)
        x = BatchNormalization(name=f"bn_{block}")(x)
        x = layers.LeakyReLU(0.1, name=f"leaky_{block}")(x)
        if pool > 1:
            x = layers.MaxPooling2D(pool, name=f"pool_{block}")(x)
        if rate:
            x = layers.Dropout(dropout * rate, name=f"drop_{block}")(x)
    x = layers.Flatten(name="flatten")(x)
    for number, width in enumerate([256, 128], start=1):
        x = layers.Dense(width, name=f"dense_{number}")(x)
        x = layers.LeakyReLU(0.1, name=f"leaky_dense_{number}")(x)
        x = layers.Dropout(dropout * 0.7, name=f"drop_dense_{number}")(x)
    return classify(inputs, x, "cnn_c")


# -- system D ----------------------------------------------------------------------------------------------------------


def cnn_d(**normalisation):
    """D's CNN as a VGG of its exact size: 64, 128, 256, 512 twice each, then 1712 – 574 – 7. 13,562,119 parameters.

    The report gives only the count; of the plain VGG layouts with two dense layers this one has it exactly.

    References:
        Simonyan & Zisserman (2015), Very Deep Convolutional Networks for Large-Scale Image Recognition.
    """
    inputs, x = start(**normalisation)
    he = {"activation": "relu", "kernel_initializer": "he_normal"}  # eight convs without batch norm need it to start
    for block, filters in enumerate([64, 128, 256, 512], start=1):
        for part in (1, 2):
            x = Conv2D(filters, 3, padding="same", name=f"conv2d_{block}_{part}", **he)(x)
        x = layers.MaxPooling2D(2, name=f"pool_{block}")(x)
    x = layers.Flatten(name="flatten")(x)
    for number, width in enumerate([1712, 574], start=1):
        x = layers.Dense(width, name=f"dense_{number}", **he)(x)
        x = layers.Dropout(0.5, name=f"drop_dense_{number}")(x)
    return classify(inputs, x, "cnn_d")


def dnn_d(dropout=0.5, **normalisation):
    """D's DNN: one hidden layer of 600. 1,387,207 parameters."""
    return dnn((600,), dropout, name="dnn_d", **normalisation)


# -- system E ----------------------------------------------------------------------------------------------------------


def cnn_e(l1=3e-5, l2=5e-5, **normalisation):
    """E's CNN: three blocks of two convs and a pooling by 4 (48 -> 12 -> 3 -> 1), then 2048 – 512 – 7. 1,919,975."""
    penalty = {"kernel_regularizer": keras.regularizers.L1L2(l1, l2)}
    inputs, x = start(**normalisation)
    for block, filters in enumerate([32, 64, 128], start=1):
        for part, size in enumerate([5, 4], start=1):
            name = f"{block}_{part}"
            x = Conv2D(filters, size, padding="same", activation="relu", name=f"conv2d_{name}", **penalty)(x)
            x = BatchNormalization(name=f"bn_{name}")(x)
        x = layers.MaxPooling2D(4, padding="same", name=f"pool_{block}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(2048, activation="relu", name="dense_1", **penalty)(x)
    x = layers.Dropout(0.5, name="drop_dense_1")(x)
    x = layers.Dense(512, activation="relu", name="dense_2", **penalty)(x)
    return classify(inputs, x, "cnn_e", **penalty)


def dnn_e(l1=3e-5, l2=5e-5, **normalisation):
    """E's DNN: a dense layer of 30 on every pixel (the last axis), flattened, then 30 four times – 7. 2,076,697."""
    penalty = {"kernel_regularizer": keras.regularizers.L1L2(l1, l2)}
    inputs, x = start(**normalisation)
    x = layers.Dense(30, activation="relu", name="dense_1", **penalty)(x)
    x = layers.Flatten(name="flatten")(x)
    for number in range(2, 6):
        x = layers.Dense(30, activation="relu", name=f"dense_{number}", **penalty)(x)
    return classify(inputs, x, "dnn_e", **penalty)


# -- networks of the kit's own -----------------------------------------------------------------------------------------


def cnn_small(width=16, dropout=0.0, **normalisation):
    """A small CNN for many quick trainings: three 3×3 convs with pooling, then 64 – 7. 171,527 parameters.

    One batch norm, where the feature maps are smallest: there it costs nothing, and the net learns at any input scale.
    """
    inputs, x = start(**normalisation)
    he = {"activation": "relu", "kernel_initializer": "he_normal"}
    for block, filters in enumerate([width, 2 * width, 4 * width], start=1):
        x = Conv2D(filters, 3, padding="same", name=f"conv2d_{block}", **he)(x)
        x = layers.MaxPooling2D(2, name=f"pool_{block}")(x)
    x = BatchNormalization(name="bn_3")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(4 * width, name="dense_1", **he)(x)
    if dropout:
        x = layers.Dropout(dropout, name="drop_dense_1")(x)
    return classify(inputs, x, "cnn_small")


def cnn_fast(widths=(64, 96, 128, 192), dropout=0.4, side=IMAGE_SHAPE[0], **normalisation):
    """The kit's net for two CPU cores: a conv, then a conv and a residual block a width, each with a pooling. No norm.

    Args:
        widths: filters; multiples of 32 fill a processor's matrix tiles. The defaults make 1,515,978 parameters.
        side: of the images in pixels; None lets one model take images of several sizes.
    """
    inputs, x = start(shape=(side, side, 1), **normalisation)
    for block, filters in enumerate(widths, start=1):
        name = f"{block}_1" if block > 1 else "1"
        x = StandardisedConv2D(filters, 3, padding="same", name=f"conv2d_{name}")(x)
        x = layers.MaxPooling2D(2, name=f"pool_{block}")(x)  # before the ReLU: the same result, a quarter of the work
        x = layers.ReLU(name=f"relu_{name}")(x)
        if block == 1:
            continue
        y = StandardisedConv2D(filters, 3, padding="same", activation="relu", name=f"conv2d_{block}_2")(x)
        y = StandardisedConv2D(filters, 3, padding="same", name=f"conv2d_{block}_3")(y)
        x = layers.Add(name=f"add_{block}")([x, SkipInit(name=f"skip_{block}")(y)])
        x = layers.ReLU(name=f"relu_{block}")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    x = layers.Dropout(dropout, name="drop")(x)
    return classify(inputs, x, "cnn_fast")


def cnn_large(stem=32, widths=(64, 128, 256, 512), dropout=0.3, side=IMAGE_SHAPE[0], **normalisation):
    """The kit's largest net: a conv, then a conv and a residual block a width, with batch norm. 7,849,127 parameters.

    References:
        He et al. (2016), Deep Residual Learning for Image Recognition, arXiv:1512.03385.
    """
    inputs, x = start(shape=(side, side, 1), **normalisation)
    settings = {"padding": "same", "use_bias": False, "kernel_initializer": "he_normal"}

    def convolved(x, filters, name, pool=False):
        x = Conv2D(filters, 3, name=f"conv2d_{name}", **settings)(x)
        x = layers.MaxPooling2D(2, name=f"pool_{name}")(x) if pool else x  # before batch norm: a quarter of the work
        return layers.ReLU(name=f"relu_{name}")(BatchNormalization(name=f"bn_{name}")(x))

    x = convolved(x, stem, "1", pool=True)
    for block, filters in enumerate(widths, start=2):
        x = convolved(x, filters, f"{block}_1")
        y = convolved(convolved(x, filters, f"{block}_2"), filters, f"{block}_3")
        x = layers.Add(name=f"add_{block}")([x, y])
        x = layers.MaxPooling2D(2, name=f"pool_{block}")(x) if block <= len(widths) else x
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    return classify(inputs, layers.Dropout(dropout, name="drop")(x), "cnn_large")


def dnn(widths=(197, 826), dropout=0.0, name="dnn", **normalisation):
    """A plain DNN: the image flattened, then ReLU layers of these widths."""
    inputs, x = start(**normalisation)
    x = layers.Flatten(name="flatten")(x)
    for number, width in enumerate(widths, start=1):
        x = layers.Dense(width, activation="relu", name=f"dense_{number}")(x)
        if dropout:
            x = layers.Dropout(dropout, name=f"drop_dense_{number}")(x)
    return classify(inputs, x, name)


def dnn_matched(parameters=629_077, **normalisation):
    """A DNN of two hidden layers with the wanted number of parameters, within 0.1 %."""
    return dnn(matched_widths(parameters), name="dnn_matched", **normalisation)


def matched_widths(parameters, tolerance=1e-3):
    """Return widths (first, second) of a DNN 2304 – first – second – 7 with about this many parameters.

    Of all pairs within the tolerance the most equal one is taken, so that no layer is a bottleneck.

    Args:
        parameters: wanted number. tolerance: allowed difference, as a share of it.

    Raises:
        ValueError: where no pair comes close enough (below some 5,000 parameters).

    >>> matched_widths(629_077)
    (246, 244)
    """
    outputs, pairs = len(CLASSES), []
    for first in range(2, parameters // (PIXELS + 1) + 1):
        left = parameters - (PIXELS + 1) * first - outputs  # what remains for the second layer's rows and the logits
        second = round(left / (first + 1 + outputs))
        total = (PIXELS + 1) * first + (first + 1 + outputs) * second + outputs
        if second >= 2 and abs(total - parameters) <= tolerance * parameters:
            pairs.append((abs(first - second), first, second))
    if not pairs:
        raise ValueError(f"no DNN of two hidden layers has {parameters:,} parameters within {tolerance:.1%}")
    return min(pairs)[1:]


_A_TO_E = (cnn_a, dnn_a, cnn_b, dnn_b, cnn_c, cnn_d, dnn_d, cnn_e, dnn_e)
BUILDERS = {build.__name__: build for build in (*_A_TO_E, cnn_small, cnn_fast, cnn_large, dnn, dnn_matched)}


def build(name, **settings):
    """Build the model of that name.

    Raises:
        ValueError: for a name that is not in BUILDERS; the message lists those that are.
        NetworkError: for a network of one's own (`own`) that cannot be built.
    """
    return build_own(name, **settings) if own.kind(name) else builder(name)(**settings)


def build_own(name, normalisation="own", mean=127.5, sd=64.0, **settings):
    """Build a network of one's own; a normalisation other than `own` takes the place of what it has."""

    def replaced(images):
        return normalise(images, normalisation, mean, sd)

    return adapt.build(name, replaced if normalisation != "own" else None, **settings)


def builder(name):
    """Return the function that builds a network; raises as `build` does."""
    if own.kind(name):
        return adapt.load if own.kind(name) == "fresh" else own.builder(name)
    if name not in BUILDERS:
        raise ValueError(f"model={name!r} is not one of: {', '.join(BUILDERS)}")
    return BUILDERS[name]


# -- counts ------------------------------------------------------------------------------------------------------------


def trainable_parameters(model):
    """Count the numbers that training changes (batch norm's moving statistics are not among them)."""
    return sum(int(keras.ops.size(weight)) for weight in model.trainable_weights)


def flops(model):
    """Count the operations of one image's forward pass: 2 for each multiply-add of the conv and dense layers."""
    counted = [layer for layer in model.layers if isinstance(layer, COUNTED)]
    return sum(2 * math.prod(_places(layer)) * _multiplications(layer) for layer in counted)


def _multiplications(layer):
    """Return the multiply-adds of a layer's kernels at one place (a bias is a vector)."""
    return sum(math.prod(weight.shape) for weight in layer.weights if len(weight.shape) > 1)


def _places(layer):
    """Return at how many places, along each axis, a layer's kernels are applied."""
    tensor = layer.input if isinstance(layer, layers.Conv2DTranspose) else layer.output
    return tensor.shape[1:-1]


def describe(model):
    """List the layers in order: dicts of name, kind, output (the shape as text) and parameters."""
    return [
        {
            "name": layer.name,
            "kind": type(layer).__name__,
            "output": "×".join(map(str, layer.output.shape[1:])),
            "parameters": layer.count_params(),
        }
        for layer in model.layers
    ]
