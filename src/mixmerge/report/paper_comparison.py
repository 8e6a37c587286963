"""Our tables beside the paper's: for each checkpoint our line, the paper's, and the difference."""

from collections.abc import Iterator, Mapping, Sequence
from math import isclose
from typing import Any, NamedTuple

from mixmerge.report import paper_tables
from mixmerge.report.entries import Entry
from mixmerge.report.paper_tables import METRICS, SCALE_METRICS, Finding, Line
from mixmerge.report.render import prose
from mixmerge.report.results import SPECIALISTS, Results, Score
from mixmerge.report.settings import Column, Counterpart, Layout, Model, PaperMatch, Variant
from mixmerge.report.table import Cell, Field, Row, Table, label, number, signed
from mixmerge.report.training_tables import suite_sizes


class Ours(NamedTuple):
    """A line of ours: its name, what the CSV file says about it, and its scores."""

    name: str
    ids: dict[str, str]
    scores: list[Score]
    average: float | None = None  # None where it is not the mean of the paper's columns


def paper_table(results: Results, entry: Entry) -> Table:
    """One of `mixmerge.report.entries.paper_entries`; the layout names the paper."""
    layout, paper = results.layout, results.layout.paper
    assert paper is not None
    kind = entry.kind.removeprefix("paper-")
    scale = kind == "data-scale"
    [counterpart] = [c for c in paper.counterparts if (c.kind, c.model) == (kind, entry.model)]
    columns = [c for c in layout.columns_of("test") if c.key in paper.columns]
    if scale:
        columns = [c for c in columns if paper.columns[c.key] in SCALE_METRICS]
    averaged = {paper.columns[column.key] for column in columns} == set(METRICS)
    comparison = _Comparison(results, layout, paper, counterpart, columns, averaged)
    if scale:
        rows, faults = list(comparison.scale()), {}
    else:
        lines = zip(
            paper_tables.read_results(paper.results),
            paper_tables.read_findings(paper.audit),
            strict=True,
        )
        blocks = comparison.blocks(list(lines))
        rows, faults = list(comparison.rows(blocks)), comparison.faults(blocks)
    fields = [Field("label", "Trained on" if scale else "Strategy", form="text")]
    fields += [Field(c.key, c.header, layout.task(c.task).title) for c in columns]
    fields += [Field("avg", "AVG")] if averaged else []
    texts = prose(
        "paper",
        "table",
        entry=entry,
        counterpart=counterpart,
        model=layout.model(entry.model) if entry.model else None,
        averaged=averaged,
        layout=layout,
        faults=faults,
        **suite_sizes(results),
    )
    return Table(entry.name, texts, fields, rows, "Strategy" if entry.model else "Model")


class _Comparison(NamedTuple):
    """One of our tables and its counterpart in the paper."""

    results: Results
    layout: Layout
    paper: PaperMatch
    counterpart: Counterpart
    columns: Sequence[Column]  # our test columns that the paper has
    averaged: bool  # whether these are all the paper's columns, so that AVG is the mean of the same

    def blocks(
        self, lines: Sequence[tuple[Line, Finding]]
    ) -> list[tuple[Model, list[tuple[Line, Finding]]]]:
        """Our models, each with the paper's lines in the table that ours stands beside."""
        own = self.counterpart.model
        models = map(self.layout.model, [own] if own else self.layout.strategy_models)
        blocks = []
        for model in models:
            wanted = (self.paper.models.get(model.key), self.counterpart.table)
            blocks.append((model, [p for p in lines if (p[0].model, p[0].table) == wanted]))
        return blocks

    def rows(self, blocks: Sequence[tuple[Model, list[tuple[Line, Finding]]]]) -> Iterator[Row]:
        """Tables 3 and 5-9: base, specialists (in one line), mixture, and merges.

        Table 3 has each strategy at its chosen ratio, ours and the paper's, the others every merge
        that the paper has, too.
        """
        several = self.counterpart.model is None
        for model, lines in blocks:
            for name, variant in (
                (paper_tables.BASE, model.variants[0]),
                (paper_tables.SPECIALISTS, None),
                (paper_tables.MIXTURE, model.variant(model.mixture)),
            ):
                for line, finding in [p for p in lines if p[0].strategy == name][:1]:
                    ours = [self._ours(model, variant)]
                    yield from self._group(
                        ours, line, finding, model.title if several else "Not merged"
                    )
            for variant in self.results.chosen(model) if several else self.layout.merges(model):
                name = self.paper.strategies.get(str(variant.strategy), "")
                pairs = [p for p in lines if p[0].strategy == name]
                if not several:
                    pairs = [p for p in pairs if _equal(p[0].weight, self._weight(variant))]
                for line, finding in pairs[:1]:
                    ours = [self._ours(model, variant)]
                    merges = self.layout.merges(model, variant.strategy) if several else []
                    same = [v for v in merges if _equal(self._weight(v), finding.weight)][:1]
                    ours += [
                        self._ours(model, v, ", at the paper's ratio")
                        for v in same
                        if v.name != variant.name
                    ]
                    heading = model.title if several else self.layout.method(variant)
                    yield from self._group(ours, line, finding, heading)

    def _weight(self, variant: Variant) -> float | None:
        """The weight that the paper would print; None where ours is no merge of w and 1 - w."""
        weights = variant.weights or {}
        if len(weights) != 2 or self.paper.task not in weights:
            return None
        return weights[str(self.paper.task)] if _equal(sum(weights.values()), 1) else None

    def _ours(self, model: Model, variant: Variant | None, note: str = "") -> Ours:
        """A checkpoint of ours, or our specialists."""
        name = variant.name if variant else SPECIALISTS
        scores = [self.results.score(model, name, column.key) for column in self.columns]
        known = [score.change for score in scores if score.change is not None]
        text = self.layout.label(model, variant) + note if variant else "Specialists"
        average = sum(known) / len(known) if known else None
        return Ours(text, self.layout.checkpoint_ids(model, variant), scores, average)

    def _group(
        self, ours: Sequence[Ours], line: Line, finding: Finding, block: str
    ) -> Iterator[Row]:
        """Lines of one checkpoint: ours, also at the paper's ratio where ours is at another one,
        then the paper's, then the differences.
        """
        for own in ours:
            cells = [
                _changed(number(score.value, column.digits), score.value, score.change)
                for column, score in zip(self.columns, own.scores, strict=True)
            ]
            average = Cell(own.average, number(own.average))
            yield self._row(own.name, "ours", cells, average, block, own.ids)
        ids, printed = ours[0].ids, "· paper"
        if ids["strategy"]:
            ids = ids | {f"weight.{task.key}": "" for task in self.layout.tasks}
            printed += (
                " (ratio not known)" if finding.weight is None else f" ({_weights(finding.weight)})"
            )
            if finding.weight is not None:
                ids[f"weight.{self.paper.task}"] = repr(finding.weight)
        if finding.repeats is not None:
            printed = f"· paper, repeats {_weights(finding.repeats)}"
        theirs = [
            (metric, float(line.values[metric]), float(line.percents[metric]))
            for metric in (self.paper.columns[column.key] for column in self.columns)
        ]
        cells = [
            _changed(number(value, METRICS[metric].digits), value, change, metric in finding.far)
            for metric, value, change in theirs
        ]
        mean = float(line.average)
        average = Cell(mean, number(mean) + ("" if finding.follows else " *"))
        yield self._row(printed, "paper", cells, average, block, ids)
        for own, name in zip(ours, ("", " at the paper's ratio"), strict=False):
            cells = []
            for column, score, (_, value, change) in zip(
                self.columns, own.scores, theirs, strict=True
            ):
                points = None if score.change is None else score.change - change
                cell = difference(column, score.value or 0.0, value)
                cells.append(Cell(cell.value, cell.text, points))
            gap = None if own.average is None else own.average - mean
            average = Cell(gap, signed(gap))
            yield self._row(f"· difference{name}", "difference", cells, average, block, own.ids)

    def _row(
        self,
        name: str,
        of: str,
        cells: Sequence[Cell],
        average: Cell,
        block: str,
        ids: Mapping[str, str],
    ) -> Row:
        more = [average] if self.averaged else []
        return Row([label(name), *cells, *more], block, {**ids, "of": of})

    def scale(self) -> Iterator[Row]:
        """Table 4: specialists at shares of their data."""
        assert self.paper.data_scale is not None
        lines = {
            (line.model, line.percent): line.values
            for line in paper_tables.read_scale(self.paper.data_scale)
        }
        for model in map(self.layout.model, self.layout.scale_models):
            for percent in sorted({v.percent for v in model.variants if v.percent}):
                values = lines.get((self.paper.models.get(model.key, ""), percent))
                specialists = {
                    str(variant.task): variant.name
                    for variant in model.variants
                    if variant.kind == "sft" and variant.percent == percent
                }
                if values is None or not specialists:
                    continue
                ours, theirs, gaps = [], [], []
                for column in self.columns:
                    own = self.results.score(
                        model, specialists.get(column.task, ""), column.key
                    ).value
                    value = float(values[self.paper.columns[column.key]])
                    ours.append(Cell(own, number(own, column.digits)))
                    theirs.append(Cell(value, number(value, column.digits)))
                    gaps.append(ours[-1] if own is None else difference(column, own, value))
                ids = {"model": model.key, "variant": "+".join(specialists.values())}
                ids["percent"] = str(percent)
                for name, of, cells in (
                    (f"Specialists, {percent} %", "ours", ours),
                    ("· paper", "paper", theirs),
                    ("· difference", "difference", gaps),
                ):
                    yield Row([label(name), *cells], model.title, {**ids, "of": of})

    def faults(self, blocks: Sequence[tuple[Model, list[tuple[Line, Finding]]]]) -> dict[str, Any]:
        """What of the paper's lines beside ours is off, for notes."""
        strategies = {self.paper.strategies.get(s.key): s.title for s in self.layout.strategies}
        found = [finding for _, lines in blocks for _, finding in lines]
        return {
            "lines": len(found),
            "percentages": len(found) * len(METRICS),
            "far": sum(len(finding.far) for finding in found),
            "averages": sum(not finding.follows for finding in found),
            "repeats": any(finding.repeats is not None for finding in found),
            "better": [
                f"{model.title}, {strategies[line.strategy]} ({finding.better:g})"
                for model, lines in blocks
                for line, finding in lines
                if finding.better is not None and line.strategy in strategies
            ],
        }


def difference(column: Column, ours: float, theirs: float) -> Cell:
    """Ours minus the paper's: in points (hundredths) for shares of problems, else as it is."""
    gap, digits = ours - theirs, column.digits
    gap, digits = (100 * gap, digits - 2) if column.counted else (gap, digits)
    return Cell(gap, signed(gap, digits))


def _changed(text: str, value: float | None, change: float | None, off: bool = False) -> Cell:
    return Cell(value, text, change, number(change) + (" *" if off else ""))


def _equal(first: float | None, second: float | None) -> bool:
    return first is not None and second is not None and isclose(first, second, abs_tol=1e-9)


def _weights(weight: float) -> str:
    return f"{weight:g} / {1 - weight:g}"
