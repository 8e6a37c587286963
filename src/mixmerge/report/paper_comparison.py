"""Our tables beside the paper's: for each checkpoint our line, the paper's, and the difference."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from mixmerge.report import paper_tables
from mixmerge.report.entries import Entry
from mixmerge.report.paper_tables import METRICS, SCALE_METRICS, Line
from mixmerge.report.render import prose
from mixmerge.report.results import SPECIALISTS, Results, number_or_none
from mixmerge.report.settings import Column, Counterpart, Model, PaperMatch, Variant
from mixmerge.report.table import Cell, Field, Row, Table, label, number, number_cell, signed
from mixmerge.report.training_tables import suite_sizes

#: Printed decimals of percentages and of their average.
_DIGITS = 2


class Ours(NamedTuple):
    """A line of ours: its name, what the CSV file says about it, scores, changes, and AVG."""

    name: str
    ids: dict[str, str]
    values: list[float]
    changes: list[float | None]
    average: float | None


def paper_table(results: Results, entry: Entry) -> Table:
    """One of `mixmerge.report.entries.paper_entries`; the layout names the paper."""
    paper = results.layout.paper
    assert paper is not None
    kind = entry.kind.removeprefix("paper-")
    [counterpart] = [c for c in paper.counterparts if (c.kind, c.model) == (kind, entry.model)]
    return _Comparison(results, paper, counterpart).table(entry)


class _Comparison:
    """One of our tables and its counterpart in the paper.

    Attributes:
        lines: Tables 3 and 5-9 of the paper.
        far: lines and columns whose percentages are far off what the printed scores give.
        twins: lines that repeat another one of their sweep -> that one.
        columns: our test columns that the paper has.
        averaged: whether these are all the paper's columns, so that AVG is the mean of the same.
    """

    def __init__(self, results: Results, paper: PaperMatch, counterpart: Counterpart) -> None:
        self.results, self.layout = results, results.layout
        self.paper, self.counterpart = paper, counterpart
        self.lines = paper_tables.read_results(paper.results)
        self.far = paper_tables.far_off(self.lines)
        self.twins = {pair.line: pair.twin for pair in paper_tables.repetitions(self.lines)}
        self.columns = [c for c in self.layout.columns_of("test") if c.key in paper.columns]
        if counterpart.kind == "data-scale":
            self.columns = [c for c in self.columns if paper.columns[c.key] in SCALE_METRICS]
        self.averaged = set(METRICS) == {paper.columns[column.key] for column in self.columns}

    def table(self, entry: Entry) -> Table:
        """The table with its notes."""
        scale = self.counterpart.kind == "data-scale"
        rows = (
            self._scale() if scale else self._several() if entry.model is None else self._single()
        )
        fields = [Field("label", "Trained on" if scale else "Strategy", align="left")]
        for column in self.columns:
            fields.append(Field(column.key, column.header, self.layout.task(column.task).title))
        if self.averaged:
            fields.append(Field("avg", "AVG"))
        title, *notes = prose(
            "paper",
            "table",
            entry=entry,
            counterpart=self.counterpart,
            model=self.layout.model(entry.model) if entry.model else None,
            averaged=self.averaged,
            layout=self.layout,
            faults={} if scale else self._faults(),
            **suite_sizes(self.results),
        )
        head = "Strategy" if entry.model else "Model"
        return Table(entry.name, title, fields, list(rows), head, notes)

    def _several(self) -> Iterator[Row]:
        """Table 3: strategies at their chosen ratios, ours and the paper's."""
        for model in map(self.layout.model, self.layout.strategy_models):
            block = self._block(model)
            yield from self._unmerged(model, block, model.title)
            for variant in self.results.chosen(model):
                name = self.paper.strategies.get(str(variant.strategy))
                line = next((line for line in block if line.strategy == name), None)
                if line is not None:
                    ours = [self._checkpoint(model, variant)]
                    merges = self.layout.merges(model, variant.strategy)
                    ratio = self._ratio(line)
                    same = next((v for v in merges if _equal(self._weight(v), ratio)), None)
                    if same is not None and same.name != variant.name:
                        ours.append(self._checkpoint(model, same, ", at the paper's ratio"))
                    yield from self._group(ours, line, model.title)

    def _single(self) -> Iterator[Row]:
        """Tables 5-9: one model's checkpoints that the paper has, too."""
        model = self.layout.model(str(self.counterpart.model))
        block = self._block(model)
        yield from self._unmerged(model, block, "Not merged")
        for variant in self.layout.merges(model):
            weight, name = self._weight(variant), self.paper.strategies.get(str(variant.strategy))
            matches = (
                line for line in block if line.strategy == name and _equal(line.weight, weight)
            )
            line = next(matches, None)
            if line is not None:
                heading = self.layout.method(variant)
                yield from self._group([self._checkpoint(model, variant)], line, heading)

    def _unmerged(self, model: Model, block: Sequence[Line], heading: str) -> Iterator[Row]:
        """Base, specialists (several checkpoints in one line) and mixture."""
        for name, variant in (
            (paper_tables.BASE, model.variants[0]),
            (paper_tables.SPECIALISTS, None),
            (paper_tables.MIXTURE, model.variant(model.mixture)),
        ):
            line = next((line for line in block if line.strategy == name), None)
            if line is not None:
                yield from self._group([self._checkpoint(model, variant)], line, heading)

    def _block(self, model: Model) -> list[Line]:
        """The paper's lines about a model in the table that ours stands beside."""
        wanted = (self.paper.models.get(model.key), self.counterpart.table)
        return [line for line in self.lines if (line.model, line.table) == wanted]

    def _weight(self, variant: Variant) -> float | None:
        """The weight that the paper would print; None where ours is no merge of w and 1 - w."""
        weights = variant.weights or {}
        if len(weights) != 2 or self.paper.task not in weights:
            return None
        return weights[str(self.paper.task)] if _equal(sum(weights.values()), 1) else None

    def _ratio(self, line: Line) -> float | None:
        """A line's ratio: as printed, or that of the line with the same scores in its sweep."""
        if line.weight is not None:
            return line.weight
        sweep = paper_tables.sweep_line(self.lines, line)
        return None if sweep is None else sweep.weight

    def _checkpoint(self, model: Model, variant: Variant | None, note: str = "") -> Ours:
        """A checkpoint of ours, or our specialists."""
        name = variant.name if variant else SPECIALISTS
        scores = [self.results.row(model, name, column.key) for column in self.columns]
        changes = [number_or_none(score["change"]) for score in scores]
        known = [change for change in changes if change is not None]
        text = self.layout.label(model, variant) + note if variant else "Specialists"
        ids = self.layout.checkpoint_ids(model, variant)
        average = sum(known) / len(known) if known else None
        return Ours(text, ids, [score["value"] for score in scores], changes, average)

    def _group(self, ours: Sequence[Ours], line: Line, block: str) -> Iterator[Row]:
        """Lines of one checkpoint: ours, also at the paper's ratio where ours is at another one,
        then the paper's, then the differences.
        """
        for own in ours:
            cells = [label(own.name)]
            for column, value, change in zip(self.columns, own.values, own.changes, strict=True):
                text = number(change, _DIGITS)
                cells.append(Cell(value, number(value, column.digits), change, text))
            cells += [number_cell(own.average, _DIGITS)] if self.averaged else []
            yield Row(cells, block, {**own.ids, "of": "ours"})
        ids, ratio, printed = {**ours[0].ids, "of": "paper"}, self._ratio(line), "· paper"
        if ids["strategy"]:
            ids |= {f"weight.{task.key}": "" for task in self.layout.tasks}
            if ratio is not None:
                ids[f"weight.{self.paper.task}"] = repr(ratio)
            printed += " (ratio not known)" if ratio is None else f" ({_weights(ratio)})"
        if line in self.twins:
            printed = f"· paper, repeats {_weights(self.twins[line].weight)}"
        yield Row([label(printed), *self._theirs(line)], block, ids)
        for own, name in zip(ours, ("", " at the paper's ratio"), strict=False):
            cells = [label(f"· difference{name}"), *self._differences(own, line)]
            yield Row(cells, block, {**own.ids, "of": "difference"})

    def _theirs(self, line: Line) -> Iterator[Cell]:
        for column in self.columns:
            metric = self.paper.columns[column.key]
            value, change = float(line.values[metric]), float(line.percents[metric])
            text = number(change, _DIGITS) + (" *" if (line, metric) in self.far else "")
            yield Cell(value, number(value, METRICS[metric].digits), change, text)
        if self.averaged:
            mean = float(line.average)
            mark = "" if paper_tables.follows(line) else " *"
            yield Cell(mean, number(mean, _DIGITS) + mark)

    def _differences(self, own: Ours, line: Line) -> Iterator[Cell]:
        for column, value, change in zip(self.columns, own.values, own.changes, strict=True):
            metric = self.paper.columns[column.key]
            cell = difference(column, value, float(line.values[metric]))
            points = None if change is None else change - float(line.percents[metric])
            yield Cell(cell.value, cell.text, points)
        if self.averaged:
            gap = None if own.average is None else own.average - float(line.average)
            yield Cell(gap, signed(gap, _DIGITS))

    def _scale(self) -> Iterator[Row]:
        """Table 4: specialists at shares of their data."""
        assert self.paper.data_scale is not None
        scale = paper_tables.read_scale(self.paper.data_scale)
        lines = {(line.model, line.percent): line.values for line in scale}
        for model in map(self.layout.model, self.layout.scale_models):
            for percent in sorted({v.percent for v in model.variants if v.percent}):
                values = lines.get((self.paper.models.get(model.key, ""), percent))
                specialists = {
                    variant.task: variant.name
                    for variant in model.variants
                    if variant.kind == "sft" and variant.percent == percent
                }
                if values is None or not specialists:
                    continue
                cells: dict[str, list[Cell]] = {
                    f"Specialists, {percent} %": [],
                    "· paper": [],
                    "· difference": [],
                }
                for column in self.columns:
                    value = float(values[self.paper.columns[column.key]])
                    own = self.results.value(model, specialists.get(column.task, ""), column.key)
                    ours, theirs = (number_cell(v, column.digits) for v in (own, value))
                    gap = ours if own is None else difference(column, own, value)
                    for line, cell in zip(cells.values(), (ours, theirs, gap), strict=True):
                        line.append(cell)
                ids = {"model": model.key, "variant": "+".join(specialists.values())}
                for (name, line), of in zip(
                    cells.items(), ("ours", "paper", "difference"), strict=True
                ):
                    more = {"percent": str(percent), "of": of}
                    yield Row([label(name), *line], model.title, {**ids, **more})

    def _faults(self) -> dict[str, Any]:
        """What of the paper's lines beside ours is off, for notes."""
        counterpart = self.counterpart
        keys = [counterpart.model] if counterpart.model else self.layout.strategy_models
        shown = [line for key in keys for line in self._block(self.layout.model(key))]
        titles = {name: self.layout.model(key).title for key, name in self.paper.models.items()}
        strategies = {self.paper.strategies.get(s.key): s.title for s in self.layout.strategies}
        better = [
            f"{titles[pick.shown.model]}, {strategies[pick.shown.strategy]} ({pick.best.weight:g})"
            for pick in paper_tables.choices(self.lines)
            if pick.shown in shown
            and pick.best is not pick.sweep
            and pick.shown.strategy in strategies
        ]
        return {
            "lines": len(shown),
            "percentages": len(shown) * len(METRICS),
            "limit": f"{float(paper_tables.FAR):g}",
            "far": sum((line, metric) in self.far for line in shown for metric in METRICS),
            "averages": sum(not paper_tables.follows(line) for line in shown),
            "repeats": any(line in self.twins for line in shown),
            "better": better,
        }


def difference(column: Column, ours: float, theirs: float) -> Cell:
    """Ours minus the paper's: in points (hundredths) for shares of problems, else as it is."""
    if column.counted:
        return Cell(100 * (ours - theirs), signed(100 * (ours - theirs), column.digits - 2))
    return Cell(ours - theirs, signed(ours - theirs, column.digits))


def _equal(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and abs(one - other) < 1e-9


def _weights(weight: float | None) -> str:
    return "" if weight is None else f"{weight:g} / {1 - weight:g}"
