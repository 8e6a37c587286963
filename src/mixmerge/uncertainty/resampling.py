"""The bootstrap over items: resampled means, and what is read off them.

`scipy.stats.bootstrap` gathers the values of every resample anew; a mean needs only how often each
item was drawn, and those counts serve all checkpoints and metrics of a suite at once, which also
pairs them. One matrix product then takes the place of hundreds of gathers.
"""

from typing import Any

import numpy as np
from tqdm import tqdm

Array = np.ndarray[Any, np.dtype[np.float64]]

#: Numbers in a block of counts: 32 MB.
_BLOCK = 4_000_000

#: Differences below this are rounding: sums of the same numbers in another order.
_DECIMALS = 12


def resampled_means(values: Array, resamples: int, seed: int, label: str = "resample") -> Array:
    """Means over items drawn with replacement, the same items for all columns.

    Args:
        values: shape (items, columns).
        resamples: how often as many items as there are are drawn.
        seed: of the draws.
        label: what the progress bar is called.

    Returns:
        Means, shape (resamples, columns).
    """
    items = len(values)
    draw = np.random.default_rng(seed)
    means = np.empty((resamples, values.shape[1]))
    step = max(1, _BLOCK // items)
    with tqdm(total=resamples, desc=label, unit="resample", mininterval=1) as bar:
        for start in range(0, resamples, step):
            rows = min(step, resamples - start)
            drawn = draw.integers(0, items, size=(rows, items))
            drawn += np.arange(rows)[:, None] * items
            counts = np.bincount(drawn.ravel(), minlength=rows * items).reshape(rows, items)
            means[start : start + rows] = counts.astype(np.float64) @ values / items
            bar.update(rows)
    return means


def percentile_interval(draws: Array, confidence: float) -> tuple[Array, Array]:
    """Percentile interval of a statistic from its resamples.

    Args:
        draws: resampled statistics along the last axis; NaN where one is not defined.
        confidence: level, such as 0.95.

    Returns:
        Lower and upper ends, without the last axis.
    """
    tail = (1 - confidence) / 2
    # nanquantile is many times slower, and hardly any statistic is ever undefined.
    quantile = np.nanquantile if np.isnan(draws).any() else np.quantile
    low, high = quantile(draws, [tail, 1 - tail], axis=-1)
    return low, high


def two_sided_p(draws: Array) -> Array:
    """Two-sided p-value of "the difference is 0": the level whose percentile interval reaches 0.

    It is twice the share of resamples on the rarer side of 0, where resamples at 0 count for both
    sides, and the observed sample counts as one resample more (Davison and Hinkley 1997, 4.2.5):
    no finite number of resamples can prove a p-value of 0.

    Args:
        draws: resampled differences along the last axis; NaN where one is not defined.

    Returns:
        p-values, without the last axis.
    """
    rounded = np.round(draws, _DECIMALS)
    defined = np.sum(~np.isnan(rounded), axis=-1)
    rarer = np.minimum((rounded <= 0).sum(axis=-1), (rounded >= 0).sum(axis=-1))
    p_values: Array = np.minimum(1.0, 2 * (rarer + 1) / (defined + 1))
    return p_values
