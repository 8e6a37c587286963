"""Coverage of intervals and errors of tests, simulated: the tables of docs/uncertainty.md.

Run `python benchmarks/coverage.py`; it takes about two minutes on one core. Shares of problems
are counted out exactly over the binomial distribution; the rest is simulated.
"""

import numpy as np
from scipy.stats import binom, norm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from mixmerge.uncertainty.settings import Measure, Uncertainty
from mixmerge.uncertainty.statistics import (
    averages,
    paired_interval,
    percentile_interval,
    resampled_means,
    two_sided_p,
)

LEVEL = Uncertainty().confidence
RESAMPLES = 1000
#: Datasets that share their resamples: their coverage is a little correlated, their number large.
BLOCK, BLOCKS = 50, 200


def shares() -> None:
    print("| problems | interval | mean coverage | least | mean width |\n|---:|---|---:|---:|---:|")
    truths = np.linspace(0.02, 0.98, 481)
    for problems in (150, 164, 378):
        passed = np.arange(problems + 1)
        for method, title in (
            ("wilson", "Wilson"),
            ("jeffreys", "Jeffreys"),
            ("beta", "Clopper-Pearson"),
            ("normal", "Wald"),
        ):
            low, high = proportion_confint(passed, problems, alpha=1 - LEVEL, method=method)
            chance = binom.pmf(passed, problems, truths[:, None])
            inside = (low <= truths[:, None]) & (truths[:, None] <= high)
            covered = (chance * inside).sum(axis=1)
            width = (chance * (high - low)).sum(axis=1).mean()
            print(
                f"| {problems} | {title} | {covered.mean():.3f} | {covered.min():.3f} "
                f"| {width:.3f} |"
            )


def pairs() -> None:
    print("| problems | gained | lost | Bonett-Price | bootstrap | McNemar finds it |")
    print("|---:|---:|---:|---:|---:|---:|")
    draw = np.random.default_rng(1)
    for problems in (164, 378):
        for gain, loss in ((0.01, 0.01), (0.05, 0.05), (0.15, 0.15), (0.06, 0.02), (0.15, 0.05)):
            chances = [gain, loss, 1 - gain - loss]
            counts = draw.multinomial(problems, chances, size=BLOCK * BLOCKS)
            low, high = paired_interval(counts[:, 0], counts[:, 1], problems, LEVEL)
            adjusted = np.mean((low <= gain - loss) & (gain - loss <= high))
            hits = 0
            for block in range(BLOCKS):
                items = draw.choice([1.0, -1.0, 0.0], p=chances, size=(problems, BLOCK))
                low, high = _interval(items, block)
                hits += ((low <= gain - loss) & (gain - loss <= high)).sum()
            p_values = [mcnemar([[0, a], [b, 0]], exact=True).pvalue for a, b, _ in counts]
            rejected = np.mean(np.array(p_values) < 1 - LEVEL)
            print(
                f"| {problems} | {gain:.2f} | {loss:.2f} | {adjusted:.3f} "
                f"| {hits / BLOCK / BLOCKS:.3f} | {rejected:.3f} |"
            )


def means() -> None:
    print("| items | mean of a skewed metric, percentile | the same, BCa | AVG, percentile | BCa |")
    print("|---:|---:|---:|---:|---:|")
    draw = np.random.default_rng(2)
    for items in (60, 150, 378, 1500):
        hits = np.zeros(4)
        for block in range(BLOCKS):
            values = skewed(draw, items)
            means = resampled_means(values, RESAMPLES, block).T
            hits[:2] += _hits(means, values.mean(axis=0), _skew(values), 0.05)
            hits[2:] += _average_hits(draw, items, block)
        shown = " | ".join(f"{hit / BLOCK / BLOCKS:.3f}" for hit in hits)
        print(f"| {items} | {shown} |")


def errors() -> None:
    """False alarms of the bootstrap test where nothing differs."""
    print("| items | p < 0.05 |\n|---:|---:|")
    draw = np.random.default_rng(3)
    for items in (60, 150, 378, 1500):
        found = 0
        for block in range(BLOCKS):
            difference = skewed(draw, items) - skewed(draw, items)
            found += (two_sided_p(resampled_means(difference, RESAMPLES, block).T) < 0.05).sum()
        print(f"| {items} | {found / BLOCK / BLOCKS:.3f} |")


def skewed(draw: np.random.Generator, items: int, datasets: int = BLOCK) -> np.ndarray:
    """Like unsmoothed BLEU: four in five are 0, the rest spread out; its mean is 0.05."""
    size = (items, datasets)
    return np.where(draw.random(size) < 0.8, 0.0, draw.beta(1, 3, size))


#: Two suites' columns, and AVG of a checkpoint in `two_suites`, which is known.
MEASURES = [
    Measure(
        suite=suite,
        metric="m",
        task=suite,
        role="test",
        digits=3,
        higher_is_better=True,
        counted=False,
    )
    for suite in ("code", "text")
]
TRUE_AVERAGE = 100 * (0.54 / 0.60 - 1 + 0.9 - 1) / 2


def two_suites(
    draw: np.random.Generator, items: int, datasets: int = BLOCK
) -> tuple[np.ndarray, np.ndarray]:
    """Verdicts and scores of a specialist and a checkpoint that succeed on the same items.

    Returns:
        A suite each, shape (checkpoints, items, datasets).
    """
    size = (items, datasets)
    common = draw.random(size)
    own = np.where(draw.random(size) < 0.7, common, draw.random(size))
    code = np.stack([common < 0.60, own < 0.54]).astype(float)
    ease = draw.lognormal(0, 0.8, size)
    text = np.stack([ease * draw.random(size), 0.9 * ease * draw.random(size)])
    return code, text


def _average_hits(draw: np.random.Generator, items: int, seed: int) -> np.ndarray:
    """AVG over two suites."""
    suites = two_suites(draw, items)
    values = np.stack([suite.mean(axis=1) for suite in suites])  # suite, checkpoint, dataset
    draws = np.stack(
        [
            np.stack([resampled_means(one, RESAMPLES, 2 * seed + i).T for one in suite])
            for i, suite in enumerate(suites)
        ]
    )
    observed = averages(values[:, 1], values[:, 0], MEASURES)
    resampled = averages(draws[:, 1], draws[:, 0], MEASURES)
    left_out = []  # influence of each item of each suite
    for i, suite in enumerate(suites):
        rest = (suite.sum(axis=1, keepdims=True) - suite) / (items - 1)
        without = [np.broadcast_to(values[j][:, None], rest.shape) for j in range(2)]
        without[i] = rest
        stacked = np.stack(without)
        jackknife = averages(stacked[:, 1], stacked[:, 0], MEASURES)
        left_out.append(jackknife.mean(axis=0) - jackknife)
    influence = np.concatenate(left_out)
    skew = (influence**3).sum(axis=0) / 6 / (influence**2).sum(axis=0) ** 1.5
    return _hits(resampled, observed, skew, TRUE_AVERAGE)


def _interval(values: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return percentile_interval(resampled_means(values, RESAMPLES, seed).T, LEVEL)


def _skew(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(axis=0)
    return (centred**3).sum(axis=0) / 6 / (centred**2).sum(axis=0) ** 1.5


def _hits(draws: np.ndarray, observed: np.ndarray, skew: np.ndarray, truth: float) -> np.ndarray:
    """How many percentile and how many BCa intervals hold the truth; draws: (datasets, draws)."""
    low, high = percentile_interval(draws, LEVEL)
    below = (draws < observed[:, None]).mean(axis=1) + (draws <= observed[:, None]).mean(axis=1)
    bias = norm.ppf(below / 2)
    ends = []
    for tail in ((1 - LEVEL) / 2, (1 + LEVEL) / 2):
        shifted = bias + norm.ppf(tail)
        level = norm.cdf(bias + shifted / (1 - skew * shifted))
        ends.append([np.quantile(line, at) for line, at in zip(draws, level, strict=True)])
    corrected = (np.array(ends[0]) <= truth) & (truth <= np.array(ends[1]))
    return np.array([((low <= truth) & (truth <= high)).sum(), corrected.sum()])


if __name__ == "__main__":
    for part in (shares, pairs, means, errors):
        print(f"\n{part.__name__}\n")
        part()
