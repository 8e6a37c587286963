"""Three lines for each checkpoint: our scores, the paper's, and the difference."""

from collections.abc import Iterator
from dataclasses import dataclass

from mixmerge.report import comparison, label
from mixmerge.report.layout import Column, Layout, Model, Paper, Variant
from mixmerge.report.paper_tables import METRICS, Line
from mixmerge.report.peer import Peers
from mixmerge.report.scores import Scores
from mixmerge.report.table import Cell, Field, Row, number
from mixmerge.report.table import label as text_cell

#: Printed decimals of percentages and of their average.
_DIGITS = 2


@dataclass(frozen=True)
class Ours:
    """A line of ours."""

    label: str
    """Its printed name."""

    ids: dict[str, str]
    """What the CSV file says about it."""

    standing: comparison.Standing
    """Its scores and how they compare with our specialists."""


class Trios:
    """The three lines of a checkpoint: ours, the paper's, the difference.

    Attributes:
        layout: the study.
        paper: which of our names are which of the paper's.
        peers: the paper's lines.
        columns: our test columns that the paper has.
        averaged: whether these are all the paper's columns, so that AVG is the mean of the same.
    """

    def __init__(self, layout: Layout, paper: Paper, scores: Scores) -> None:
        self.layout, self.paper, self.scores = layout, paper, scores
        self.peers = Peers(paper)
        self.columns = [c for c in layout.columns_of("test") if c.key in paper.columns]
        self.averaged = set(METRICS) == {paper.columns[column.key] for column in self.columns}

    def fields(self) -> tuple[Field, ...]:
        """Columns of print."""
        shown = [
            Field(column.key, column.header, group=self.layout.task(column.task).title)
            for column in self.columns
        ]
        average = [Field("avg", "AVG")] if self.averaged else []
        return (Field("label", "Strategy", align="left"), *shown, *average)

    def specialists(self, model: Model) -> Ours:
        """Our specialists, each column from that of its task."""
        values = comparison.reference(model, self.columns, self.scores)
        names = "+".join(self.layout.specialists(model))
        ids = self._ids(model, names, "sft", None)
        return Ours("Specialists", ids, comparison.standing(values, values, self.columns))

    def checkpoint(self, model: Model, variant: Variant, note: str = "") -> Ours:
        """A checkpoint of ours."""
        found = self.scores[model.key, variant.name].values
        values = [found[column.key] for column in self.columns]
        reference = comparison.reference(model, self.columns, self.scores)
        return Ours(
            label.full(self.layout, model, variant) + note,
            self._ids(model, variant.name, variant.kind, variant),
            comparison.standing(values, reference, self.columns),
        )

    def _ids(self, model: Model, name: str, kind: str, variant: Variant | None) -> dict[str, str]:
        weights = (variant.weights if variant else None) or {}
        return {
            "model": model.key,
            "variant": name,
            "kind": kind,
            "strategy": (variant.strategy if variant else None) or "",
            **{
                f"weight.{task.key}": repr(weights[task.key]) if task.key in weights else ""
                for task in self.layout.tasks
            },
        }

    def group(self, ours: Ours, line: Line, block: str, again: Ours | None = None) -> Iterator[Row]:
        """Lines of one checkpoint: ours, the paper's, the difference.

        Args:
            ours: our line.
            line: the paper's.
            block: heading under which they stand.
            again: our checkpoint at the paper's ratio where ours is at another one.
        """
        yield self._own(ours, block)
        if again is not None:
            yield self._own(again, block)
        theirs, average = self._theirs(line)
        ids = {**ours.ids, "of": "paper"}
        ratio = self.peers.ratio(line)
        if ours.ids["strategy"]:
            ids |= {f"weight.{task.key}": "" for task in self.layout.tasks}
            if ratio is not None:
                ids[f"weight.{self.paper.task}"] = repr(ratio)
        yield Row((text_cell(self._name(line, ours, ratio)), *theirs, *average), block, ids)
        yield self._difference(ours, line, block, "· difference")
        if again is not None:
            yield self._difference(again, line, block, "· difference at the paper's ratio")

    def _own(self, ours: Ours, block: str) -> Row:
        cells = [
            Cell(value, number(value, column.digits), change, number(change, _DIGITS))
            for column, value, change in zip(
                self.columns, ours.standing.values, ours.standing.changes, strict=True
            )
        ]
        average = ours.standing.average
        if self.averaged:
            cells.append(Cell(average, number(average, _DIGITS)))
        return Row((text_cell(ours.label), *cells), block, {**ours.ids, "of": "ours"})

    def _theirs(self, line: Line) -> tuple[list[Cell], list[Cell]]:
        cells = []
        for column in self.columns:
            metric = self.paper.columns[column.key]
            value, change = float(line.values[metric]), float(line.percents[metric])
            mark = " *" if (line, metric) in self.peers.far else ""
            text = number(value, METRICS[metric].digits)
            cells.append(Cell(value, text, change, number(change, _DIGITS) + mark))
        mark = " *" if line in self.peers.means else ""
        mean = float(line.average)
        return cells, [Cell(mean, number(mean, _DIGITS) + mark)] if self.averaged else []

    def _name(self, line: Line, ours: Ours, ratio: float | None) -> str:
        if line in self.peers.twins:
            return f"· paper, repeats {_weights(self.peers.twins[line].weight)}"
        if not ours.ids["strategy"]:
            return "· paper"
        return f"· paper ({_weights(ratio)})" if ratio is not None else "· paper (ratio not known)"

    def _difference(self, ours: Ours, line: Line, block: str, name: str) -> Row:
        cells = []
        for column, value, change in zip(
            self.columns, ours.standing.values, ours.standing.changes, strict=True
        ):
            metric = self.paper.columns[column.key]
            found = difference(column, value, float(line.values[metric]))
            points = None if change is None else change - float(line.percents[metric])
            cells.append(Cell(found.value, found.text, points))
        average = ours.standing.average
        if self.averaged:
            points = None if average is None else average - float(line.average)
            cells.append(Cell(points, _signed(points, _DIGITS)))
        return Row((text_cell(name), *cells), block, {**ours.ids, "of": "difference"})


def difference(column: Column, ours: float, theirs: float) -> Cell:
    """Ours minus the paper's: in points (hundredths) for shares of problems, else as it is."""
    if column.counted:
        return Cell(100 * (ours - theirs), _signed(100 * (ours - theirs), column.digits - 2))
    return Cell(ours - theirs, _signed(ours - theirs, column.digits))


def _signed(value: float | None, digits: int) -> str:
    text = number(value, digits)
    return f"+{text}" if value is not None and float(f"{value:.{digits}f}") > 0 else text


def _weights(weight: float | None) -> str:
    return "" if weight is None else f"{weight:g} / {1 - weight:g}"
