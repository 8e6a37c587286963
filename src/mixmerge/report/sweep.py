"""What hangs on the strategy, the ratio and the amount of data (RQ2), in figures."""

from collections.abc import Mapping
from dataclasses import dataclass

from mixmerge.report import comparison
from mixmerge.report.layout import Layout, Model, Variant
from mixmerge.report.scores import Scores


@dataclass(frozen=True)
class Sweep:
    """One strategy over its ratios; averages are AVG on the test suites in percent."""

    strategy: str
    """Printed name of the strategy."""

    averages: Mapping[str, float]
    """Merge -> its AVG, where that is defined."""

    chosen: Variant
    """The merge at the chosen ratio."""

    merges: int
    """Number of merges."""

    best: Variant
    """The merge with the highest AVG on the test suites."""

    @property
    def spread(self) -> float | None:
        """Highest minus lowest AVG in points; None where there are not two to compare."""
        found = self.averages.values()
        return max(found) - min(found) if len(found) > 1 else None

    @property
    def regret(self) -> float | None:
        """Points that the chosen ratio lies below the best one on the test suites."""
        if self.chosen.name not in self.averages:
            return None
        return self.averages[self.best.name] - self.averages[self.chosen.name]


@dataclass(frozen=True)
class Scale:
    """One task's specialists by share of the training data."""

    task: str
    """Printed name of the task."""

    changes: Mapping[int, float | None]
    """Percentage of the data -> mean change in percent, over the task's test columns, against the
    specialist that the study compares with (and merges)."""

    reference: int
    """Percentage of that specialist."""


def sweeps(layout: Layout, model: Model, scores: Scores) -> list[Sweep]:
    """Each strategy's sweep, in the order of the strategies."""
    found = []
    for strategy in layout.strategies:
        merges = layout.merges(model, strategy.key)
        chosen = comparison.best(layout, model, merges, scores)
        if chosen is None:
            continue
        averages = {}
        for variant in merges:
            average = comparison.of_variant(layout, model, variant.name, "test", scores).average
            if average is not None:
                averages[variant.name] = average
        # The chosen one among equals, so that a tie is no regret.
        best = max([chosen, *merges], key=lambda variant: averages.get(variant.name, float("-inf")))
        found.append(Sweep(strategy.title, averages, chosen, len(merges), best))
    return found


def scales(layout: Layout, model: Model, scores: Scores) -> list[Scale]:
    """Each task's specialists against the one at the reference percentage.

    Tasks whose specialist was trained at one percentage only are left out.
    """
    found = []
    for task in layout.tasks:
        columns = [column for column in layout.columns_of("test") if column.task == task.key]
        reference = comparison.reference(model, columns, scores)
        changes: dict[int, float | None] = {}
        at = 0
        for variant in model.variants:
            if variant.kind != "sft" or variant.task != task.key or variant.percent is None:
                continue
            values = [scores[model.key, variant.name].values[column.key] for column in columns]
            changes[variant.percent] = comparison.standing(values, reference, columns).average
            if variant.name == model.specialists[task.key]:
                at = variant.percent
        if len(changes) > 1:
            found.append(Scale(task.title, dict(sorted(changes.items())), at))
    return found
