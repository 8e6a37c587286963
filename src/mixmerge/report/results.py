"""The study's results as one tidy table: scores with changes, intervals and tests; and weights.

With v a value and s that of the specialist of its column's task, the change is 100 * (v - s) / s,
signed so that more is better, and AVG the mean over the columns (arXiv 2601.21115, Table 3).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations, product
from math import inf, isfinite, isnan, nan
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json
from mixmerge.report.layout import Column, Layout, Model, Role, Variant

SCORES = "scores.json"  # summary of a checkpoint's scores, as the scoring rule writes it
SPECIALISTS = "specialists"  # its line has each column's value of the column's task's specialist
AVERAGES: dict[Role, str] = {"test": "avg", "validation": "avg_validation"}  # columns of AVG

#: How two tasks' updates compare, layer by layer: correlation and cosine, the share of parameters
#: that moved in opposite directions (of those that both moved), the first norm over the second.
MEASURES = ("pearson", "cosine", "sign_conflict", "norm_ratio")

Against = Literal["mixture", "specialist"]
Place = tuple[str, str, str]  # model, checkpoint, and column (or AVG) or suite
Profile = dict[int, float]  # transformer layer -> a number, NaN where it is not defined
Measured = dict[str, Profile]


class Score(NamedTuple):
    """A row of the tidy table: what a checkpoint reaches in a column, or its AVG in percent."""

    value: float | None = None  # None for an AVG that is not defined
    #: In percent against the specialist; None for AVG, and where that one's value prints as 0.
    change: float | None = None
    interval: tuple[float, float] | None = None  # confidence interval of the value
    #: How it compares: a merge with both, other checkpoints with the specialist, one with none.
    tests: Mapping[Against, Mapping[str, Any]] = {}


class Items(NamedTuple):
    """How a suite was answered: its number of items, and the share not cut off for length."""

    number: int
    stopped: float


class Evidence(NamedTuple):
    """What a model's intervals and tests rest on."""

    level: float  # such as 0.95
    resamples: int


class Results:
    """Scores of all checkpoints, what they come to against the specialists, and how sure they are.

    ``evidence`` has the models whose intervals and tests were read.
    """

    def __init__(
        self,
        layout: Layout,
        values: Mapping[Place, float],
        items: Mapping[Place, Items],
        evidence: Mapping[str, Evidence],
        intervals: Mapping[Place, tuple[float, float]],
        tests: Mapping[Place, Mapping[Against, Mapping[str, Any]]],
    ) -> None:
        self.layout, self.items, self.evidence = layout, items, evidence
        self.scores: dict[Place, Score] = {}
        for model in layout.models:
            names = [variant.name for variant in model.variants]
            for column in layout.columns:
                owner = model.key, model.specialists[column.task], column.key
                for name in names:
                    at = model.key, name, column.key
                    rise = change(column, values[at], values[owner])
                    self.scores[at] = Score(values[at], rise, intervals.get(at), tests.get(at, {}))
                self.scores[model.key, SPECIALISTS, column.key] = self.scores[owner]
            for name, (role, key) in product([*names, SPECIALISTS], AVERAGES.items()):
                at = model.key, name, key
                columns = layout.columns_of(role)
                mean = mean_change(self.scores[model.key, name, column.key] for column in columns)
                if mean is not None:
                    self.scores[at] = Score(mean, None, intervals.get(at), tests.get(at, {}))

    def score(self, model: Model, variant: str, column: str) -> Score:
        """A checkpoint's score in a column, or its AVG."""
        return self.scores.get((model.key, variant, column), Score())

    def best(self, model: Model, candidates: Sequence[Variant]) -> Variant | None:
        """The first of those with the highest AVG on the suites of the layout's ``select`` role."""
        key = AVERAGES[self.layout.select]
        scores = [self.score(model, variant.name, key).value for variant in candidates]
        values = [-inf if value is None else value for value in scores]
        return candidates[values.index(max(values))] if values else None

    def chosen(self, model: Model) -> list[Variant]:
        """Each strategy's merge at its chosen ratio, in the order of the strategies."""
        sweeps = (self.layout.merges(model, strategy.key) for strategy in self.layout.strategies)
        picks = (self.best(model, merges) for merges in sweeps)
        return [pick for pick in picks if pick is not None]

    def sizes(self, suite: str) -> list[int]:
        """Numbers of a suite's items, of which there should be one."""
        return sorted({items.number for (*_, key), items in self.items.items() if key == suite})


def change(column: Column, value: float, reference: float) -> float | None:
    """Change in percent against a specialist; None where the specialist's value prints as 0."""
    if round(reference, column.digits) == 0:  # unsmoothed BLEU of a bad one is about 1e-78
        return None
    percent = 100 * (value - reference) / reference
    return percent if column.higher_is_better else -percent


def mean_change(scores: Iterable[Score]) -> float | None:
    """Mean of the changes that are defined; None where none is."""
    known = [score.change for score in scores if score.change is not None]
    return sum(known) / len(known) if known else None


@contextmanager
def validated_input(path: Path, rule: str) -> Iterator[Any]:
    """A JSON file's content; errors over what it holds become a UserError with file and rule."""
    content = read_json(path)
    try:
        yield content
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        problem = "no entry {}" if isinstance(error, KeyError) else "not what the rule writes ({})"
        raise UserError(
            f"{path}: {problem.format(error)}; it was edited, or written by another version of "
            f"mixmerge. Delete the file and run its rule ({rule}) again"
        ) from None


def finite(entry: Any, key: str, low: float = -inf, high: float = inf) -> float:
    """A finite number within its range from a decoded JSON object; ValueError for any other."""
    value = entry[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{key}: {value!r} is no number")
    if not (isfinite(value) and low <= value <= high):
        raise ValueError(f"{key}: {value} is out of range")
    return float(value)


def read_results(layout: Layout, root: Path, evidence: bool = True) -> Results:
    """Read the scores of every checkpoint, and their intervals and tests, below a study's root."""
    values: dict[Place, float] = {}
    items: dict[Place, Items] = {}
    known: dict[str, Evidence] = {}
    intervals: dict[Place, tuple[float, float]] = {}
    tests: dict[Place, dict[Against, dict[str, Any]]] = {}
    for model in layout.models:
        for variant in model.variants:
            place = model.key, variant.name
            with validated_input(root.joinpath("scores", *place, SCORES), "score") as content:
                for suite in layout.suites:
                    entry = content[suite.key]
                    answered = Items(int(finite(entry, "n", 1)), finite(entry, "stopped", 0, 1))
                    items[*place, suite.key] = answered
                    metrics = {f"{suite.key}.{name}": v for name, v in entry["metrics"].items()}
                    for column in (c for c in layout.columns if c.suite == suite.key):
                        values[*place, column.key] = finite(metrics, column.key, 0)
    for model in layout.models if evidence else ():
        with validated_input(root / "uncertainty" / f"{model.key}.json", "uncertainty") as content:
            resamples = int(finite(content, "resamples"))
            known[model.key] = Evidence(finite(content, "confidence", 0, 1), resamples)
            for name in (variant.name for variant in model.variants):
                columns, averages = content["intervals"][name], content["averages"][name]
                entries = {column.key: columns[column.key] for column in layout.columns}
                entries |= {AVERAGES[role]: averages[role] for role in averages}
                for key, entry in entries.items():
                    intervals[model.key, name, key] = finite(entry, "low"), finite(entry, "high")
            families = Counter(test["family"] for test in content["comparisons"])
            for test in content["comparisons"]:
                numbers = ("difference", "low", "high", "p", "p_adjusted")
                entry = {name: finite(test, name) for name in numbers}
                entry["distinguishable"] = test["distinguishable"]
                entry["family_size"] = families[test["family"]]  # that were corrected together
                at = model.key, test["variant"], test["column"]
                tests.setdefault(at, {})[test["against"]] = entry
    return Results(layout, values, items, known, intervals, tests)


def read_distances(root: Path, model: str, variant: str) -> tuple[Profile, float | None]:
    """L2 norm of (variant - base) by transformer layer; that of all parameters over base's norm."""
    path = root / "weights" / model / f"{variant}.json"
    with validated_input(path, "layers or merged_layers") as content:
        total = content["total"]
        relative = None if total.get("relative_l2") is None else finite(total, "relative_l2")
        return _layers(path, content["groups"], ("l2",))["l2"], relative


def read_pairs(layout: Layout, model: Model, root: Path) -> dict[tuple[str, str], Measured]:
    """Similarity of the updates (specialist minus base) of each two tasks, by measure and layer."""
    pairs = {}
    path = root / "weights" / model.key / "updates.json"
    with validated_input(path, "updates") as content:
        entries = {(entry["a"], entry["b"]): entry for entry in content["pairs"]}
        for tasks in combinations([task.key for task in layout.tasks], 2):
            names = model.specialists[tasks[0]], model.specialists[tasks[1]]
            entry = entries.get(names) or entries.get(names[::-1])
            if entry is None:
                raise ValueError(f"no pair {names[0]} / {names[1]}")
            pairs[tasks] = measures = _layers(path, entry["groups"], MEASURES)
            if names not in entries:  # a ratio taken the other way is the inverse
                ratios = measures["norm_ratio"]
                measures["norm_ratio"] = {at: 1 / v if v else nan for at, v in ratios.items()}
    return pairs


def spread_of(profiles: Sequence[Profile]) -> dict[str, float] | None:
    """Mean over pairs of the mean over layers, lowest and highest layer; None: nowhere defined."""
    known = [[v for v in profile.values() if not isnan(v)] for profile in profiles]
    means = [sum(values) / len(values) for values in known if values]
    layers = [value for values in known for value in values]
    if not layers:
        return None
    return {"mean": sum(means) / len(means), "low": min(layers), "high": max(layers)}


def _layers(path: Path, groups: Any, measures: Sequence[str]) -> Measured:
    """Numbers by measure and transformer layer, in their order."""
    layers = {int(group["layer"]): group for group in groups if group["layer"] is not None}
    if not layers:
        raise UserError(f"{path}: names no transformer layer; the figures need at least one")
    return {
        measure: {
            at: nan if group[measure] is None else finite(group, measure)
            for at, group in sorted(layers.items())
        }
        for measure in measures
    }
