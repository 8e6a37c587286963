"""Intervals of all checkpoints of one model, and their comparisons, corrected after Holm."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
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

AVERAGE = "avg"  # column key of its comparisons


class _Column(NamedTuple):
    """The scores of all checkpoints in one column, or their AVG and the specialists' together."""

    draws: Array  # (checkpoints, 1 + resamples): the value, NaN where AVG has none; resampled
    passed: Array | None = None  # (checkpoints, items): 1 and 0, where items are counted


def analyse(settings: UncertaintySettings, scores: Mapping[str, Path], seed: int) -> dict[str, Any]:
    """What ``uncertainty/{model}.json`` holds, from each checkpoint's directory of scores."""
    level, resamples = settings.uncertainty.confidence, settings.uncertainty.resamples
    planned = matches(settings)
    largest = max(Counter(match["family"] for match in planned).values(), default=0)
    # No p-value is below 2 / (resamples + 1), and Holm multiplies it by the family's size.
    if largest * 2 / (resamples + 1) >= 1 - level:
        raise UserError(
            f"uncertainty.resamples: {resamples} cannot tell any two checkpoints apart at "
            f"confidence {level:g} in a sweep of {largest}; "
            f"ask for {int(largest * 2 / (1 - level)) + 1} or more"
        )
    columns: dict[str, _Column] = {}
    # Each suite's items are read and resampled once, for all its metrics and all checkpoints.
    for suite in dict.fromkeys(measure.suite for measure in settings.measures):
        measures = [measure for measure in settings.measures if measure.suite == suite]
        rows = read_rows(measures, [scores[a.name] / f"{suite}.jsonl" for a in settings.arms])
        flat = rows.reshape(-1, rows.shape[-1]).T
        means = statistics.resampled_means(flat, resamples, derived_seed(seed, suite), suite)
        draws = np.ascontiguousarray(means.T).reshape(*rows.shape[:2], resamples)
        for measure, items, own in zip(measures, rows, draws, strict=True):
            values = np.column_stack([items.mean(axis=1), own])
            columns[measure.key] = _Column(values, items if measure.counted else None)
    places = {arm.name: place for place, arm in enumerate(settings.arms)}
    roles = {}
    for role in ("test", "validation"):
        if measures := settings.of_role(role):
            references = [places[settings.specialists[measure.task]] for measure in measures]
            values = np.stack([columns[measure.key].draws for measure in measures])
            # The specialists are resampled, too, and their own AVG, the last, is 0 by definition.
            specialists = values[range(len(measures)), references, None]
            averages = statistics.averages(values, specialists, measures)
            roles[role] = _Column(np.pad(averages, [(0, 1), (0, 0)]))
    return {
        "confidence": level,
        "resamples": resamples,
        "correction": "holm",
        "intervals": _intervals(columns, places, level),
        "averages": _intervals(roles, places, level),
        "comparisons": _comparisons(planned, {**columns, AVERAGE: roles["test"]}, places, level),
    }


def matches(settings: UncertaintySettings) -> list[dict[str, str]]:
    """All comparisons of a model on the test suites; those of a family are corrected together.

    Merges meet the mixture and the specialists in every column and in AVG (all specialists, joined
    by ``+``); base and mixtures meet the specialists; a specialist meets the others in their
    columns, and those of another share of the data that of their own task in its.
    """
    everyone = "+".join(settings.specialists[task] for task in settings.tasks)
    planned = []
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
            match = {"variant": arm.name, "against": against, "reference": reference}
            match |= {"column": column, "family": f"{sweep}, {column}, against {against}"}
            planned.append(match)
    return planned


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
                remedy = "delete the directory and run its rule (score) again"
                message = f"{file}: row {name!r} is not a row of scores ({error}); {remedy}"
                raise UserError(message) from None
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


def _intervals(
    columns: Mapping[str, _Column], places: Mapping[str, int], level: float
) -> dict[str, dict[str, dict[str, float]]]:
    """Values with their intervals, by checkpoint and column; Wilson's where items are counted."""
    intervals: dict[str, dict[str, dict[str, float]]] = {name: {} for name in places}
    for key, column in columns.items():
        for name, place in places.items():
            value, draws = column.draws[place, 0], column.draws[place, 1:]
            if column.passed is not None:
                items = column.passed[place]
                low, high = proportion_confint(items.sum(), len(items), 1 - level, method="wilson")
            elif np.isnan(value):
                continue
            else:
                low, high = statistics.percentile_interval(draws, level)
            intervals[name][key] = _rounded(value=value, low=low, high=high)
    return intervals


def _comparisons(
    planned: Sequence[Mapping[str, str]],
    columns: Mapping[str, _Column],
    places: Mapping[str, int],
    level: float,
) -> list[dict[str, Any]]:
    """Each difference with its interval and p-value, as it is and adjusted in its family."""
    entries: list[dict[str, Any]] = []
    families = defaultdict(list)
    for match in planned:
        draws, passed = columns[match["column"]]
        one, other = places[match["variant"]], places.get(match["reference"], -1)
        if np.isnan(draws[one, 0]):  # AVG where every specialist's value prints as 0
            continue
        differences = draws[one] - draws[other]
        if passed is not None:
            change = passed[one] - passed[other]
            gained, lost = int((change > 0).sum()), int((change < 0).sum())
            low, high = statistics.paired_interval(gained, lost, len(change), level)
            p, method = mcnemar([[0, gained], [lost, 0]], exact=True).pvalue, "mcnemar"
        else:
            low, high = statistics.percentile_interval(differences[1:], level)
            p, method = statistics.two_sided_p(differences[1:]), "bootstrap"
        numbers = _rounded(difference=differences[0], low=low, high=high)
        entries.append({**match, **numbers, "p": float(p), "method": method})
        families[match["family"]].append(entries[-1])
    for family in families.values():
        adjusted = statistics.holm([entry["p"] for entry in family])
        for entry, p_value in zip(family, adjusted, strict=True):
            entry |= {"p_adjusted": p_value, "distinguishable": p_value < 1 - level}
    return entries


def _rounded(**numbers: Any) -> dict[str, float]:
    """Numbers as written, to a processor's order of adding up; adding 0 turns a negative zero."""
    return {name: round(float(number), 9) + 0.0 for name, number in numbers.items()}
