"""Checks that tell a good saliency map from a bad one."""

import numpy as np
import pandas as pd
import tensorflow as tf
from scipy import ndimage, stats

from fer_utils.explain import graph
from fer_utils.explain.saliency import as_floats, importance, logits_of, mean_grey
from fer_utils.labels import REGIONS
from fer_utils.words import marked, words


def completeness_gap(model, images, classes, maps):
    """Return the sum of each map of `integrated_gradients` minus (logit of the image − logit of its baseline): (n,)."""
    x, rows = as_floats(images), np.arange(len(images))
    baseline = np.broadcast_to(mean_grey(x), x.shape)
    full, empty = (logits_of(model)(part).numpy()[rows, classes] for part in (x, baseline))
    return maps.sum(axis=(1, 2), dtype=np.float64) - (full - empty)


def model_free(images, seed=0):
    """Return maps that know no network, which a method should beat: dict of name -> (n, 48, 48) float32.

    Random numbers; a Gaussian blob in the centre (standard deviation 10 px); the edges of the image (Sobel).
    """
    x = as_floats(images)[..., 0]
    row, column = np.mgrid[:48, :48] - 23.5
    blob = np.exp(-(row**2 + column**2) / (2 * 10**2))
    maps = {
        words("random"): np.stack([np.random.default_rng(seed).random((48, 48))] * len(x)),
        words("centre blob"): np.stack([blob] * len(x)),
        words("Sobel edges"): np.hypot(ndimage.sobel(x, axis=1), ndimage.sobel(x, axis=2)),
    }
    return {name: values.astype(np.float32) for name, values in maps.items()}


def deletion_insertion(model, images, classes, maps, steps=24):
    """Delete, and insert, the most important pixels first, and measure the class's probability.

    Deleted pixels, and those not yet inserted, have the grey of `mean_grey`.

    Args:
        maps: (n, 48, 48), the larger the more important.
        steps: images of each curve, besides the untouched one.

    Returns:
        tuple of two (n,) arrays, areas under the curves, 0…1: deletion (a good map's is low) and insertion (high).

    References:
        Petsiuk, Das & Saenko (2018), RISE: Randomized Input Sampling for Explanation of Black-box Models.
    """
    shares = np.linspace(0, 1, steps + 1).reshape(-1, 1, 1)
    areas = []
    for image, c, values in zip(as_floats(images), classes, maps, strict=True):
        order = np.argsort(-values, axis=None, kind="stable")
        rank = np.empty(order.size)
        rank[order] = np.arange(order.size)
        first = (rank.reshape(48, 48) < shares * order.size)[..., None]  # (steps + 1, 48, 48, 1): the first so many
        grey = mean_grey(image)[0]
        both = np.concatenate([np.where(first, grey, image), np.where(first, image, grey)])
        curves = tf.nn.softmax(logits_of(model)(both))[:, c].numpy().reshape(2, -1)
        areas.append(np.trapezoid(curves, dx=1 / steps))
    return tuple(np.array(areas).T)


def randomisation(model, images, classes, chosen, stages=6, seed=0):
    """Do the maps depend on what was learned? Shuffle the weights, layer after layer, from the logits down.

    Shuffled weights have the distribution of the trained ones, but know nothing. Batch norms keep theirs. The model has
    its own weights back when this returns.

    Args:
        chosen: dict of name -> method, as `saliency.methods` gives.
        stages: up to so many rows, evenly spread over the layers; the last one is always the whole network.

    Returns:
        DataFrame: row the last layer shuffled, column the method, value the mean Spearman correlation of the maps with
        those of the trained network; near 0 is right, near 1 means the map does not depend on the weights. A constant
        map counts as 0.

    References:
        Adebayo et al. (2018), Sanity Checks for Saliency Maps.
    """

    def maps_now():
        return {name: importance(name, method(model, images, classes)) for name, method in chosen.items()}

    found = {id(step.layer): name for name, step in graph.steps(model).items() if graph.has_matrix(step.layer)}
    names, own, rng, rows = list(reversed(found.values())), model.get_weights(), np.random.default_rng(seed), {}
    shown = set(np.linspace(0, len(names) - 1, min(stages, len(names))).round().astype(int))
    trained = maps_now()
    try:
        for number, name in enumerate(names):
            layer = graph.steps(model)[name].layer
            layer.set_weights([rng.permuted(values.ravel()).reshape(values.shape) for values in layer.get_weights()])
            if number in shown:
                rows[name] = {each: np.mean(spearman(trained[each], maps)) for each, maps in maps_now().items()}
    finally:
        model.set_weights(own)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("shuffled down to")


def spearman(maps, others):
    """Return the rank correlation of each pair of maps: (n,); 0 where one of them is constant."""
    found = [
        stats.spearmanr(a, b, axis=None).statistic if np.ptp(a) and np.ptp(b) else 0.0
        for a, b in zip(maps, others, strict=True)
    ]
    return np.array(found)


def region_shares(maps, regions):
    """Return which share of each map's positive part falls on which part of the face.

    Args:
        maps: (n, 48, 48); np.ones gives the shares of the area, what a map would get by chance.
        regions: (n, 48, 48) ints, places in `labels.REGIONS`.

    Returns:
        (n, 4) float64 in the order of REGIONS, each row sums to 1; nan for a map without anything positive.
    """
    weights = np.maximum(maps, 0).astype(np.float64)
    parts = np.stack([(weights * (regions == r)).sum(axis=(1, 2)) for r in range(len(REGIONS))], axis=1)
    total = parts.sum(axis=1, keepdims=True)
    return np.divide(parts, total, out=np.full_like(parts, np.nan), where=total > 0)


def parts_of(dataset, rows):
    """Return the parts of faces: of drawn faces brows, eyes and mouth, of others the thirds of the image.

    Args:
        dataset: data.Dataset. rows: (n,) row numbers.

    Returns:
        (names, masks): three words, and (n, 48, 48) ints, 1…3 on these parts and 0 elsewhere, for `region_shares`.
    """
    if dataset.regions is not None:
        return marked("brows", "eyes", "mouth"), dataset.regions[rows]
    thirds = 1 + np.arange(48) // 16
    masks = np.broadcast_to(thirds[:, None], (len(rows), 48, 48))
    return marked("upper third", "middle third", "lower third"), masks


def margin(n, width=6):
    """Return the masks (n, 48, 48) of the outer pixels: 1 there, else 0."""
    masks = np.ones((n, 48, 48), int)
    masks[:, width:-width, width:-width] = 0
    return masks
