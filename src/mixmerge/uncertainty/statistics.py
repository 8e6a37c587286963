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


def paired_interval(
    gained: Any, lost: Any, problems: int, confidence: float
) -> tuple[Array, Array]:
    """Bonett and Price's adjusted Wald interval (2012) of the difference of two paired shares.

    ``gained`` and ``lost`` count the problems that only the first or only the second solves.
    """
    one, two = (np.asarray(count) + 1 for count in (gained, lost))
    size = problems + 2
    centre = (one - two) / size
    spread = np.sqrt(((one + two) / size - centre**2) / size)
    reach = norm.ppf((1 + confidence) / 2) * spread
    return np.maximum(centre - reach, -1.0), np.minimum(centre + reach, 1.0)


def resampled_means(values: Array, resamples: int, seed: int, label: str = "resample") -> Array:
    """Means over items drawn with replacement, the same for all columns, which pairs them.

    `scipy.stats.bootstrap` gathers the values anew; a mean needs only how often an item was drawn.
    From shape (items, columns) to (resamples, columns); ``label`` names the progress bar.
    """
    items = len(values)
    generator = np.random.default_rng(seed)
    step = max(1, 4_000_000 // items)  # 32 MB of counts
    blocks = []
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

    Twice the share of resamples (last axis, NaN where not defined) on the rarer side of 0, those at
    0 on both, the sample itself counted as one more (Davison and Hinkley 1997, 4.2.5): never 0.
    """
    # Differences below this are rounding: sums of the same numbers in another order.
    rounded = np.round(draws, 12)
    defined = np.sum(~np.isnan(rounded), axis=-1)
    rarer = np.minimum((rounded <= 0).sum(axis=-1), (rounded >= 0).sum(axis=-1))
    p_values: Array = np.minimum(1.0, 2 * (rarer + 1) / (defined + 1))
    return p_values


def averages(values: Array, specialists: Array, measures: Sequence[Measure]) -> Array:
    """AVG as the tables define it, the mean change against the specialists in percent.

    Where a specialist's value prints as 0, in each resample anew, its column is left out. From
    shape (columns, ...), which the specialists' fits, to (...); NaN where no column is left.
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
    """Holm's adjusted p-values of a family; statsmodels' own takes a tenth of a second a call."""
    values = np.array(p_values)
    order = np.argsort(values)
    scaled = values[order] * np.arange(len(order), 0, -1)
    values[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return [float(value) for value in values]
