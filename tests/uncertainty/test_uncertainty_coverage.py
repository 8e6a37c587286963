"""Intervals cover and tests err at their stated rates, on simulated verdicts and scores.

Tolerances are four standard errors of the simulated share, so that a right method fails once in
many thousand seeds, and what is known of a method's bias (docs/uncertainty.md, whose tables
benchmarks/coverage.py makes) where it has one.
"""

from math import sqrt

import numpy as np
import pytest
from coverage import MEASURES, TRUE_AVERAGE, skewed, two_suites
from scipy import stats
from statsmodels.stats.multitest import multipletests

from mixmerge.uncertainty.statistics import (
    averages,
    holm,
    paired_interval,
    percentile_interval,
    resampled_means,
    two_sided_p,
)

LEVEL, ALPHA = 0.95, 0.05


def error(trials: int, rate: float = LEVEL) -> float:
    return sqrt(rate * (1 - rate) / trials)


@pytest.mark.parametrize(("gain", "loss"), [(0.05, 0.05), (0.15, 0.15), (0.06, 0.02), (0.2, 0.05)])
def test_paired_difference(gain: float, loss: float) -> None:
    trials, problems = 20_000, 164
    draw = np.random.default_rng(problems)
    counts = draw.multinomial(problems, [gain, loss, 1 - gain - loss], size=trials)
    low, high = paired_interval(counts[:, 0], counts[:, 1], problems, LEVEL)
    covered = np.mean((low <= gain - loss) & (gain - loss <= high))
    # Cautious where few problems decide.
    assert LEVEL - 4 * error(trials) <= covered <= 0.97


def test_bootstrap_of_avg_resamples_the_specialists_too() -> None:
    draw, datasets, blocks = np.random.default_rng(12), 25, 60
    hits = np.zeros(2)
    for block in range(blocks):
        suites = two_suites(draw, 378, datasets)
        fixed = np.stack([suite[0].mean(axis=0) for suite in suites])
        draws = np.stack(
            [
                resampled_means(np.concatenate([*suite], axis=1), 1000, 2 * block + i)
                .T.reshape(2, datasets, 1000)
                for i, suite in enumerate(suites)
            ]
        )  # fmt: skip
        for i, reference in enumerate((draws[:, 0], fixed[..., None])):
            low, high = percentile_interval(averages(draws[:, 1], reference, MEASURES), LEVEL)
            hits[i] += ((low <= TRUE_AVERAGE) & (high >= TRUE_AVERAGE)).sum()
    covered, careless = hits / (datasets * blocks)
    assert covered == pytest.approx(LEVEL - 0.003, abs=4 * error(datasets * blocks))
    # Were the denominators taken for exact, the interval would be another one.
    assert abs(careless - LEVEL) > 0.02


def test_bootstrap_test_holds_its_level_and_finds_what_is_there() -> None:
    draw, trials = np.random.default_rng(13), 1500
    false, true = 0, 0
    for block in range(60):
        null = skewed(draw, 400, 25) - skewed(draw, 400, 25)
        false += int((two_sided_p(resampled_means(null, 1000, block).T) < ALPHA).sum())
        true += int((two_sided_p(resampled_means(null + 0.04, 1000, block).T) < ALPHA).sum())
    assert false / trials <= ALPHA + 0.005 + 4 * error(trials, ALPHA)
    assert true / trials > 0.9
    # No finite number of resamples proves a p-value of 0.
    assert two_sided_p(np.array([np.nan] + [1.0] * 999)) == 2 / 1000


def test_holm_is_that_of_statsmodels() -> None:
    draw = np.random.default_rng(14)
    for size in (1, 2, 9, 30):
        p_values = draw.random(size).round(1) ** 3  # some of them equal
        assert holm([*p_values]) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_resampling_is_scipys_paired_bootstrap() -> None:
    draw, items, resamples = np.random.default_rng(15), 378, 20_000
    one = skewed(draw, items, 1)
    values = np.concatenate([one, np.where(draw.random((items, 1)) < 0.7, one, 0.1)], axis=1)
    draws = resampled_means(values, resamples, 1).T
    difference = draws[0] - draws[1]
    expected = stats.bootstrap(
        (values[:, 0], values[:, 1]),
        lambda a, b, axis: np.mean(a, axis=axis) - np.mean(b, axis=axis),
        paired=True,
        method="percentile",
        n_resamples=resamples,
        batch=2000,
        rng=np.random.default_rng(2),
    )
    # A quantile's Monte-Carlo error: sqrt(q (1 - q) / n) over the density, here taken as normal.
    reach = 4 * sqrt(2) * 2.7 * expected.standard_error * error(resamples, 0.975) / 0.158
    interval = percentile_interval(difference, LEVEL)
    assert interval == pytest.approx(expected.confidence_interval, abs=reach)
    assert difference.std(ddof=1) == pytest.approx(expected.standard_error, rel=0.03)
