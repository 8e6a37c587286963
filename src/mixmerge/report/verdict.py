"""The verdict in numbers: mix or merge, for each model (``templates/verdict.j2`` has the words).

The mixture and the merges compete on the suites of the selection rule; what the winner is worth,
and whether its lead is more than chance, is read on the test suites.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mixmerge.report.costs import Bill, cheaper, read_bills
from mixmerge.report.results import (
    AVERAGES,
    MEASURES,
    Profile,
    Results,
    Score,
    mean_change,
    read_distances,
    read_pairs,
)
from mixmerge.report.settings import Model, Variant

Side = Literal["mixing", "merging"]

#: Why a side is recommended: the evidence, the cost where the evidence does not tell them apart,
#: or neither of these (the costs are the same, or not known).
Reason = Literal["evidence", "cost", "same cost", "unknown cost"]

AVG = AVERAGES["test"]


class Contender(NamedTuple):
    """One way to a multi-task model: the mixture, or a strategy at its chosen ratio."""

    name: str  # printed name
    variant: str  # name of the checkpoint
    selection: float | None  # AVG on the suites of the selection rule in percent
    test: Score  # AVG on the test suites in percent
    family: int  # tests against the mixture that were corrected together with this one's

    @property
    def average(self) -> float | None:
        """AVG on the test suites."""
        return self.test.value


class Sweep(NamedTuple):
    """One strategy over its ratios, by AVG on the test suites in percent."""

    strategy: str  # its printed name
    averages: dict[str, float]  # merge -> AVG, where that is defined
    chosen: Variant  # the merge at the chosen ratio
    best: Variant  # the merge with the highest AVG
    merges: int  # number of merges
    spread: float | None  # highest minus lowest in points; None where there are not two to compare
    regret: float | None  # points that the chosen ratio lies below the best one


class Scale(NamedTuple):
    """One task's specialists by share of the training data."""

    task: str
    # percentage of the data -> mean change in percent, over the task's test columns, against the
    # specialist that is merged, which was trained on `reference` percent
    changes: dict[int, float | None]
    reference: int


class Spread(NamedTuple):
    """Mean over pairs of tasks of the mean over layers; lowest and highest layer of any pair."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class ModelVerdict:
    """What the study says about one model."""

    model: Model
    mixture: Contender
    strategies: Sequence[Contender]  # each at its chosen ratio, in the configuration's order
    merge: Contender | None  # the best of these under the selection rule
    picked: Contender  # the best of mixture and strategies under the selection rule
    # head, problems that mixture and merge solve, number of problems, by column
    problems: Sequence[tuple[str, int, int, int]]
    # how the specialists' updates compare, by measure; None where not defined
    similarity: Mapping[str, Spread | None]
    layers: int  # number of transformer layers
    pairs: int  # number of pairs of tasks
    # specialists, mixture and merge -> norm of the update over that of the base
    distances: Mapping[str, float | None]
    threshold: float  # correlation from which the paper's rule mixes
    sweeps: Sequence[Sweep]
    scales: Sequence[Scale]
    bills: Sequence[Bill]  # of the mixture, each strategy, and all of them
    confidence: float  # level of all intervals

    @property
    def contest(self) -> Mapping[str, Any] | None:
        """The test of AVG, merge against mixture; None without a merge or AVG."""
        return self.merge.test.tests.get("mixture") if self.merge else None

    @property
    def outcome(self) -> Side | Literal["undecided"] | None:
        """Who leads on the test suites; None where that cannot be said."""
        if self.contest is None:
            return None
        if not self.contest["distinguishable"]:
            return "undecided"
        return "merging" if self.contest["difference"] > 0 else "mixing"

    @property
    def predicted(self) -> Side | None:
        """What the paper's rule says: high correlation, mix; low, merge."""
        pearson = self.similarity["pearson"]
        if pearson is None:
            return None
        return "mixing" if pearson.mean >= self.threshold else "merging"

    @property
    def call(self) -> Literal["right", "wrong", "undecided"] | None:
        """Whether the rule was right; None where there is no rule or no outcome."""
        if self.predicted is None or self.outcome in (None, "undecided"):
            return "undecided" if self.predicted and self.outcome else None
        return "right" if self.predicted == self.outcome else "wrong"

    @property
    def merging_bill(self) -> Bill | None:
        """What it took to find the best merge: all strategies, or the only one there is."""
        return self.bills[-1] if len(self.bills) > 1 else None

    def cheaper(self, part: str) -> int | None:
        """Whose ``total`` or ``marginal`` cost is lower: -1 mixing's, 1 merging's, 0 the same."""
        if self.merging_bill is None:
            return None
        return cheaper(getattr(self.bills[0], part), getattr(self.merging_bill, part))

    @property
    def recommended(self) -> tuple[Side | None, Reason] | None:
        """What to do, and why; None where there is no outcome."""
        if self.outcome != "undecided":
            return (self.outcome, "evidence") if self.outcome else None
        order = self.cheaper("total")
        if not order:
            return None, "unknown cost" if order is None else "same cost"
        return ("mixing" if order < 0 else "merging"), "cost"


def verdict(results: Results, model: Model, root: Path, shelf: Path) -> ModelVerdict:
    """The verdict on one model.

    Args:
        results: scores of all checkpoints, with evidence.
        model: a model of their layout.
        root: the study's directory, for statistics of weights, and for benchmarks and provenance,
            which give the costs.
        shelf: directory of completions and scores.
    """
    layout = results.layout
    mixture, chosen = model.variant(model.mixture), results.chosen(model)
    merge, picked = results.best(model, chosen), results.best(model, [mixture, *chosen])
    assert picked is not None
    contenders = {v.name: _contender(results, model, v) for v in (mixture, *chosen)}
    pairs = list(read_pairs(layout, model, root).values())
    names = [*layout.specialists(model), model.mixture, *([merge.name] if merge else [])]
    return ModelVerdict(
        model=model,
        mixture=contenders[mixture.name],
        strategies=[contenders[variant.name] for variant in chosen],
        merge=contenders[merge.name] if merge else None,
        picked=contenders[picked.name],
        problems=_problems(results, model, merge.name) if merge else [],
        similarity={key: _spread([pair[key] for pair in pairs]) for key in MEASURES},
        layers=max((len(pair["pearson"]) for pair in pairs), default=0),
        pairs=len(pairs),
        distances={name: read_distances(root, model.key, name)[1] for name in names},
        threshold=layout.high_correlation,
        sweeps=_sweeps(results, model),
        scales=_scales(results, model),
        bills=read_bills(layout, model, root, shelf),
        confidence=results.evidence[model.key].level,
    )


def _contender(results: Results, model: Model, variant: Variant) -> Contender:
    score = results.score(model, variant.name, AVG)
    selection = results.score(model, variant.name, AVERAGES[results.layout.select]).value
    against = score.tests.get("mixture")
    family = results.evidence[model.key].families[against["family"]] if against else 0
    name = results.layout.label(model, variant)
    return Contender(name, variant.name, selection, score, family)


def _problems(results: Results, model: Model, merge: str) -> list[tuple[str, int, int, int]]:
    problems = []
    for column in results.layout.columns_of("test"):
        if column.counted:
            count = results.items[model.key, model.mixture, column.suite].number
            scores = [results.score(model, v, column.key).value for v in (model.mixture, merge)]
            mixed, merged = (round((value or 0) * count) for value in scores)
            problems.append((column.header, mixed, merged, count))
    return problems


def _spread(profiles: Sequence[Profile]) -> Spread | None:
    """None where the number is defined nowhere."""
    known = [[v for v in profile.values() if not isnan(v)] for profile in profiles]
    means = [sum(values) / len(values) for values in known if values]
    layers = [value for values in known for value in values]
    return Spread(sum(means) / len(means), min(layers), max(layers)) if layers else None


def _sweeps(results: Results, model: Model) -> list[Sweep]:
    """Each strategy's sweep, in the order of the strategies."""
    sweeps = []
    for strategy in results.layout.strategies:
        merges = results.layout.merges(model, strategy.key)
        chosen = results.best(model, merges)
        if chosen is None:
            continue
        values = {variant.name: results.score(model, variant.name, AVG).value for variant in merges}
        averages = {name: value for name, value in values.items() if value is not None}
        # The chosen one among equals, so that a tie is no regret.
        best = max([chosen, *merges], key=lambda variant: averages.get(variant.name, float("-inf")))
        spread = max(averages.values()) - min(averages.values()) if len(averages) > 1 else None
        lost = averages[best.name] - averages[chosen.name] if chosen.name in averages else None
        title, count = strategy.title, len(merges)
        sweeps.append(Sweep(title, averages, chosen, best, count, spread, lost))
    return sweeps


def _scales(results: Results, model: Model) -> list[Scale]:
    """Tasks of which specialists were trained at several percentages."""
    scales = []
    for task in results.layout.tasks:
        columns = [c.key for c in results.layout.columns_of("test") if c.task == task.key]
        shares = {v.percent: v.name for v in model.variants if v.task == task.key and v.percent}
        changes: dict[int, float | None] = {}
        for percent, name in sorted(shares.items()):
            changes[percent] = mean_change(results.score(model, name, key) for key in columns)
        if len(changes) > 1:
            reference = model.variant(model.specialists[task.key]).percent or 0
            scales.append(Scale(task.title, changes, reference))
    return scales
