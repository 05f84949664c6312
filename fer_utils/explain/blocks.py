"""Any Keras model as a row of blocks: a conv or dense layer, and what follows it up to the next one."""

import math
from typing import NamedTuple

from keras import layers

from fer_utils.explain import graph
from fer_utils.words import joined, words

POOLINGS = (layers.MaxPooling2D, layers.AveragePooling2D)
DROPOUTS = (layers.Dropout, layers.SpatialDropout2D)
NAMES = {
    "InputLayer": words("grey image"),
    "BatchNormalization": words("batch norm"),
    "LayerNormalization": words("layer norm"),
    "GroupNormalization": words("group norm"),
    "PerImage": words("per-image norm"),
    "SkipInit": words("learned factor"),
    "GlobalAveragePooling2D": words("global average"),
    "GlobalMaxPooling2D": words("global maximum"),
    "Flatten": words("flatten"),
    "Softmax": words("softmax"),
    "Add": words("added"),
    "Multiply": words("multiplied"),
    "Concatenate": words("concatenated"),
}
SPELLED = {name.lower(): name for name in ("ReLU", "ReLU6", "LeakyReLU", "PReLU", "ELU", "SELU", "GELU", "SiLU")}
SIGNS = {"Add": "+", "Multiply": "×"}


class Part(NamedTuple):
    """One call of a layer, in words and numbers."""

    name: str
    before: tuple[str, ...]  # the names of those whose outputs it takes
    kind: str  # "input", "conv", "dense", "weights" (others with a matrix), or the name of its class
    says: list[str]  # what it does
    output: tuple[int, ...]
    parameters: int = 0
    work: int = 0  # operations of one image's forward pass, 2 for each multiply-add

    @property
    def has_weights(self):
        return self.kind in ("conv", "dense", "weights")


def blocks(model):
    """Describe a model as blocks, from the images to the probabilities.

    Args:
        model: input (48, 48, 1), any functional or sequential Keras model.

    Returns:
        List of dicts: name (of the layer that the block is named after), kind ("input", "conv", "dense", "weights" or
        "branches"), says (what its layers do, in order), output (a shape), parameters and work (as in Part).
    """
    return grouped(parts(model))


def parts(model):
    """List the layers of a model as Parts; a layer that is called twice has its parameters in the first one."""
    found, counted = [], set()
    for name, step in graph.steps(model).items():
        layer, output = step.layer, tuple(step.output.shape[1:])
        new = id(layer) not in counted and hasattr(layer, "count_params")
        counted.add(id(layer))
        at = found[-1].output if isinstance(layer, layers.Conv2DTranspose) else output
        sizes = [math.prod(w.shape) for w in getattr(layer, "weights", ()) if len(w.shape) > 1]
        facts = {"parameters": layer.count_params() if new else 0, "work": 2 * math.prod(at[:-1]) * sum(sizes)}
        kind = "input" if isinstance(layer, layers.InputLayer) else kind_of(layer)
        facts["work"] *= kind in ("conv", "dense")
        found.append(Part(name, step.before, kind, said(layer), output, **facts))
    return found


def kind_of(layer):
    """Return `Part.kind` of a layer."""
    if isinstance(layer, graph.CONVS):
        return "conv"
    return "dense" if isinstance(layer, layers.Dense) else "weights" if graph.has_matrix(layer) else _class(layer)


# -- what a layer does, in words ---------------------------------------------------------------------------------------


def said(layer):
    """Say what a layer does: list of texts, such as ["5×5 conv, 50", "ReLU"]; empty for one that changes nothing."""
    name = _class(layer)
    if isinstance(layer, graph.CONVS):
        return [_conv(layer), *_stride(layer), *_standardised(layer), *_activation(layer)]
    if isinstance(layer, layers.Dense):
        return [words("dense, {n:,}", n=layer.units), *_activation(layer)]
    if isinstance(layer, POOLINGS):
        return [_pooling(layer)]
    if isinstance(layer, DROPOUTS):
        return [words("dropout {rate:g}", rate=layer.rate)] if layer.rate else []
    if isinstance(layer, layers.Rescaling):
        return _rescaling(layer)
    if name in NAMES:
        return [NAMES[name]]
    return _activation(layer) or ([] if name in ("Activation", "Identity") else [name])


def _class(layer):
    return type(layer).__name__


def _size(sizes):
    return "×".join(map(str, sizes))


def _conv(layer):
    known = {"size": _size(layer.kernel_size), "n": getattr(layer, "filters", 0)}
    if isinstance(layer, layers.DepthwiseConv2D):
        return words("{size} depthwise conv", **known)
    if isinstance(layer, layers.SeparableConv2D):
        return words("{size} separable conv, {n:,}", **known)
    if isinstance(layer, layers.Conv2DTranspose):
        return words("{size} transposed conv, {n:,}", **known)
    return words("{size} conv, {n:,}", **known)


def _stride(layer):
    told = [words("stride {n}", n=_one(layer.strides))] if set(layer.strides) != {1} else []
    told += [words("dilation {n}", n=_one(layer.dilation_rate))] if set(layer.dilation_rate) != {1} else []
    return told + ([words("{n} groups", n=layer.groups)] if getattr(layer, "groups", 1) > 1 else [])


def _one(sizes):
    """Return "2" for (2, 2), and "2×1" for (2, 1)."""
    return str(sizes[0]) if len(set(sizes)) == 1 else _size(sizes)


def _standardised(layer):
    return [words("standardised")] if "Standardised" in _class(layer) else []


def _pooling(layer):
    known = {"size": _one(layer.pool_size), "stride": _one(layer.strides)}
    if known["size"] == known["stride"]:
        is_max = isinstance(layer, layers.MaxPooling2D)
        return words("max-pool {size}", **known) if is_max else words("average-pool {size}", **known)
    if isinstance(layer, layers.MaxPooling2D):
        return words("max-pool {size}, stride {stride}", **known)
    return words("average-pool {size}, stride {stride}", **known)


def _rescaling(layer):
    """Say (x − mean) / sd, as far as there is something to subtract or divide by."""
    try:
        divisor, mean = 1 / layer.scale, -layer.offset / layer.scale
    except (TypeError, ZeroDivisionError):  # a list of one per channel
        return [_class(layer)]
    minus = [words("− {mean:.4g}", mean=mean)] if mean > 0 else [words("+ {mean:.4g}", mean=-mean)] if mean else []
    return minus + ([words("÷ {divisor:.4g}", divisor=divisor)] if divisor != 1 else [])


def _activation(layer):
    name = graph.activation(layer)
    inner = getattr(layer, "activation", None)
    if not name:
        return [NAMES["Softmax"]] if getattr(inner, "__name__", "") == "softmax" else []
    slope = getattr(inner, "negative_slope", None) or getattr(layer, "negative_slope", None)
    text = SPELLED.get(name, name)
    return [words("{name} {slope:.2g}", name=text, slope=slope) if name == "leakyrelu" and slope else text]


# -- parts -> blocks ---------------------------------------------------------------------------------------------------


def grouped(parts):
    """Group parts into blocks, as `blocks` returns them.

    A conv or dense layer begins a block; so does what lies between a fork and the place where its branches meet. What
    follows belongs to it, but for a flattening and what comes behind that: these belong to the dense layer they feed.
    """
    found, waiting = [], []
    for fork, run, join in segments(parts):
        every = [*run, *([join] if join else [])]
        begins, says = any(part.has_weights for part in every), branched(fork, run, join) if join else run[0].says
        if begins or not found:
            kind = "branches" if join else every[0].kind
            found.append({"name": every[-1].name, "kind": kind, "says": [], "parameters": 0, "work": 0})
            _add(found[-1], waiting)
            waiting = []
        piece = (says, every)
        if not begins and (waiting or every[0].kind in ("Flatten", "Reshape")):
            waiting.append(piece)
        else:
            _add(found[-1], [piece])
    _add(found[-1], waiting)
    return found


def _add(block, pieces):
    """Add pieces, (what they do, parts), to the end of a block."""
    for says, every in pieces:
        block["says"] = [*block["says"], *says]
        block["output"] = every[-1].output
        block["parameters"] += sum(part.parameters for part in every)
        block["work"] += sum(part.work for part in every)


def segments(parts):
    """Cut a network where everything passes through one part.

    Args:
        parts: list of Part, each behind those that it takes.

    Returns:
        List of (fork, run, join): a single part as (None, [part], None); or parts that lie on branches between the
        part `fork`, which feeds them, and the part `join`, where they meet.
    """
    place = {part.name: i for i, part in enumerate(parts)}
    reach = list(range(len(parts)))  # the last part that takes the output of each
    for i, part in enumerate(parts):
        for name in part.before:
            reach[place[name]] = i
    cuts = [i for i in range(len(parts)) if all(last <= i for last in reach[:i])]
    found = []
    for before, cut in zip([None, *cuts], cuts, strict=False):
        run = parts[cut:] if before is None else parts[before + 1 : cut]
        alone = before is None or not run
        found.append((None, [parts[cut]], None) if alone else (parts[before], run, parts[cut]))
    return found


def branched(fork, run, join):
    """Say what branches do: those of a residual block in full, of others how many there are.

    Args:
        fork, run, join: as `segments` returns them.
    """
    chains, sign = chains_of(fork, run), SIGNS.get(join.kind)
    if chains is None:
        return [words("{n} layers with branches", n=len(run)), *join.says]
    longest, *others = sorted(chains, key=len, reverse=True)
    beside = [[text for part in chain for text in part.says] for chain in others]
    beside += [[words("input")]] * join.before.count(fork.name)
    if sign and all(len(texts) <= 2 for texts in beside) and len(longest) <= 8:
        sums = [words("{sign} {what}", sign=sign, what=joined(texts)) for texts in beside]
        return [text for part in longest for text in part.says] + sums
    return [words("{n} branches", n=len(beside) + 1), words("{n} layers", n=len(run)), *join.says]


def chains_of(fork, run):
    """Return the branches between a fork and a join as lists of parts; None where they are no plain chains."""
    chains = []
    for part in run:
        if part.before == (fork.name,):
            chains.append([part])
        elif ends := [chain for chain in chains if part.before == (chain[-1].name,)]:
            ends[0].append(part)
        else:
            return None
    return chains


# -- what a chapter says of them ---------------------------------------------------------------------------------------


def table(blocks):
    """Return the columns of a table: block, what it does, output, parameters, share of all parameters, and of work.

    A block that does much has several rows, the numbers in the first one.
    """
    total, work = (max(sum(block[name] for block in blocks), 1) for name in ("parameters", "work"))
    rows = []
    for block in blocks:
        first, *others = lines_of(block["says"])
        shares = block["parameters"] / total, block["work"] / work
        rows.append((block["name"], first, shape(block["output"]), block["parameters"], *shares))
        rows += [("", line, "", "", "", "") for line in others]
    names = "block", "layers", "output", "parameters", "share of parameters", "share of operations"
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def lines_of(texts, longest=66):
    """Join texts by dots into lines of at most so many letters."""
    lines = [[]]
    for text in texts:
        if lines[-1] and len(dotted([*lines[-1], text])) > longest:
            lines.append([])
        lines[-1].append(text)
    return list(map(dotted, lines))


def dotted(texts):
    """Join texts by a dot between them."""
    first, *rest = texts or [""]
    for text in rest:
        first = words("{a} · {b}", a=first, b=text)
    return first


def shape(output):
    """Return the shape of an output, such as "24×24×50"."""
    return "×".join(f"{size:,}" for size in output)


def in_a_line(blocks):
    """Say what the layers of a network do, in order, without its input and how that is normalised."""
    return dotted([text for block in blocks[1:] for text in block["says"]])


def distribution(blocks):
    """Say which block holds the largest share of the parameters, and what the convolutions hold and do: sentences."""
    total, work = (max(sum(block[name] for block in blocks), 1) for name in ("parameters", "work"))
    largest = max(blocks, key=lambda block: block["parameters"])
    known = {"name": largest["name"], "share": largest["parameters"] / total}
    told = [words("The block {name} holds the largest share of the parameters, {share:.1%}.", **known)]
    convs = [block for block in blocks if block["kind"] in ("conv", "branches")]
    if convs and len(convs) < sum(block["kind"] != "input" for block in blocks):
        shares = [sum(block[name] for block in convs) / all_ for name, all_ in (("parameters", total), ("work", work))]
        held = {"held": shares[0], "done": shares[1]}
        text = words("The convolutions hold {held:.1%} of the parameters and do {done:.1%} of the operations.", **held)
        told.append(text)
    return told
