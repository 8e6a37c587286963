"""Intervals cover and tests err at their stated rates, on simulated verdicts and scores.

Tolerances are four standard errors of the simulated share, so that a right method fails once in
many thousand seeds, and what is known of a method's bias (docs/uncertainty.md) where it has one.
"""

from functools import cache
from math import sqrt

import numpy as np
import pytest
from scipy import stats

from mixmerge.uncertainty.settings import Measure
from mixmerge.uncertainty.statistics import (
    averages,
    holm,
    mcnemar_p,
    paired_interval,
    percentile_interval,
    resampled_means,
    share_interval,
    two_sided_p,
)

LEVEL, ALPHA = 0.95, 0.05
p_value = cache(mcnemar_p)


def error(trials: int, rate: float = LEVEL) -> float:
    return sqrt(rate * (1 - rate) / trials)


@pytest.mark.parametrize("problems", [40, 164, 378, 25_834])
@pytest.mark.parametrize("level", [0.8, LEVEL, 0.99])
def test_pass_at_1_over_all_shares(problems: int, level: float) -> None:
    trials = 40_000
    draw = np.random.default_rng(problems)
    truth = draw.uniform(0.02, 0.98, trials)
    low, high = share_interval(draw.binomial(problems, truth), problems, level)
    covered = np.mean((low <= truth) & (truth <= high))
    # Averaged over shares, Wilson's interval is off by 0.002 at 40 problems, less with more.
    assert covered == pytest.approx(level, abs=4 * error(trials, level) + 0.08 / problems)


@pytest.mark.parametrize("truth", [0.1, 0.37, 0.5, 0.69, 0.9])
def test_pass_at_1_at_any_share(truth: float) -> None:
    trials, problems = 40_000, 164
    passed = np.random.default_rng(7).binomial(problems, truth, trials)
    low, high = share_interval(passed, problems, LEVEL)
    # Counts are whole numbers: at one share it cannot be the stated rate exactly.
    assert np.mean((low <= truth) & (truth <= high)) == pytest.approx(LEVEL, abs=0.015)


@pytest.mark.parametrize("problems", [164, 378])
@pytest.mark.parametrize(("gain", "loss"), [(0.05, 0.05), (0.15, 0.15), (0.06, 0.02), (0.2, 0.05)])
def test_paired_difference(problems: int, gain: float, loss: float) -> None:
    trials = 20_000
    draw = np.random.default_rng(problems)
    counts = draw.multinomial(problems, [gain, loss, 1 - gain - loss], size=trials)
    low, high = paired_interval(counts[:, 0], counts[:, 1], problems, LEVEL)
    covered = np.mean((low <= gain - loss) & (gain - loss <= high))
    # Cautious where few problems decide.
    assert LEVEL - 4 * error(trials) <= covered <= 0.97


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.3])
def test_mcnemar_holds_its_level_and_finds_what_is_there(rate: float) -> None:
    draw, trials, problems = np.random.default_rng(3), 4000, 164
    null = draw.multinomial(problems, [rate / 2, rate / 2, 1 - rate], size=trials)
    false = np.mean([p_value(int(a), int(b)) < ALPHA for a, b, _ in null])
    assert false <= ALPHA + 4 * error(trials, ALPHA)
    real = draw.multinomial(problems, [0.15, 0.03, 0.82], size=trials)
    assert np.mean([p_value(int(a), int(b)) < ALPHA for a, b, _ in real]) > 0.9


def test_mcnemar_is_the_binomial_test_of_the_problems_that_differ() -> None:
    for gained in range(0, 30, 3):
        for lost in range(0, 30, 4):
            n = gained + lost
            expected = stats.binomtest(gained, n).pvalue if n else 1.0
            assert mcnemar_p(gained, lost) == pytest.approx(expected, rel=1e-9)


def skewed(draw: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Like unsmoothed BLEU: four in five are 0; the mean is 0.05."""
    return np.where(draw.random(size) < 0.8, 0.0, draw.beta(1, 3, size))


def test_bootstrap_of_a_skewed_metric() -> None:
    draw, hits, datasets = np.random.default_rng(11), 0, 25
    blocks = 60
    for block in range(blocks):
        draws = resampled_means(skewed(draw, (400, datasets)), 1000, block).T
        low, high = percentile_interval(draws, LEVEL)
        hits += int(((low <= 0.05) & (high >= 0.05)).sum())
    trials = datasets * blocks
    # Known to be 0.005 short at this size.
    assert hits / trials == pytest.approx(LEVEL - 0.005, abs=4 * error(trials))


def test_bootstrap_of_avg_resamples_the_specialists_too() -> None:
    """Verdicts and scores of two checkpoints that succeed on the same items."""
    draw, datasets, blocks, items = np.random.default_rng(12), 25, 60, 378
    hits, careless = 0, 0
    truth = 100 * ((0.54 / 0.60 - 1) + (0.9 - 1)) / 2
    measures = [measure("code"), measure("text")]
    for block in range(blocks):
        size = (items, datasets)
        common, ease = draw.random(size), draw.lognormal(0, 0.8, size)
        own = np.where(draw.random(size) < 0.7, common, draw.random(size))
        code = np.concatenate([common < 0.60, own < 0.54], axis=1).astype(float)
        text = np.concatenate([ease * draw.random(size), 0.9 * ease * draw.random(size)], axis=1)
        means = [
            resampled_means(suite, 1000, 2 * block + i).T.reshape(2, datasets, 1000)
            for i, suite in enumerate((code, text))
        ]
        draws = np.stack(means)
        fixed = np.stack([s.mean(axis=0).reshape(2, datasets)[0] for s in (code, text)])
        for count, reference in enumerate((draws[:, 0], fixed[..., None])):
            low, high = percentile_interval(averages(draws[:, 1], reference, measures), LEVEL)
            found = int(((low <= truth) & (truth <= high)).sum())
            hits, careless = (hits + found, careless) if count == 0 else (hits, careless + found)
    trials = datasets * blocks
    assert hits / trials == pytest.approx(LEVEL - 0.003, abs=4 * error(trials))
    # Were the denominators taken for exact, the interval would be another one.
    assert careless / trials > LEVEL + 0.02 or careless / trials < LEVEL - 0.02


def measure(suite: str) -> Measure:
    return Measure(
        suite=suite,
        metric="m",
        task=suite,
        role="test",
        digits=3,
        higher_is_better=True,
        counted=False,
    )


def test_bootstrap_test_holds_its_level_and_finds_what_is_there() -> None:
    draw, trials = np.random.default_rng(13), 1500
    false, true = 0, 0
    for block in range(60):
        null = skewed(draw, (400, 25)) - skewed(draw, (400, 25))
        false += int((two_sided_p(resampled_means(null, 1000, block).T) < ALPHA).sum())
        true += int((two_sided_p(resampled_means(null + 0.04, 1000, block).T) < ALPHA).sum())
    assert false / trials <= ALPHA + 0.005 + 4 * error(trials, ALPHA)
    assert true / trials > 0.9


def test_holm_keeps_the_error_of_a_sweep() -> None:
    """Nine ratios that are no better than the mixture they are all compared with."""
    draw, sweeps, problems = np.random.default_rng(14), 2500, 378
    p_values, families = [], []
    for sweep in range(sweeps):
        ease = draw.random(problems)
        lines = np.where(draw.random((10, problems)) < 0.5, ease, draw.random((10, problems))) < 0.7
        mixture, ratios = lines[0], lines[1:]
        for line in ratios:
            gained, lost = int((line & ~mixture).sum()), int((~line & mixture).sum())
            p_values.append(p_value(gained, lost))
            families.append(str(sweep))
    adjusted = np.array(holm(families, p_values)).reshape(sweeps, 9)
    false = np.mean((adjusted < ALPHA).any(axis=1))
    assert false <= ALPHA + 4 * error(sweeps, ALPHA)
    assert np.mean((np.array(p_values).reshape(sweeps, 9) < ALPHA).any(axis=1)) > 2 * ALPHA
    # By hand: the least of nine counts nine times, the next one eight times.
    order = np.sort(np.array(p_values[:9]))
    by_hand = np.minimum(np.maximum.accumulate(order * np.arange(9, 0, -1)), 1)
    assert np.sort(adjusted[0]) == pytest.approx(by_hand)


@pytest.mark.parametrize("items", [50, 378])
def test_resampling_is_scipys_paired_bootstrap(items: int) -> None:
    draw = np.random.default_rng(15)
    one = skewed(draw, (items, 1))
    values = np.concatenate([one, np.where(draw.random((items, 1)) < 0.7, one, 0.1)], axis=1)
    resamples = 20_000
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
    interval = percentile_interval(difference, LEVEL)
    # A quantile's Monte-Carlo error: sqrt(q (1 - q) / n) over the density, here taken as normal.
    reach = 4 * sqrt(2) * 2.7 * expected.standard_error * error(resamples, 0.975) / 0.158
    assert interval[0] == pytest.approx(expected.confidence_interval.low, abs=reach)
    assert interval[1] == pytest.approx(expected.confidence_interval.high, abs=reach)
    assert difference.std(ddof=1) == pytest.approx(expected.standard_error, rel=0.03)
