"""Intervals and comparisons of all checkpoints of one model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mixmerge.core.errors import UserError
from mixmerge.core.seeds import derive
from mixmerge.uncertainty.average import averages
from mixmerge.uncertainty.family import AVERAGE, Match, holm, matches
from mixmerge.uncertainty.proportion import mcnemar_p, paired_interval, share_interval
from mixmerge.uncertainty.resampling import (
    Array,
    percentile_interval,
    resampled_means,
    two_sided_p,
)
from mixmerge.uncertainty.rows import SuiteRows, read_rows
from mixmerge.uncertainty.settings import Measure, UncertaintySettings

#: Decimals written: far beyond them stands the order in which a processor adds up.
_DECIMALS = 9


@dataclass(frozen=True)
class Column:
    """All checkpoints in one column of scores."""

    measure: Measure
    """The column."""

    items: Array
    """Shape (checkpoints, items)."""

    draws: Array
    """Resampled means, shape (checkpoints, resamples)."""


def analyse(settings: UncertaintySettings, scores: Mapping[str, Path], seed: int) -> dict[str, Any]:
    """Intervals of every value and of AVG, and all comparisons, corrected after Holm.

    Args:
        settings: the model's checkpoints and columns, level and number of resamples.
        scores: checkpoint -> its directory of kind "scores".
        seed: of the resampling.

    Returns:
        What ``uncertainty/{model}.json`` holds (docs/uncertainty.md).

    Raises:
        UserError: see `mixmerge.uncertainty.rows.read_rows`; also where the resamples are too few
            for the largest family ever to tell two checkpoints apart.
    """
    planned = list(matches(settings))
    _check_resamples(settings, planned)
    rows = read_rows(settings.measures, {arm.name: scores[arm.name] for arm in settings.arms})
    columns = _columns(settings, rows, seed)
    order = {arm.name: i for i, arm in enumerate(settings.arms)}
    roles = {
        role: _averages(settings, columns, order, role)
        for role in ("test", "validation")
        if settings.of_role(role)
    }
    return {
        "confidence": settings.uncertainty.confidence,
        "resamples": settings.uncertainty.resamples,
        "correction": "holm",
        "intervals": _intervals(columns, order, settings.uncertainty.confidence),
        "averages": {
            name: {
                role: _interval(values[i], *ends(draws[i], settings))
                for role, (values, draws) in roles.items()
                if not np.isnan(values[i])
            }
            for name, i in order.items()
        },
        "comparisons": _comparisons(settings, planned, columns, order, roles),
    }


def ends(draws: Array, settings: UncertaintySettings) -> tuple[float, float]:
    """Percentile interval of one statistic at the settings' level."""
    low, high = percentile_interval(draws, settings.uncertainty.confidence)
    return float(low), float(high)


def _check_resamples(settings: UncertaintySettings, planned: Sequence[Match]) -> None:
    names = [match.family for match in planned]
    largest = max((names.count(name) for name in set(names)), default=0)
    resamples, alpha = settings.uncertainty.resamples, 1 - settings.uncertainty.confidence
    if largest * 2 / (resamples + 1) >= alpha:
        raise UserError(
            f"uncertainty.resamples: {resamples} cannot tell any two checkpoints apart at "
            f"confidence {settings.uncertainty.confidence:g} in a sweep of {largest}; "
            f"ask for {int(largest * 2 / alpha) + 1} or more"
        )


def _columns(
    settings: UncertaintySettings, rows: Mapping[str, SuiteRows], seed: int
) -> dict[str, Column]:
    """Resample each suite's items once, for all its metrics and all checkpoints."""
    resamples = settings.uncertainty.resamples
    columns = {}
    for suite, found in rows.items():
        metrics, arms, items = found.values.shape
        flat = found.values.reshape(metrics * arms, items).T
        means = resampled_means(flat, resamples, derive(seed, suite), suite)
        draws = np.ascontiguousarray(means.T).reshape(metrics, arms, resamples)
        for i, measure in enumerate(found.measures):
            columns[measure.key] = Column(measure, found.values[i], draws[i])
    return columns


def _intervals(
    columns: Mapping[str, Column], order: Mapping[str, int], confidence: float
) -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, dict[str, dict[str, float]]] = {name: {} for name in order}
    for key, column in columns.items():
        values = column.items.mean(axis=1)
        if column.measure.counted:
            passed = column.items.sum(axis=1)
            low, high = share_interval(passed, column.items.shape[1], confidence)
        else:
            low, high = percentile_interval(column.draws, confidence)
        for name, i in order.items():
            found[name][key] = _interval(values[i], low[i], high[i])
    return found


def _averages(
    settings: UncertaintySettings,
    columns: Mapping[str, Column],
    order: Mapping[str, int],
    role: str,
) -> tuple[Array, Array]:
    """AVG of each checkpoint, and its resamples: shapes (checkpoints,), (checkpoints, resamples).

    The specialists are resampled with the rest: AVG is uncertain in its denominators, too.
    """
    measures = settings.of_role(role)
    chosen = [order[settings.specialists[measure.task]] for measure in measures]
    values = np.stack([columns[measure.key].items.mean(axis=1) for measure in measures])
    draws = np.stack([columns[measure.key].draws for measure in measures])
    lines = range(len(measures))
    observed = averages(values, values[lines, chosen, None], measures)
    return observed, averages(draws, draws[lines, chosen, None, :], measures)


def _comparisons(
    settings: UncertaintySettings,
    planned: Sequence[Match],
    columns: Mapping[str, Column],
    order: Mapping[str, int],
    roles: Mapping[str, tuple[Array, Array]],
) -> list[dict[str, Any]]:
    found = []
    for match in planned:
        if match.column == AVERAGE:
            if np.isnan(roles["test"][0][order[match.variant]]):
                continue  # every specialist's value prints as 0
            outcome = _average_difference(settings, match, order, *roles["test"])
        else:
            one, two = order[match.variant], order[match.reference]
            outcome = _difference(settings, columns[match.column], one, two)
        found.append({**vars(match), **outcome})
    families, p_values = [e["family"] for e in found], [e["p"] for e in found]
    for entry, adjusted in zip(found, holm(families, p_values), strict=True):
        entry["p_adjusted"] = adjusted
        entry["distinguishable"] = adjusted < 1 - settings.uncertainty.confidence
    return found


def _difference(
    settings: UncertaintySettings, column: Column, one: int, two: int
) -> dict[str, Any]:
    """Difference of two checkpoints in one column, with interval and p-value."""
    difference = column.items[one] - column.items[two]
    if not column.measure.counted:
        draws = column.draws[one] - column.draws[two]
        p = float(two_sided_p(draws))
        return _outcome(difference.mean(), *ends(draws, settings), p, "bootstrap")
    gained, lost = int((difference > 0).sum()), int((difference < 0).sum())
    low, high = paired_interval(gained, lost, len(difference), settings.uncertainty.confidence)
    return _outcome(difference.mean(), float(low), float(high), mcnemar_p(gained, lost), "mcnemar")


def _average_difference(
    settings: UncertaintySettings,
    match: Match,
    order: Mapping[str, int],
    values: Array,
    draws: Array,
) -> dict[str, Any]:
    """Difference in AVG; that of the specialists is 0 by definition."""
    one = order[match.variant]
    value, spread = values[one], draws[one]
    if match.against == "mixture":
        two = order[match.reference]
        value, spread = value - values[two], spread - draws[two]
    return _outcome(value, *ends(spread, settings), float(two_sided_p(spread)), "bootstrap")


def _outcome(difference: float, low: float, high: float, p: float, method: str) -> dict[str, Any]:
    numbers = {"difference": difference, "low": low, "high": high}
    return {**{key: _written(value) for key, value in numbers.items()}, "p": p, "method": method}


def _interval(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": _written(value), "low": _written(low), "high": _written(high)}


def _written(value: float) -> float:
    """A number as it is written; adding 0 turns a negative zero."""
    return round(float(value), _DECIMALS) + 0.0
