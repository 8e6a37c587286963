"""AVG, the mean percentage change against the specialists, for many resamples at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mixmerge.uncertainty.settings import Measure

Array = np.ndarray[Any, np.dtype[np.float64]]


def averages(values: Array, specialists: Array, measures: Sequence[Measure]) -> Array:
    """AVG as the tables define it (`mixmerge.report.comparison`), element by element.

    A specialist's value that prints as 0 has no percentage, and its column is left out, in each
    resample anew: that is part of what AVG is.

    Args:
        values: shape (columns, ...).
        specialists: the reference in each column, of a shape that fits values'.
        measures: the columns.

    Returns:
        AVG in percent, without the first axis; NaN where no column has a percentage.
    """
    total = np.zeros(values.shape[1:])
    known = np.zeros(values.shape[1:])
    for value, against, measure in zip(values, specialists, measures, strict=True):
        defined = np.broadcast_to(np.round(against, measure.digits) != 0, value.shape)
        change = np.divide(value - against, against, out=np.zeros(value.shape), where=defined)
        total += change if measure.higher_is_better else -change
        known += defined
    undefined = np.full(total.shape, np.nan)
    mean: Array = np.divide(100 * total, known, out=undefined, where=known > 0)
    return mean
