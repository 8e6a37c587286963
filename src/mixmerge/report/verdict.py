"""The verdict: mix or merge, for each model, in figures (`mixmerge.report.wording` has words).

The mixture and the merges compete on the suites of the selection rule; what the winner is worth,
and whether its lead is more than chance, is read on the test suites.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import comb
from pathlib import Path
from typing import Literal

from mixmerge.report import comparison, label
from mixmerge.report.costs import ALL, MIXTURE, Bill, cheaper, read_bills
from mixmerge.report.evidence import AVERAGE, Comparison, Evidence, Interval
from mixmerge.report.geometry import Geometry, read_geometry
from mixmerge.report.layout import Layout, Model, Variant
from mixmerge.report.scores import Scores
from mixmerge.report.sweep import Scale, Sweep, scales, sweeps

Side = Literal["mixing", "merging"]
Outcome = Literal["mixing", "merging", "undecided"]
Call = Literal["right", "wrong", "undecided"]

#: Why a side is recommended: the evidence, the cost where the evidence does not tell them apart,
#: or neither of these (the costs are the same, or not known).
Reason = Literal["evidence", "cost", "same cost", "unknown cost"]


@dataclass(frozen=True)
class Contender:
    """One way to a multi-task model: the mixture, or a strategy at its chosen ratio."""

    name: str
    """Printed name."""

    variant: str
    """Name of the checkpoint."""

    selection: float | None
    """AVG on the suites of the selection rule in percent."""

    average: float | None
    """AVG on the test suites in percent."""

    interval: Interval | None
    """The same with its interval."""

    against_specialists: Comparison | None
    """AVG against the specialists."""

    against_mixture: Comparison | None
    """AVG against the mixture; None for the mixture itself."""

    family: int
    """Comparisons with the mixture that were corrected together with this one."""


@dataclass(frozen=True)
class ModelVerdict:
    """What the study says about one model."""

    model: Model
    """The model."""

    mixture: Contender
    """The data mixture."""

    strategies: tuple[Contender, ...]
    """Each strategy at its chosen ratio, in the order of the configuration."""

    merge: Contender | None
    """The best of these under the selection rule; None where nothing was merged."""

    picked: Contender
    """The best of mixture and strategies under the selection rule."""

    problems: tuple[tuple[str, int, int, int], ...]
    """Head, problems that the mixture and the merge solve, and number of problems, by column."""

    weights: Geometry
    """What the weights say."""

    threshold: float
    """Correlation from which the paper's rule mixes."""

    sweeps: tuple[Sweep, ...]
    """Each strategy over its ratios."""

    scales: tuple[Scale, ...]
    """Each task's specialists by share of the data."""

    bills: tuple[Bill, ...]
    """Costs of the mixture, each strategy, and all of them."""

    confidence: float
    """Level of all intervals."""

    @property
    def outcome(self) -> Outcome | None:
        """Who leads on the test suites; None where that cannot be said (no merge, no AVG)."""
        found = self.merge.against_mixture if self.merge else None
        if found is None:
            return None
        if not found.distinguishable:
            return "undecided"
        return "merging" if found.difference > 0 else "mixing"

    @property
    def predicted(self) -> Side | None:
        """What the paper's rule says: high correlation, mix; low, merge."""
        if self.weights.pearson is None:
            return None
        return "mixing" if self.weights.pearson.mean >= self.threshold else "merging"

    @property
    def call(self) -> Call | None:
        """Whether the rule was right; None where there is no rule or no outcome."""
        if self.predicted is None or self.outcome is None:
            return None
        if self.outcome == "undecided":
            return "undecided"
        return "right" if self.predicted == self.outcome else "wrong"

    def bill(self, key: str) -> Bill | None:
        """The bill of that key."""
        return next((bill for bill in self.bills if bill.key == key), None)

    @property
    def merging_bill(self) -> Bill | None:
        """What it took to find the best merge: all strategies, or the only one there is."""
        return self.bill(ALL) or next((bill for bill in self.bills if bill.key != MIXTURE), None)

    @property
    def recommended(self) -> tuple[Side | None, Reason] | None:
        """What to do, and why; None where there is no outcome."""
        if self.outcome is None:
            return None
        if self.outcome != "undecided":
            return self.outcome, "evidence"
        mixture, merging = self.bill(MIXTURE), self.merging_bill
        order = cheaper(mixture.total, merging.total) if mixture and merging else None
        if not order:
            return None, "unknown cost" if order is None else "same cost"
        return ("mixing" if order < 0 else "merging"), "cost"


def verdicts(
    layout: Layout,
    scores: Scores,
    evidence: Mapping[str, Evidence],
    results: Path,
    shelf: Path | None = None,
) -> list[ModelVerdict]:
    """The verdict on each model.

    Args:
        layout: the study.
        scores: scores of all checkpoints.
        evidence: model -> intervals and comparisons.
        results: the study's directory, for statistics of weights, and for benchmarks and
            provenance, which give the costs.
        shelf: directory of completions and scores, if it is another.
    """
    return [
        _verdict(layout, model, scores, evidence[model.key], results, shelf or results)
        for model in layout.models
    ]


def by_chance(right: int, decided: int) -> float:
    """Probability that tossed coins call at least so many of the decided models right."""
    return sum(comb(decided, k) for k in range(right, decided + 1)) / float(2**decided)


def _verdict(
    layout: Layout, model: Model, scores: Scores, evidence: Evidence, results: Path, shelf: Path
) -> ModelVerdict:
    mixture = next(variant for variant in model.variants if variant.name == model.mixture)
    chosen = comparison.chosen(layout, model, scores)
    merge = comparison.best(layout, model, chosen, scores)
    picked = comparison.best(layout, model, [mixture, *chosen], scores)
    assert picked is not None
    contenders = {
        variant.name: _contender(layout, model, variant, scores, evidence)
        for variant in (mixture, *chosen)
    }
    return ModelVerdict(
        model=model,
        mixture=contenders[mixture.name],
        strategies=tuple(contenders[variant.name] for variant in chosen),
        merge=None if merge is None else contenders[merge.name],
        picked=contenders[picked.name],
        problems=() if merge is None else _problems(layout, model, mixture, merge, scores),
        weights=read_geometry(layout, model, merge, results),
        threshold=layout.high_correlation,
        sweeps=tuple(sweeps(layout, model, scores)),
        scales=tuple(scales(layout, model, scores)),
        bills=tuple(read_bills(layout, model, results, shelf)),
        confidence=evidence.confidence,
    )


def _contender(
    layout: Layout, model: Model, variant: Variant, scores: Scores, evidence: Evidence
) -> Contender:
    against = evidence.comparison(variant.name, "mixture", AVERAGE)
    return Contender(
        name=label.full(layout, model, variant),
        variant=variant.name,
        selection=comparison.of_variant(layout, model, variant.name, layout.select, scores).average,
        average=comparison.of_variant(layout, model, variant.name, "test", scores).average,
        interval=evidence.average(variant.name),
        against_specialists=evidence.comparison(variant.name, "specialist", AVERAGE),
        against_mixture=against,
        family=sum(e.family == against.family for e in evidence.comparisons) if against else 0,
    )


def _problems(
    layout: Layout, model: Model, mixture: Variant, merge: Variant, scores: Scores
) -> tuple[tuple[str, int, int, int], ...]:
    mixed, merged = scores[model.key, mixture.name], scores[model.key, merge.name]
    found = []
    for column in layout.columns_of("test"):
        if column.counted and column.suite in mixed.items:
            count = mixed.items[column.suite]
            solved = [round(entry.values[column.key] * count) for entry in (mixed, merged)]
            found.append((column.header, solved[0], solved[1], count))
    return tuple(found)
