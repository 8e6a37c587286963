"""The score rows of all checkpoints of a model, item by item."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mixmerge.core.errors import UserError
from mixmerge.core.io import read_jsonl
from mixmerge.uncertainty.settings import Measure

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class SuiteRows:
    """One suite's scores of all checkpoints on the same items."""

    measures: tuple[Measure, ...]
    """The suite's columns."""

    values: Array
    """Shape (columns, checkpoints, items); 1 and 0 where items pass or fail."""


def read_rows(measures: Sequence[Measure], scores: Mapping[str, Path]) -> dict[str, SuiteRows]:
    """Read the rows of every suite and pair them by item id.

    Args:
        measures: the columns wanted.
        scores: checkpoint -> its directory of kind "scores".

    Returns:
        Suite -> its rows; items in the order of their ids, so that the order of the files' lines
        does not matter.

    Raises:
        UserError: a row lacks its id or a metric, an id is there twice, or two checkpoints were
            not scored on the same items.
    """
    suites: dict[str, list[Measure]] = {}
    for measure in measures:
        suites.setdefault(measure.suite, []).append(measure)
    found = {}
    with tqdm(total=len(suites) * len(scores), desc="read", unit="file", mininterval=1) as bar:
        for suite, columns in suites.items():
            files = [directory / f"{suite}.jsonl" for directory in scores.values()]
            found[suite] = _read_suite(columns, files, bar)
    return found


def _read_suite(measures: list[Measure], files: list[Path], bar: Any) -> SuiteRows:
    tables: list[Array] = []
    ids: list[str] = []
    for file in files:
        table = _read_file(measures, file)
        if not tables:
            ids = sorted(table)
        elif table.keys() != set(ids):
            _refuse(files[0], set(ids), file, set(table))
        tables.append(np.array([table[name] for name in ids]))
        bar.update()
    # (checkpoints, items, columns) -> (columns, checkpoints, items)
    return SuiteRows(tuple(measures), np.ascontiguousarray(np.moveaxis(np.stack(tables), 2, 0)))


def _read_file(measures: list[Measure], file: Path) -> dict[str, tuple[float, ...]]:
    """Item -> its value in each column."""
    table: dict[str, tuple[float, ...]] = {}
    for row in read_jsonl(file):
        try:
            name, values = row["id"], tuple(_value(row, measure) for measure in measures)
            if not isinstance(name, str):
                raise TypeError("the id is no text")
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{file}: row {row.get('id')!r} is not a row of scores ({error}); delete the "
                "directory and run its rule (score) again"
            ) from None
        if name in table:
            raise UserError(f"{file}: item {name!r} is there twice; run its rule (score) again")
        table[name] = values
    if not table:
        raise UserError(f"{file}: holds no row; run its rule (score) again")
    return table


def _value(row: Mapping[str, Any], measure: Measure) -> float:
    if not measure.counted:
        return _finite(row[measure.metric])
    # As EvalPlus counts: the plus tests are passed only with the base tests.
    passed = row["base"] == "pass" and (measure.metric == "base" or row[measure.metric] == "pass")
    return float(passed)


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise ValueError(f"{value!r} is no finite number")
    return float(value)


def _refuse(first: Path, expected: set[str], other: Path, found: set[str]) -> None:
    example = min(expected ^ found)
    holds, lacks = (first, other) if example in expected else (other, first)
    raise UserError(
        f"{lacks}: has no item {example!r}, which {holds} has; checkpoints can only be compared "
        "on the same items. Generate and score again what is older than its suite"
    )
