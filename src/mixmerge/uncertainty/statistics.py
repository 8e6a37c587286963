"""What statsmodels lacks: paired intervals, the bootstrap over items, AVG, Holm's correction.

Intervals are pairs of lower and upper ends, at a level such as 0.95.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import norm
from tqdm import tqdm

from mixmerge.uncertainty.settings import Measure

Array = np.ndarray[Any, np.dtype[np.float64]]

#: Numbers in a block of counts: 32 MB.
_BLOCK = 4_000_000
#: Differences below this are rounding: sums of the same numbers in another order.
_DECIMALS = 12


def paired_interval(
    gained: Any, lost: Any, problems: int, confidence: float
) -> tuple[Array, Array]:
    """Interval of the difference of two shares of the same problems.

    It is Bonett and Price's adjusted Wald interval (2012, Journal of Educational and Behavioral
    Statistics 37(4)), which Fagerland, Lydersen and Laake recommend (2014, Statistics in Medicine
    33(16)). Only the first checkpoint solves what is gained, only the second what is lost: numbers
    of problems, one or an array.
    """
    one, two = (np.asarray(count) + 1 for count in (gained, lost))
    size = problems + 2
    centre = (one - two) / size
    spread = np.sqrt(((one + two) / size - centre**2) / size)
    reach = norm.ppf((1 + confidence) / 2) * spread
    return np.maximum(centre - reach, -1.0), np.minimum(centre + reach, 1.0)


def resampled_means(values: Array, resamples: int, seed: int, label: str = "resample") -> Array:
    """Means over items drawn with replacement, the same items for all columns.

    `scipy.stats.bootstrap` gathers the values of every resample anew; a mean needs only how often
    each item was drawn, and those counts serve all columns at once, which also pairs them.

    From shape (items, columns) to (resamples, columns); ``label`` names the progress bar.
    """
    items = len(values)
    generator = np.random.default_rng(seed)
    blocks = []
    step = max(1, _BLOCK // items)
    with tqdm(total=resamples, desc=label, unit="resample", mininterval=1) as bar:
        for start in range(0, resamples, step):
            rows = min(step, resamples - start)
            drawn = generator.integers(0, items, size=(rows, items))
            drawn += np.arange(rows)[:, None] * items
            counts = np.bincount(drawn.ravel(), minlength=rows * items).reshape(rows, items)
            blocks.append(counts.astype(np.float64) @ values / items)
            bar.update(rows)
    return np.concatenate(blocks)


def percentile_interval(draws: Array, confidence: float) -> tuple[Array, Array]:
    """Percentile interval of a statistic from its resamples (last axis, NaN where not defined)."""
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(draws, [tail, 1 - tail], axis=-1)
    return low, high


def two_sided_p(draws: Array) -> Array:
    """Two-sided p-value of "the difference is 0": the level whose percentile interval reaches 0.

    It is twice the share of resamples (last axis, NaN where not defined) on the rarer side of 0,
    where resamples at 0 count for both sides, and the observed sample counts as one resample more
    (Davison and Hinkley 1997, 4.2.5): no finite number of resamples can prove a p-value of 0.
    """
    rounded = np.round(draws, _DECIMALS)
    defined = np.sum(~np.isnan(rounded), axis=-1)
    rarer = np.minimum((rounded <= 0).sum(axis=-1), (rounded >= 0).sum(axis=-1))
    p_values: Array = np.minimum(1.0, 2 * (rarer + 1) / (defined + 1))
    return p_values


def averages(values: Array, specialists: Array, measures: Sequence[Measure]) -> Array:
    """AVG as the tables define it, the mean percentage change against the specialists.

    A specialist's value that prints as 0 has no percentage, and its column is left out, in each
    resample anew: that is part of what AVG is.

    ``values`` has the shape (columns, ...), which the references' fits; AVG, in percent, lacks the
    first axis, and is NaN where no column has a percentage.
    """
    total, known = np.zeros(values.shape[1:]), np.zeros(values.shape[1:])
    for value, reference, measure in zip(values, specialists, measures, strict=True):
        defined = np.broadcast_to(np.round(reference, measure.digits) != 0, value.shape)
        change = np.divide(value - reference, reference, out=np.zeros(value.shape), where=defined)
        total += change if measure.higher_is_better else -change
        known += defined
    mean: Array = np.divide(100 * total, known, out=np.full(total.shape, np.nan), where=known > 0)
    return mean


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (1979, Scandinavian Journal of Statistics 6(2)) of one family.

    Not statsmodels' own, which collects garbage at each call: a tenth of a second.
    """
    values = np.array(p_values)
    order = np.argsort(values)
    adjusted = np.empty_like(values)
    scaled = values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    result: list[float] = adjusted.tolist()
    return result
