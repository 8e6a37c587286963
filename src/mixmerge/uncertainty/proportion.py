"""Shares of problems solved: their intervals, and exact tests of two checkpoints on the same ones.

statsmodels does the statistics but for the interval of a paired difference, which it lacks: that is
Bonett and Price's adjusted Wald interval (2012, Journal of Educational and Behavioral Statistics
37(4)), recommended by Fagerland, Lydersen and Laake (2014, Statistics in Medicine 33(16)).
"""

from typing import Any

import numpy as np
from scipy.stats import norm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

Array = np.ndarray[Any, np.dtype[np.float64]]


def share_interval(passed: Any, problems: Any, confidence: float) -> tuple[Array, Array]:
    """Wilson's score interval of shares.

    Args:
        passed: number of problems solved, one or an array.
        problems: number of problems.
        confidence: level, such as 0.95.

    Returns:
        Lower and upper ends.
    """
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
    """Interval of the difference of two shares on the same problems, after Bonett and Price.

    Args:
        gained: problems that only the first checkpoint solves, one or an array.
        lost: problems that only the second one solves.
        problems: number of problems.
        confidence: level, such as 0.95.

    Returns:
        Lower and upper ends of share of the first minus share of the second.
    """
    one, two = (np.asarray(count) + 1 for count in (gained, lost))
    size = problems + 2
    centre = (one - two) / size
    spread = np.sqrt(((one + two) / size - centre**2) / size)
    reach = norm.ppf((1 + confidence) / 2) * spread
    return np.maximum(centre - reach, -1.0), np.minimum(centre + reach, 1.0)
