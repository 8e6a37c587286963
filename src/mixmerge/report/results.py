"""The study's results as one tidy table: scores with changes, intervals and tests.

A column belongs to a task, and its reference is the value of that task's specialist. With v the
value and s the specialist's, the printed change is 100 * (v - s) / s, signed so that more is
better, and AVG is the plain mean over the columns, as in the paper (arXiv 2601.21115, Table 3).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isfinite, nan
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json
from mixmerge.report.settings import Column, Layout, Model, Role, Variant

#: Rows of this name have each column's value of the specialist of the column's task.
SPECIALISTS = "specialists"

#: Role of the suites -> key of the column of AVG.
AVERAGES: dict[Role, str] = {"test": "avg", "validation": "avg_validation"}

_KEYS = ["model", "variant", "column"]

#: What a test in ``uncertainty/{model}.json`` must hold: which test it is, and numbers.
_TEST = ("variant", "against", "column", "family", "reference", "method", "distinguishable")
_NUMBERS = ("difference", "low", "high", "p", "p_adjusted")


@contextmanager
def validated_input(path: Path, rule: str) -> Iterator[None]:
    """Turn errors over a file's content within the block into a UserError that names the file.

    Args:
        path: a file that another stage wrote, and that somebody may have edited since.
        rule: the rule that writes it.
    """
    try:
        yield
    except KeyError as error:
        why = f"no entry {error}"
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        why = f"not what the rule writes ({error})"
    else:
        return
    raise UserError(
        f"{path}: {why}; it was edited, or written by another version of mixmerge. Delete the file "
        f"and run its rule ({rule}) again"
    )


def finite(value: Any, low: float = float("-inf"), high: float = float("inf")) -> float:
    """A number from a JSON file, finite and within its range.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number")
    if not (isfinite(value) and low <= value <= high):
        raise ValueError(f"{value} is out of range")
    return float(value)


class Results:
    """Scores of all checkpoints, what they come to against the specialists, and how sure they are.

    Attributes:
        layout: the study.
        scores: a row a model, checkpoint (or `SPECIALISTS`) and column (or AVG): `value`, `change`
            in percent against the specialist, and the ends `low` and `high` of the interval.
        suites: a row a model, checkpoint and suite: number of `items`, and the share of completions
            that `stopped` by themselves, before the length limit.
        tests: a row a model, checkpoint, what it is compared `against`, and column.
        levels: model -> level of its intervals and tests, such as 0.95, and number of resamples.
    """

    def __init__(self, layout: Layout, scores: pd.DataFrame, suites: pd.DataFrame) -> None:
        self.layout, self.suites = layout, suites
        self.scores = _compared(layout, scores)
        self._add_evidence(pd.DataFrame(columns=[*_KEYS, "low", "high"]))
        self.tests = pd.DataFrame()
        self._tests: dict[Any, dict[Any, Any]] = {}
        self.levels: dict[str, tuple[float, int]] = {}

    def _add_evidence(self, intervals: pd.DataFrame) -> None:
        source = self.scores.drop(columns=["low", "high"], errors="ignore")
        renamed = intervals.rename(columns={"variant": "source"})
        self.scores = source.merge(renamed, how="left", on=["model", "source", "column"])
        self._rows: dict[Any, dict[Any, Any]] = self.scores.set_index(_KEYS).to_dict("index")

    def add_evidence(self, root: Path) -> "Results":
        """Read intervals and tests from ``root/uncertainty``; raises UserError for what lacks."""
        intervals: list[dict[str, Any]] = []
        tests: list[dict[str, Any]] = []
        for model in self.layout.models:
            path = root / "uncertainty" / f"{model.key}.json"
            content = read_json(path)
            with validated_input(path, "uncertainty"):
                level = finite(content["confidence"], 0, 1), int(finite(content["resamples"]))
                self.levels[model.key] = level
                intervals += _intervals(self.layout, model, content)
                tests += [
                    {"model": model.key, **{name: test[name] for name in _TEST}}
                    | {name: finite(test[name]) for name in _NUMBERS}
                    for test in content["comparisons"]
                ]
        self._add_evidence(pd.DataFrame(intervals))
        self.tests = pd.DataFrame(tests)
        if tests:
            keys = [*_KEYS, "against"]
            self._tests = (
                self.tests.drop_duplicates(keys, keep="last").set_index(keys).to_dict("index")
            )
        return self

    def row(self, model: Model, variant: str, column: str) -> Mapping[str, Any]:
        """A row of `scores`; empty where AVG is not defined."""
        return self._rows.get((model.key, variant, column), {})

    def value(self, model: Model, variant: str, column: str) -> float | None:
        """A score, or AVG in percent; None where that is not defined."""
        return number_or_none(self.row(model, variant, column).get("value"))

    def interval(self, model: Model, variant: str, column: str) -> tuple[float, float] | None:
        """Ends of a value's confidence interval; None where it has none."""
        row = self.row(model, variant, column)
        low = number_or_none(row.get("low"))
        return None if low is None else (low, row["high"])

    def test(
        self, model: Model, variant: str, against: Literal["mixture", "specialist"], column: str
    ) -> Mapping[str, Any] | None:
        """How a checkpoint compares in a column (or AVG); None where it was not compared.

        Merges are compared with the mixture and the specialists, everything else with the
        specialists; a specialist in its own columns, with nothing.
        """
        return self._tests.get((model.key, variant, column, against))

    def best(self, model: Model, candidates: Sequence[Variant]) -> Variant | None:
        """The candidate with the highest AVG on the suites of the layout's ``select`` role.

        The first of equals wins, in the order of the configuration; None without candidates.
        """
        column = AVERAGES[self.layout.select]

        def average(variant: Variant) -> float:
            value = self.value(model, variant.name, column)
            return float("-inf") if value is None else value

        return max(candidates, key=average, default=None)

    def chosen(self, model: Model) -> list[Variant]:
        """Each strategy's merge at its chosen ratio, in the order of the strategies."""
        sweeps = (self.layout.merges(model, strategy.key) for strategy in self.layout.strategies)
        picks = (self.best(model, merges) for merges in sweeps)
        return [pick for pick in picks if pick is not None]


def number_or_none(value: float | None) -> float | None:
    """None in the place of pandas's NaN."""
    return None if value is None or value != value else value


def scores_path(results: Path, model: str, variant: str) -> Path:
    """Where the scoring rule writes a checkpoint's summary."""
    return results / "scores" / model / variant / "scores.json"


def read_scores(layout: Layout, root: Path) -> Results:
    """Read the scores of every checkpoint of the layout, below the study's directory.

    Raises:
        UserError: a file, suite or metric is missing.
    """
    scores: list[dict[str, Any]] = []
    suites: list[dict[str, Any]] = []
    for model in layout.models:
        for variant in model.variants:
            path = scores_path(root, model.key, variant.name)
            content, keys = read_json(path), {"model": model.key, "variant": variant.name}
            for column in layout.columns:
                row = {"column": column.key, "role": column.role}
                scores.append({**keys, **row, "value": _score(content, column, path)})
            with validated_input(path, "score"):
                for suite in layout.suites:
                    entry = content[suite.key]
                    items, stopped = int(finite(entry["n"], 1)), finite(entry["stopped"], 0, 1)
                    suites.append({**keys, "suite": suite.key, "items": items, "stopped": stopped})
    return Results(layout, pd.DataFrame(scores), pd.DataFrame(suites))


def _score(content: Any, column: Column, path: Path) -> float:
    try:
        return finite(content[column.suite]["metrics"][column.metric], 0)
    except (KeyError, TypeError, ValueError) as error:
        why = f" ({error})" if isinstance(error, ValueError) else ""
        raise UserError(
            f"{path}: no value of metric {column.metric!r} for suite {column.suite!r}{why}; "
            "delete the file and run its rule (score) again"
        ) from None


def _compared(layout: Layout, scores: pd.DataFrame) -> pd.DataFrame:
    """Scores with the specialists' line, changes in percent, and AVG; `source` made the value."""
    owners = {(m.key, c.key): m.specialists[c.task] for m in layout.models for c in layout.columns}
    scores = scores.assign(source=scores["variant"])
    owner = [owners[key] for key in zip(scores["model"], scores["column"], strict=True)]
    special = scores[scores["variant"] == owner]
    scores = pd.concat([scores, special.assign(variant=SPECIALISTS)], ignore_index=True)
    reference = special[["model", "column", "value"]].rename(columns={"value": "reference"})
    scores = scores.merge(reference, on=["model", "column"])
    columns = {column.key: column for column in layout.columns}
    scores["change"] = [
        change(columns[column], value, reference)
        for column, value, reference in zip(
            scores["column"], scores["value"], scores["reference"], strict=True
        )
    ]
    known = scores.dropna(subset=["change"]).groupby(["model", "variant", "role"], sort=False)
    averages = known["change"].agg(lambda changes: sum(changes) / len(changes))
    rows = averages.rename("value").reset_index()
    rows = rows.assign(column=rows["role"].map(AVERAGES), source=rows["variant"])
    return pd.concat([scores, rows], ignore_index=True)


def change(column: Column, value: float, reference: float) -> float:
    """Change in percent against a specialist; NaN where the specialist's value prints as 0.

    Unsmoothed BLEU of a bad specialist is not 0 but about 1e-78: nltk puts the smallest float in
    the place of an empty count.
    """
    if round(reference, column.digits) == 0:
        return nan
    percent = 100 * (value - reference) / reference
    return percent if column.higher_is_better else -percent


def _intervals(layout: Layout, model: Model, content: Any) -> Iterator[dict[str, Any]]:
    for variant in (variant.name for variant in model.variants):
        ends = {column.key: content["intervals"][variant][column.key] for column in layout.columns}
        averages = content["averages"][variant]
        for key, entry in {**ends, **{AVERAGES[role]: averages[role] for role in averages}}.items():
            finite(entry["value"])
            low, high = finite(entry["low"]), finite(entry["high"])
            yield dict(
                zip([*_KEYS, "low", "high"], (model.key, variant, key, low, high), strict=True)
            )
