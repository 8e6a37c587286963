"""The study's results as one tidy table: scores with changes, intervals and tests; and weights.

A column belongs to a task, and its reference is the value of that task's specialist. With v the
value and s the specialist's, the printed change is 100 * (v - s) / s, signed so that more is
better, and AVG is the plain mean over the columns, as in the paper (arXiv 2601.21115, Table 3).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations, product
from math import isfinite, isnan, nan
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json
from mixmerge.report.layout import Column, Layout, Model, Role, Variant

#: Rows of this name have each column's value of the specialist of the column's task.
SPECIALISTS = "specialists"

#: Role of the suites -> key of the column of AVG.
AVERAGES: dict[Role, str] = {"test": "avg", "validation": "avg_validation"}

#: How two tasks' updates compare, layer by layer: correlation and cosine, the share of parameters
#: that moved in opposite directions (of those that both moved), the first norm over the second.
MEASURES = ("pearson", "cosine", "sign_conflict", "norm_ratio")

Against = Literal["mixture", "specialist"]

#: Transformer layer -> a number, NaN where it is not defined; and that by measure.
Profile = dict[int, float]
Measured = dict[str, Profile]


class Score(NamedTuple):
    """A row of the tidy table: what a checkpoint reaches in a column, or its AVG in percent."""

    value: float | None = None  # None for an AVG that is not defined
    #: In percent against the specialist; None for AVG, and where that one's value prints as 0.
    change: float | None = None
    interval: tuple[float, float] | None = None  # confidence interval of the value
    #: How it compares: a merge with both, other checkpoints with the specialist, one with none.
    tests: Mapping[Against, Mapping[str, Any]] = {}


class Evidence(NamedTuple):
    """Intervals and tests of one model's scores, by checkpoint and column (or AVG)."""

    level: float = 0.0  # of the intervals and tests, such as 0.95
    resamples: int = 0
    intervals: Mapping[tuple[str, str], tuple[float, float]] = {}
    tests: Mapping[tuple[str, str], Mapping[Against, Mapping[str, Any]]] = {}


class Items(NamedTuple):
    """How a suite was answered: its number of items, and the share not cut off for length."""

    number: int
    stopped: float


class Spread(NamedTuple):
    """Mean over pairs of tasks of the mean over layers; lowest and highest layer of any pair."""

    mean: float
    low: float
    high: float


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
            own = evidence.get(model.key, Evidence())
            owners = {column.key: model.specialists[column.task] for column in layout.columns}
            lines = {v.name: dict.fromkeys(owners, v.name) for v in model.variants}
            for name, sources in {**lines, SPECIALISTS: owners}.items():
                rows: dict[str, Score] = {}
                for column in layout.columns:
                    pair = (sources[column.key], owners[column.key])
                    value, reference = (values[model.key, v, column.key] for v in pair)
                    rows[column.key] = Score(value, change(column, value, reference))
                for role, key in AVERAGES.items():
                    mean = mean_change(rows[column.key] for column in layout.columns_of(role))
                    rows |= {} if mean is None else {key: Score(mean)}
                for key, score in rows.items():
                    place = sources.get(key, name), key
                    interval, tests = own.intervals.get(place), own.tests.get(place, {})
                    self.scores[model.key, name, key] = Score(*score[:2], interval, tests)

    def score(self, model: Model, variant: str, column: str) -> Score:
        """A checkpoint's score in a column, or its AVG."""
        return self.scores.get((model.key, variant, column), Score())

    def best(self, model: Model, candidates: Sequence[Variant]) -> Variant | None:
        """The candidate with the highest AVG on the suites of the layout's ``select`` role.

        The first of equals wins, in the order of the configuration; None without candidates.
        """

        def average(variant: Variant) -> float:
            value = self.score(model, variant.name, AVERAGES[self.layout.select]).value
            return float("-inf") if value is None else value

        return max(candidates, key=average, default=None)

    def chosen(self, model: Model) -> list[Variant]:
        """Each strategy's merge at its chosen ratio, in the order of the strategies."""
        sweeps = (self.layout.merges(model, strategy.key) for strategy in self.layout.strategies)
        picks = (self.best(model, merges) for merges in sweeps)
        return [pick for pick in picks if pick is not None]

    @property
    def suites(self) -> dict[str, Any]:
        """The suites and the numbers of their items, for notes."""
        sizes: dict[str, set[int]] = {suite.key: set() for suite in self.layout.suites}
        for (_, _, suite), items in self.items.items():
            sizes[suite].add(items.number)
        return {"suites": self.layout.suites, "sizes": {key: sorted(n) for key, n in sizes.items()}}


def change(column: Column, value: float, reference: float) -> float | None:
    """Change in percent against a specialist; None where the specialist's value prints as 0.

    Unsmoothed BLEU of a bad specialist is not 0 but about 1e-78: nltk puts the smallest float in
    the place of an empty count.
    """
    if round(reference, column.digits) == 0:
        return None
    percent = 100 * (value - reference) / reference
    return percent if column.higher_is_better else -percent


def mean_change(scores: Iterable[Score]) -> float | None:
    """Mean of the changes that are defined; None where none is."""
    known = [score.change for score in scores if score.change is not None]
    return sum(known) / len(known) if known else None


@contextmanager
def validated_input(path: Path, rule: str) -> Iterator[None]:
    """Turn errors over what a rule's file holds into a UserError that names file and rule."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        lacks = isinstance(error, KeyError)
        raise UserError(
            f"{path}: {f'no entry {error}' if lacks else f'not what the rule writes ({error})'}; "
            "it was edited, or written by another version of mixmerge. Delete the file and run its "
            f"rule ({rule}) again"
        ) from None


def finite(value: Any, low: float = float("-inf"), high: float = float("inf")) -> float:
    """A number from a JSON file, finite and within its range; raises ValueError for any other."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number")
    if not (isfinite(value) and low <= value <= high):
        raise ValueError(f"{value} is out of range")
    return float(value)


def scores_path(results: Path, model: str, variant: str) -> Path:
    """Where the scoring rule writes a checkpoint's summary."""
    return results / "scores" / model / variant / "scores.json"


def read_results(layout: Layout, root: Path, evidence: bool = True) -> Results:
    """Read the scores of every checkpoint, and their intervals and tests, below a study's root."""
    values: dict[tuple[str, str, str], float] = {}
    items: dict[tuple[str, str, str], Items] = {}
    for model in layout.models:
        for variant in model.variants:
            path = scores_path(root, model.key, variant.name)
            content = read_json(path)
            for column in layout.columns:
                try:
                    value = finite(content[column.suite]["metrics"][column.metric], 0)
                except (KeyError, TypeError, ValueError) as error:
                    why = f" ({error})" if isinstance(error, ValueError) else ""
                    raise UserError(
                        f"{path}: no value of metric {column.metric!r} for suite "
                        f"{column.suite!r}{why}; delete the file and run its rule (score) again"
                    ) from None
                values[model.key, variant.name, column.key] = value
            with validated_input(path, "score"):
                for suite in layout.suites:
                    entry = content[suite.key]
                    number, stopped = int(finite(entry["n"], 1)), finite(entry["stopped"], 0, 1)
                    items[model.key, variant.name, suite.key] = Items(number, stopped)
    known = {model.key: _evidence(layout, model, root) for model in layout.models if evidence}
    return Results(layout, values, items, known)


def _evidence(layout: Layout, model: Model, root: Path) -> Evidence:
    path = root / "uncertainty" / f"{model.key}.json"
    content = read_json(path)
    intervals: dict[tuple[str, str], tuple[float, float]] = {}
    tests: dict[tuple[str, str], dict[Against, dict[str, Any]]] = {}
    with validated_input(path, "uncertainty"):
        for name in (variant.name for variant in model.variants):
            columns, averages = content["intervals"][name], content["averages"][name]
            entries = {column.key: columns[column.key] for column in layout.columns}
            for key, entry in {**entries, **{AVERAGES[r]: averages[r] for r in averages}}.items():
                intervals[name, key] = finite(entry["low"]), finite(entry["high"])
        families = Counter(test["family"] for test in content["comparisons"])
        for test in content["comparisons"]:
            numbers = ("difference", "low", "high", "p", "p_adjusted")
            entry = {name: finite(test[name]) for name in numbers}
            entry["distinguishable"] = test["distinguishable"]
            entry["family_size"] = families[test["family"]]  # tests that were corrected together
            tests.setdefault((test["variant"], test["column"]), {})[test["against"]] = entry
        level, resamples = finite(content["confidence"], 0, 1), int(finite(content["resamples"]))
    return Evidence(level, resamples, intervals, tests)


def read_distances(root: Path, model: str, variant: str) -> tuple[Profile, float | None]:
    """L2 norm of (variant - base) by transformer layer; that of all parameters over base's norm."""
    path = root / "weights" / model / f"{variant}.json"
    content = read_json(path)
    with validated_input(path, "layers or merged_layers"):
        relative = content["total"].get("relative_l2")
        profile = _layers(path, content["groups"], ("l2",))["l2"]
        return profile, None if relative is None else finite(relative)


def read_pairs(layout: Layout, model: Model, root: Path) -> dict[tuple[str, ...], Measured]:
    """Similarity of the updates (specialist minus base) of each two tasks, by measure and layer."""
    path = root / "weights" / model.key / "updates.json"
    content = read_json(path)
    pairs: dict[tuple[str, ...], Measured] = {}
    with validated_input(path, "updates"):
        entries = {(entry["a"], entry["b"]): entry for entry in content["pairs"]}
        for tasks in combinations([task.key for task in layout.tasks], 2):
            names = model.specialists[tasks[0]], model.specialists[tasks[1]]
            entry = entries.get(names) or entries.get(names[::-1])
            if entry is None:
                raise UserError(
                    f"{path}: no pair {names[0]} / {names[1]}; delete the file and run its rule "
                    "(updates) again"
                )
            pairs[tasks] = measures = _layers(path, entry["groups"], MEASURES)
            if names not in entries:  # a ratio taken the other way is the inverse
                ratios = measures["norm_ratio"]
                measures["norm_ratio"] = {at: 1 / v if v else nan for at, v in ratios.items()}
    return pairs


def spread_of(profiles: Sequence[Profile]) -> Spread | None:
    """A number's spread over pairs and layers; None where it is defined nowhere."""
    known = [[v for v in profile.values() if not isnan(v)] for profile in profiles]
    means = [sum(values) / len(values) for values in known if values]
    layers = [value for values in known for value in values]
    return Spread(sum(means) / len(means), min(layers), max(layers)) if layers else None


def _layers(path: Path, groups: Any, measures: Sequence[str]) -> Measured:
    """Numbers by measure and transformer layer, in their order."""
    layers = {int(group["layer"]): group for group in groups if group["layer"] is not None}
    if not layers:
        raise UserError(f"{path}: names no transformer layer; the figures need at least one")
    found: Measured = {measure: {} for measure in measures}
    for (at, group), measure in product(sorted(layers.items()), measures):
        found[measure][at] = nan if group[measure] is None else finite(group[measure])
    return found
