"""Intervals of all checkpoints of one model, and their comparisons, corrected after Holm."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint
from tqdm import tqdm

from mixmerge.core.errors import UserError
from mixmerge.core.io import derived_seed, read_jsonl
from mixmerge.uncertainty import statistics
from mixmerge.uncertainty.settings import Measure, UncertaintySettings
from mixmerge.uncertainty.statistics import Array

#: Column key of comparisons of AVG.
AVERAGE = "avg"
#: Decimals written: far beyond them stands the order in which a processor adds up.
_DECIMALS = 9


class Match(NamedTuple):
    """One comparison to be made: of a checkpoint with a reference, in a column or in AVG."""

    variant: str
    against: str  # "mixture" or "specialist"
    reference: str  # a checkpoint; for AVG all specialists, joined by ``+``
    column: str
    family: str  # the same in all comparisons that are corrected together


class _Column(NamedTuple):
    """The scores of all checkpoints in one column, or their AVG."""

    counted: bool  # whether items pass or fail
    values: Array  # (checkpoints,); NaN where AVG has none
    draws: Array  # the values resampled, (checkpoints, resamples)
    items: Array  # (checkpoints, items); no items for AVG


def analyse(settings: UncertaintySettings, scores: Mapping[str, Path], seed: int) -> dict[str, Any]:
    """What ``uncertainty/{model}.json`` holds (docs/uncertainty.md).

    ``scores`` names each checkpoint's directory of kind "scores". The resamples must be enough for
    the largest family to tell two checkpoints apart.
    """
    level, resamples = settings.uncertainty.confidence, settings.uncertainty.resamples
    planned = list(matches(settings))
    largest = max(Counter(match.family for match in planned).values(), default=0)
    # No p-value is below 2 / (resamples + 1), and Holm multiplies it by the family's size.
    if largest * 2 / (resamples + 1) >= 1 - level:
        raise UserError(
            f"uncertainty.resamples: {resamples} cannot tell any two checkpoints apart at "
            f"confidence {level:g} in a sweep of {largest}; "
            f"ask for {int(largest * 2 / (1 - level)) + 1} or more"
        )
    columns = _columns(settings, scores, seed)
    roles = {
        role: _averages(settings, columns, role)
        for role in ("test", "validation")
        if settings.of_role(role)
    }
    places = {arm.name: place for place, arm in enumerate(settings.arms)}
    return {
        "confidence": level,
        "resamples": resamples,
        "correction": "holm",
        "intervals": _intervals(columns, places, level),
        "averages": _intervals(roles, places, level),
        "comparisons": _comparisons(planned, {**columns, AVERAGE: roles["test"]}, places, level),
    }


def matches(settings: UncertaintySettings) -> Iterator[Match]:
    """All comparisons of a model, on the test suites.

    Merges meet the mixture and the specialists in every column and in AVG; base and mixtures meet
    the specialists; a specialist meets the others in their columns. Specialists trained on another
    share of their data meet the specialist of their own task in its columns.
    """
    everyone = "+".join(settings.specialists[task] for task in settings.tasks)
    for arm in settings.arms:
        scaled = arm.kind == "sft" and arm.name not in settings.specialists.values()
        references = {
            measure.key: settings.specialists[measure.task]
            for measure in settings.of_role("test")
            if not scaled or arm.task == measure.task
        }
        if not scaled:
            references[AVERAGE] = everyone
        # The checkpoints that differ only in what is swept: a ratio, or a share of the data.
        sweep = arm.name
        if arm.kind == "merge":
            sweep = f"ratios of {arm.strategy}"
        elif scaled:
            sweep = f"shares of {arm.task}"
        elif arm.kind == "mix" and arm.name != settings.mixture:
            sweep = "shares of the mixture"
        met = [("specialist", *pair) for pair in references.items() if pair[1] != arm.name]
        if arm.kind == "merge":
            met += [("mixture", column, settings.mixture) for column in references]
        for against, column, reference in met:
            family = f"{sweep}, {column}, against {against}"
            yield Match(arm.name, against, reference, column, family)


def _columns(
    settings: UncertaintySettings, scores: Mapping[str, Path], seed: int
) -> dict[str, _Column]:
    """Read and resample each suite's items once, for all its metrics and all checkpoints."""
    resamples = settings.uncertainty.resamples
    columns = {}
    for suite in dict.fromkeys(measure.suite for measure in settings.measures):
        measures = [measure for measure in settings.measures if measure.suite == suite]
        rows = read_rows(measures, [scores[a.name] / f"{suite}.jsonl" for a in settings.arms])
        flat = rows.reshape(-1, rows.shape[-1]).T
        means = statistics.resampled_means(flat, resamples, derived_seed(seed, suite), suite)
        draws = np.ascontiguousarray(means.T).reshape(*rows.shape[:2], resamples)
        for measure, items, own in zip(measures, rows, draws, strict=True):
            columns[measure.key] = _Column(measure.counted, items.mean(axis=1), own, items)
    return columns


def read_rows(measures: Sequence[Measure], files: Sequence[Path]) -> Array:
    """Read one suite's score rows of all checkpoints, which must be of the same items.

    Returns:
        Shape (columns, checkpoints, items in the order of ids); 1 and 0 where items pass or fail.
    """
    tables: list[dict[str, list[float]]] = []
    for file in tqdm(files, desc=f"read {files[0].stem}", unit="file", mininterval=1):
        tables.append(table := {})
        for row in read_jsonl(file):
            name = row.get("id")
            try:
                if not isinstance(name, str) or name in table:
                    raise ValueError("its id is no text, or is there twice")
                table[name] = [_value(row, measure) for measure in measures]
            except (KeyError, TypeError, ValueError) as error:
                raise UserError(
                    f"{file}: row {name!r} is not a row of scores ({error}); delete the directory "
                    "and run its rule (score) again"
                ) from None
        if not table:
            raise UserError(f"{file}: holds no row; run its rule (score) again")
        if different := tables[0].keys() ^ table.keys():
            example = min(different)
            holds, lacks = (files[0], file) if example in tables[0] else (file, files[0])
            raise UserError(
                f"{lacks}: has no item {example!r}, which {holds} has; checkpoints can only be "
                "compared on the same items. Generate and score again what is older than its suite"
            )
    rows = np.array([[table[name] for name in sorted(tables[0])] for table in tables])
    return np.ascontiguousarray(np.moveaxis(rows, 2, 0))


def _value(row: Mapping[str, Any], measure: Measure) -> float:
    value = row[measure.metric]
    if measure.counted:
        # As EvalPlus counts: the plus tests are passed only with the base tests.
        return float(row["base"] == value == "pass")
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise ValueError(f"{value!r} is no finite number")
    return float(value)


def _averages(settings: UncertaintySettings, columns: Mapping[str, _Column], role: str) -> _Column:
    """AVG of each checkpoint and, last, that of the specialists together, 0 by definition.

    The specialists are resampled with the rest: AVG is uncertain in its denominators, too.
    """
    measures = settings.of_role(role)
    names = [arm.name for arm in settings.arms]
    references = [names.index(settings.specialists[measure.task]) for measure in measures]
    used = [columns[measure.key] for measure in measures]
    # The values, and beside them the same resampled.
    values = np.stack([np.column_stack([column.values, column.draws]) for column in used])
    specialists = values[range(len(used)), references, None]
    averages = np.pad(statistics.averages(values, specialists, measures), [(0, 1), (0, 0)])
    return _Column(False, averages[:, 0], averages[:, 1:], np.empty((len(names) + 1, 0)))


def _intervals(
    columns: Mapping[str, _Column], places: Mapping[str, int], level: float
) -> dict[str, dict[str, dict[str, float]]]:
    """Values with their intervals, by checkpoint and column."""
    intervals: dict[str, dict[str, dict[str, float]]] = {name: {} for name in places}
    for key, column in columns.items():
        for name, place in places.items():
            if np.isnan(column.values[place]):
                continue
            if column.counted:
                items = column.items[place]
                low, high = proportion_confint(items.sum(), len(items), 1 - level, method="wilson")
            else:
                low, high = statistics.percentile_interval(column.draws[place], level)
            intervals[name][key] = _rounded(value=column.values[place], low=low, high=high)
    return intervals


def _comparisons(
    planned: Sequence[Match],
    columns: Mapping[str, _Column],
    places: Mapping[str, int],
    level: float,
) -> list[dict[str, Any]]:
    entries = []
    families = defaultdict(list)
    for match in planned:
        column, place = columns[match.column], places[match.variant]
        if not np.isnan(column.values[place]):  # AVG where every specialist's value prints as 0
            reference = places.get(match.reference, -1)
            entries.append(match._asdict() | _difference(column, place, reference, level))
            families[match.family].append(entries[-1])
    for family in families.values():
        adjusted = statistics.holm([entry["p"] for entry in family])
        for entry, p_value in zip(family, adjusted, strict=True):
            entry |= {"p_adjusted": p_value, "distinguishable": p_value < 1 - level}
    return entries


def _difference(column: _Column, one: int, other: int, level: float) -> dict[str, Any]:
    """Difference of two checkpoints in one column, with interval and p-value."""
    if column.counted:
        change = column.items[one] - column.items[other]
        gained, lost = int((change > 0).sum()), int((change < 0).sum())
        low, high = statistics.paired_interval(gained, lost, len(change), level)
        p, method = mcnemar([[0, gained], [lost, 0]], exact=True).pvalue, "mcnemar"
    else:
        draws = column.draws[one] - column.draws[other]
        low, high = statistics.percentile_interval(draws, level)
        p, method = statistics.two_sided_p(draws), "bootstrap"
    value = column.values[one] - column.values[other]
    return {**_rounded(difference=value, low=low, high=high), "p": float(p), "method": method}


def _rounded(**numbers: Any) -> dict[str, float]:
    """Numbers as they are written; adding 0 turns a negative zero."""
    return {name: round(float(number), _DECIMALS) + 0.0 for name, number in numbers.items()}
