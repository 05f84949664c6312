"""Compare on which parts of the face the maps of classes and of methods lie."""

import numpy as np
import pandas as pd

from fer_utils import metrics
from fer_utils.labels import CLASSES


def mean_share(shares):
    """Return the mean of the shares (n,) of a part in n maps, without nan, as a Share with its bootstrap interval."""
    return metrics.Share(*metrics.mean(shares[~np.isnan(shares)]))


def class_parts(shares, classes):
    """Compare the shares of the parts between the classes.

    Args:
        shares: (n, parts), of each map, as `checks.region_shares` gives; rows with nan are left out.
        classes: (n,) ints, what the maps explain; a class of fewer than two maps is left out.

    Returns:
        DataFrame, one row per class and part: label, part (ints), share (Share, mean of the class), others (mean of the
        other classes) and more (bool: significantly more than in the other classes, by Mann-Whitney's U test at the 5 %
        level after Holm's adjustment over all rows).

    References:
        Mann & Whitney (1947), On a test of whether one of two random variables is stochastically larger than the other,
        Annals of Mathematical Statistics 18.
    """
    from scipy.stats import mannwhitneyu

    known, rows = ~np.isnan(shares).any(axis=1), []
    for c in (c for c in range(len(CLASSES)) if (known & (classes == c)).sum() > 1):
        own, others = shares[known & (classes == c)], shares[known & (classes != c)]
        for part, (a, b) in enumerate(zip(own.T, others.T, strict=True)):
            mean, p = (b.mean(), mannwhitneyu(a, b).pvalue) if len(b) else (np.nan, np.nan)
            rows.append((c, part, mean_share(a), mean, a.mean() > mean, p))
    table = pd.DataFrame(rows, columns=["label", "part", "share", "others", "above", "p"])
    more = (metrics.holm(table["p"]) < 0.05) & table["above"] if rows else []
    return table.assign(more=more).drop(columns=["above", "p"])


def stressed(shares, areas):
    """Return the parts that get more than their area by every method, beyond the 95 % intervals.

    Args:
        shares: list of (n, parts), one per method. areas: dict of part -> its share of the area.
    """
    lowest = [[mean_share(part).low for part in of_method.T] for of_method in shares]
    return [part for part, least in zip(areas, np.min(lowest, axis=0), strict=True) if least > areas[part]]
