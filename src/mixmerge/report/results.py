"""The study's results as one tidy table: scores with changes, intervals and tests; and weights.

A column belongs to a task, and its reference is the value of that task's specialist. With v the
value and s the specialist's, the printed change is 100 * (v - s) / s, signed so that more is
better, and AVG is the plain mean over the columns, as in the paper (arXiv 2601.21115, Table 3).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations
from math import isfinite, nan
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json
from mixmerge.report.settings import Column, Layout, Model, Role, Variant

#: Rows of this name have each column's value of the specialist of the column's task.
SPECIALISTS = "specialists"

#: Role of the suites -> key of the column of AVG.
AVERAGES: dict[Role, str] = {"test": "avg", "validation": "avg_validation"}

#: How two tasks' updates compare, layer by layer.
MEASURES = ("pearson", "cosine", "sign_conflict", "norm_ratio")

Against = Literal["mixture", "specialist"]

#: Transformer layer -> a number, NaN where it is not defined.
Profile = dict[int, float]


class Score(NamedTuple):
    """A row of the tidy table: what a checkpoint reaches in a column, or its AVG in percent."""

    value: float | None = None  # None for an AVG that is not defined
    #: In percent against the specialist; None for AVG, and where that one's value prints as 0.
    change: float | None = None
    interval: tuple[float, float] | None = None  # confidence interval of the value
    tests: Mapping[Against, Mapping[str, Any]] = {}  # how it compares; see `uncertainty`

    def p(self, against: Against) -> float | None:
        """p-value of the test, after correction; None where the two were not compared."""
        return self.tests[against]["p_adjusted"] if against in self.tests else None


class Evidence(NamedTuple):
    """Intervals and tests of one model's scores, by checkpoint and column (or AVG)."""

    level: float  # of the intervals and tests, such as 0.95
    resamples: int
    intervals: Mapping[tuple[str, str], tuple[float, float]]
    tests: Mapping[tuple[str, str], Mapping[Against, Mapping[str, Any]]]
    families: Mapping[str, int]  # family of tests that are corrected together -> their number


class Items(NamedTuple):
    """How a suite was answered: its number of items, and the share not cut off for length."""

    number: int
    stopped: float


@contextmanager
def validated_input(path: Path, rule: str) -> Iterator[None]:
    """Turn errors over a file's content within the block into a UserError that names the file.

    Args:
        path: a file that another stage wrote, and that somebody may have edited since.
        rule: the rule that writes it.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        what = f"not what the rule writes ({error})"
        raise UserError(
            f"{path}: {f'no entry {error}' if isinstance(error, KeyError) else what}; it was "
            "edited, or written by another version of mixmerge. Delete the file and run its rule "
            f"({rule}) again"
        ) from None


def finite(value: Any, low: float = float("-inf"), high: float = float("inf")) -> float:
    """A number from a JSON file, finite and within its range; raises ValueError for any other."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number")
    if not (isfinite(value) and low <= value <= high):
        raise ValueError(f"{value} is out of range")
    return float(value)


class Results:
    """Scores of all checkpoints, what they come to against the specialists, and how sure they are.

    Attributes:
        layout: the study.
        scores: model, checkpoint (or `SPECIALISTS`), column (or AVG) -> score.
        items: model, checkpoint, suite -> how it was answered.
        evidence: model -> intervals and tests; empty where they were not read.
    """

    def __init__(
        self,
        layout: Layout,
        values: Mapping[tuple[str, str, str], float],
        items: Mapping[tuple[str, str, str], Items],
        evidence: Mapping[str, Evidence],
    ) -> None:
        self.layout, self.items, self.evidence = layout, items, evidence
        self.scores: dict[tuple[str, str, str], Score] = {}
        for model in layout.models:
            own = evidence.get(model.key)
            owners = {column.key: model.specialists[column.task] for column in layout.columns}
            lines = {v.name: dict.fromkeys(owners, v.name) for v in model.variants}
            for name, sources in {**lines, SPECIALISTS: owners}.items():
                rows: dict[str, tuple[str, float, float | None]] = {}
                changes: dict[Role, list[float]] = {}
                for column in layout.columns:
                    key = column.key
                    value, source = values[model.key, sources[key], key], sources[key]
                    percent = change(column, value, values[model.key, owners[key], key])
                    rows[key] = source, value, percent
                    if percent is not None:
                        changes.setdefault(column.role, []).append(percent)
                for role, known in changes.items():
                    rows[AVERAGES[role]] = name, sum(known) / len(known), None
                for key, (source, value, percent) in rows.items():
                    evident = (
                        (own.intervals.get((source, key)), own.tests.get((source, key), {}))
                        if own
                        else ()
                    )
                    self.scores[model.key, name, key] = Score(value, percent, *evident)

    def score(self, model: Model, variant: str, column: str) -> Score:
        """A checkpoint's score in a column, or its AVG."""
        return self.scores.get((model.key, variant, column), Score())

    def best(self, model: Model, candidates: Sequence[Variant]) -> Variant | None:
        """The candidate with the highest AVG on the suites of the layout's ``select`` role.

        The first of equals wins, in the order of the configuration; None without candidates.
        """
        column = AVERAGES[self.layout.select]

        def average(variant: Variant) -> float:
            value = self.score(model, variant.name, column).value
            return float("-inf") if value is None else value

        return max(candidates, key=average, default=None)

    def chosen(self, model: Model) -> list[Variant]:
        """Each strategy's merge at its chosen ratio, in the order of the strategies."""
        sweeps = (self.layout.merges(model, strategy.key) for strategy in self.layout.strategies)
        picks = (self.best(model, merges) for merges in sweeps)
        return [pick for pick in picks if pick is not None]


def change(column: Column, value: float, reference: float) -> float | None:
    """Change in percent against a specialist; None where the specialist's value prints as 0.

    Unsmoothed BLEU of a bad specialist is not 0 but about 1e-78: nltk puts the smallest float in
    the place of an empty count.
    """
    if round(reference, column.digits) == 0:
        return None
    percent = 100 * (value - reference) / reference
    return percent if column.higher_is_better else -percent


def scores_path(results: Path, model: str, variant: str) -> Path:
    """Where the scoring rule writes a checkpoint's summary."""
    return results / "scores" / model / variant / "scores.json"


def read_results(layout: Layout, root: Path, evidence: bool = True) -> Results:
    """Read the scores of every checkpoint, and their intervals and tests, below a study's root.

    Raises:
        UserError: a file, suite, metric, interval or test is missing or no number.
    """
    values: dict[tuple[str, str, str], float] = {}
    items: dict[tuple[str, str, str], Items] = {}
    for model in layout.models:
        for variant in model.variants:
            path = scores_path(root, model.key, variant.name)
            content = read_json(path)
            for column in layout.columns:
                values[model.key, variant.name, column.key] = _value(content, column, path)
            with validated_input(path, "score"):
                for suite in layout.suites:
                    entry = content[suite.key]
                    count, stopped = int(finite(entry["n"], 1)), finite(entry["stopped"], 0, 1)
                    items[model.key, variant.name, suite.key] = Items(count, stopped)
    found = {model.key: _evidence(layout, model, root) for model in layout.models if evidence}
    return Results(layout, values, items, found)


def _value(content: Any, column: Column, path: Path) -> float:
    try:
        return finite(content[column.suite]["metrics"][column.metric], 0)
    except (KeyError, TypeError, ValueError) as error:
        why = f" ({error})" if isinstance(error, ValueError) else ""
        raise UserError(
            f"{path}: no value of metric {column.metric!r} for suite {column.suite!r}{why}; "
            "delete the file and run its rule (score) again"
        ) from None


def _evidence(layout: Layout, model: Model, root: Path) -> Evidence:
    path = root / "uncertainty" / f"{model.key}.json"
    content = read_json(path)
    intervals: dict[tuple[str, str], tuple[float, float]] = {}
    tests: dict[tuple[str, str], dict[Against, dict[str, Any]]] = {}
    with validated_input(path, "uncertainty"):
        for name in (variant.name for variant in model.variants):
            averages = content["averages"][name]
            entries = {
                column.key: content["intervals"][name][column.key] for column in layout.columns
            }
            for key, entry in {**entries, **{AVERAGES[r]: averages[r] for r in averages}}.items():
                intervals[name, key] = finite(entry["low"]), finite(entry["high"])
        for test in content["comparisons"]:
            words = {name: test[name] for name in ("family", "method", "distinguishable")}
            numbers = {
                name: finite(test[name])
                for name in ("difference", "low", "high", "p", "p_adjusted")
            }
            own = tests.setdefault((test["variant"], test["column"]), {})
            own[test["against"]] = words | numbers
        families = Counter(test["family"] for test in content["comparisons"])
        level, resamples = finite(content["confidence"], 0, 1), int(finite(content["resamples"]))
    return Evidence(level, resamples, intervals, tests, families)


def read_distances(root: Path, model: str, variant: str) -> Profile:
    """L2 norm of (variant - base) over each transformer layer's parameters, by layer."""
    path = root / "weights" / model / f"{variant}.json"
    content = read_json(path)
    with validated_input(path, "layers or merged_layers"):
        return _layers(path, content["groups"], ("l2",))["l2"]


def read_relative_distance(root: Path, model: str, variant: str) -> float | None:
    """Norm of (variant - base) over the norm of base, all parameters; None where not defined."""
    path = root / "weights" / model / f"{variant}.json"
    content = read_json(path)
    with validated_input(path, "layers or merged_layers"):
        value = content["total"].get("relative_l2")
        return None if value is None else finite(value)


def read_pairs(
    layout: Layout, model: Model, root: Path
) -> dict[tuple[str, str], dict[str, Profile]]:
    """Similarity of the updates (specialist minus base) of each two tasks, by layer.

    Returns:
        The two tasks -> measure -> layer: `pearson` and `cosine` of the updates, `sign_conflict`
        (of the parameters that both moved, the share that they moved in opposite directions) and
        `norm_ratio` (the first task's norm over the second's).

    Raises:
        UserError: the file is missing or lacks a pair.
    """
    path = root / "weights" / model.key / "updates.json"
    content = read_json(path)
    pairs = {}
    with validated_input(path, "updates"):
        entries = {frozenset((entry["a"], entry["b"])): entry for entry in content["pairs"]}
        for a, b in combinations([task.key for task in layout.tasks], 2):
            names = (model.specialists[a], model.specialists[b])
            entry = entries.get(frozenset(names))
            if entry is None:
                raise UserError(
                    f"{path}: no pair {names[0]} / {names[1]}; delete the file and run its rule "
                    "(updates) again"
                )
            measures = _layers(path, entry["groups"], MEASURES)
            if entry["a"] != names[0]:
                # The file names its two sides itself; a ratio taken the other way is the inverse.
                ratios = measures["norm_ratio"]
                measures["norm_ratio"] = {at: 1 / v if v else nan for at, v in ratios.items()}
            pairs[a, b] = measures
    return pairs


def _layers(
    path: Path, groups: Sequence[Mapping[str, Any]], measures: Sequence[str]
) -> dict[str, Profile]:
    """Measure -> its numbers by transformer layer, in their order."""
    layers = sorted(
        (group for group in groups if group["layer"] is not None),
        key=lambda group: int(group["layer"]),
    )
    if not layers:
        raise UserError(f"{path}: names no transformer layer; the figures need at least one")
    return {
        measure: {
            int(group["layer"]): nan if group[measure] is None else finite(group[measure])
            for group in layers
        }
        for measure in measures
    }
