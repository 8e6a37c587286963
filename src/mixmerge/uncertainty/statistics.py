"""The statistics of scores: intervals, tests, the bootstrap over items, AVG and Holm's correction.

statsmodels does shares and McNemar's test. The interval of a paired difference, which it lacks, is
Bonett and Price's adjusted Wald interval (2012, Journal of Educational and Behavioral Statistics
37(4)), recommended by Fagerland, Lydersen and Laake (2014, Statistics in Medicine 33(16)).
Intervals are pairs of lower and upper ends, at a level such as 0.95.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import norm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint
from tqdm import tqdm

from mixmerge.uncertainty.settings import Measure

Array = np.ndarray[Any, np.dtype[np.float64]]

#: Numbers in a block of counts: 32 MB.
_BLOCK = 4_000_000

#: Differences below this are rounding: sums of the same numbers in another order.
_DECIMALS = 12


def share_interval(passed: Any, problems: Any, confidence: float) -> tuple[Array, Array]:
    """Wilson's score interval of the share of problems passed, one or an array."""
    low, high = proportion_confint(passed, problems, alpha=1 - confidence, method="wilson")
    # At 0 and 1 the ends are exact but for rounding.
    passed, problems = np.asarray(passed), np.asarray(problems)
    return np.where(passed == 0, 0.0, low), np.where(passed == problems, 1.0, high)


def mcnemar_p(gained: int, lost: int) -> float:
    """Two-sided p-value of McNemar's exact test.

    Args:
        gained: problems that only the first checkpoint solves.
        lost: problems that only the second one solves.
    """
    # The problems that both or neither solve have no part in it.
    return float(mcnemar([[0, gained], [lost, 0]], exact=True).pvalue)


def paired_interval(
    gained: Any, lost: Any, problems: int, confidence: float
) -> tuple[Array, Array]:
    """Interval of the difference of two shares of the same problems, after Bonett and Price.

    Args:
        gained: problems that only the first checkpoint solves, one or an array.
        lost: problems that only the second one solves.
        problems: number of problems.
        confidence: level.
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

    Args:
        values: shape (items, columns).
        resamples: how often as many items as there are are drawn.
        seed: of the draws.
        label: what the progress bar is called.

    Returns:
        Means, shape (resamples, columns).
    """
    items = len(values)
    generator = np.random.default_rng(seed)
    means = np.empty((resamples, values.shape[1]))
    step = max(1, _BLOCK // items)
    with tqdm(total=resamples, desc=label, unit="resample", mininterval=1) as bar:
        for start in range(0, resamples, step):
            rows = min(step, resamples - start)
            drawn = generator.integers(0, items, size=(rows, items))
            drawn += np.arange(rows)[:, None] * items
            counts = np.bincount(drawn.ravel(), minlength=rows * items).reshape(rows, items)
            means[start : start + rows] = counts.astype(np.float64) @ values / items
            bar.update(rows)
    return means


def percentile_interval(draws: Array, confidence: float) -> tuple[Array, Array]:
    """Percentile interval of a statistic from its resamples, along the last axis.

    A statistic that is not defined in a resample is NaN there.
    """
    tail = (1 - confidence) / 2
    # nanquantile is many times slower, and hardly any statistic is ever undefined.
    quantile = np.nanquantile if np.isnan(draws).any() else np.quantile
    low, high = quantile(draws, [tail, 1 - tail], axis=-1)
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

    Args:
        values: shape (columns, ...).
        specialists: the reference in each column, of a shape that fits values'.
        measures: the columns.

    Returns:
        AVG in percent, without the first axis; NaN where no column has a percentage.
    """
    total, known = np.zeros(values.shape[1:]), np.zeros(values.shape[1:])
    for value, reference, measure in zip(values, specialists, measures, strict=True):
        defined = np.broadcast_to(np.round(reference, measure.digits) != 0, value.shape)
        change = np.divide(value - reference, reference, out=np.zeros(value.shape), where=defined)
        total += change if measure.higher_is_better else -change
        known += defined
    mean: Array = np.divide(100 * total, known, out=np.full(total.shape, np.nan), where=known > 0)
    return mean


def holm(families: Sequence[str], p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (1979, Scandinavian Journal of Statistics 6(2)), family by family.

    Not statsmodels' own, which collects garbage at each call: a tenth of a second.

    Args:
        families: the family of each comparison.
        p_values: p-value of each comparison.

    Returns:
        Adjusted p-values in the same order.
    """
    names, values = np.array(families), np.array(p_values, dtype=np.float64)
    adjusted = np.empty_like(values)
    for family in dict.fromkeys(families):
        (members,) = np.nonzero(names == family)
        ordered = members[np.argsort(values[members])]
        scaled = values[ordered] * np.arange(len(ordered), 0, -1)
        adjusted[ordered] = np.minimum(np.maximum.accumulate(scaled), 1)
    return [float(value) for value in adjusted]
