"""Comparison with the specialists: percentages, their average, and the choice of a ratio.

A column belongs to a task, and its reference is the value of that task's specialist. With v the
value and s the specialist's, the printed change is 100 * (v - s) / s, signed so that more is
better, and AVG is the plain mean over the columns, as in the paper (arXiv 2601.21115, Table 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mixmerge.report.layout import Column, Layout, Model, Role, Variant
from mixmerge.report.scores import Scores


@dataclass(frozen=True)
class Standing:
    """How one line of values compares with the specialists."""

    values: tuple[float, ...]
    """One value a column."""

    changes: tuple[float | None, ...]
    """Change in percent a column; None where the specialist's value prints as 0."""

    @property
    def average(self) -> float | None:
        """AVG: mean of the defined changes in percent; None where there are none."""
        known = [change for change in self.changes if change is not None]
        return sum(known) / len(known) if known else None


def prints_as_zero(value: float, column: Column) -> bool:
    """Whether a value is 0 to the printed digits, so that no percentage can be taken of it.

    Unsmoothed BLEU of a bad specialist is not 0 but about 1e-78: nltk puts the smallest float in
    the place of an empty count.
    """
    return round(value, column.digits) == 0


def reference(model: Model, columns: Sequence[Column], scores: Scores) -> tuple[float, ...]:
    """Each column's value of the specialist of the column's task."""
    return tuple(
        scores[model.key, model.specialists[column.task]].values[column.key] for column in columns
    )


def standing(
    values: Sequence[float], reference: Sequence[float], columns: Sequence[Column]
) -> Standing:
    """Compare values with the specialists', column by column."""
    changes: list[float | None] = []
    for value, against, column in zip(values, reference, columns, strict=True):
        if prints_as_zero(against, column):
            changes.append(None)
            continue
        change = 100 * (value - against) / against
        changes.append(change if column.higher_is_better else -change)
    return Standing(tuple(values), tuple(changes))


def of_variant(layout: Layout, model: Model, variant: str, role: Role, scores: Scores) -> Standing:
    """How a checkpoint compares with the model's specialists on the suites of one role."""
    columns = layout.columns_of(role)
    found = scores[model.key, variant].values
    values = [found[column.key] for column in columns]
    return standing(values, reference(model, columns, scores), columns)


def best(
    layout: Layout, model: Model, candidates: Sequence[Variant], scores: Scores
) -> Variant | None:
    """The candidate with the highest AVG on the suites of the layout's ``select`` role.

    The first of equals wins, in the order of the configuration; None without candidates.
    """

    def average(variant: Variant) -> float:
        found = of_variant(layout, model, variant.name, layout.select, scores).average
        return float("-inf") if found is None else found

    return max(candidates, key=average, default=None)


def chosen(layout: Layout, model: Model, scores: Scores) -> list[Variant]:
    """Each strategy's merge at its chosen ratio, in the order of the strategies."""
    picks = (
        best(layout, model, layout.merges(model, strategy.key), scores)
        for strategy in layout.strategies
    )
    return [pick for pick in picks if pick is not None]
