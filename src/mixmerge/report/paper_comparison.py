"""Our tables beside the paper's: for each checkpoint our line, the paper's, and the difference."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isclose
from typing import Any, NamedTuple

from mixmerge.report import paper_tables
from mixmerge.report.layout import Entry, Model, PaperMatch, Variant
from mixmerge.report.paper_tables import (
    METRICS,
    SCALE_METRICS,
    Line,
    ScaleLine,
    read_results,
    read_scale,
)
from mixmerge.report.render import Cell, Field, Table, number, table
from mixmerge.report.results import SPECIALISTS, Results, Score, mean_change

#: A line of a table: its cells by column, and what it is about.
Record = dict[str, Any]


class _Column(NamedTuple):
    """A column of ours that the paper has, or AVG."""

    key: str
    metric: str  # the paper's
    task: str
    digits: int
    counted: bool = False  # a share of problems


class _Side(NamedTuple):
    """A line of ours or of the paper's."""

    name: str
    ids: Mapping[str, str]  # what the CSV file says about it
    scores: Sequence[Score]  # by column; AVG last
    off: Sequence[str] = ()  # metrics whose percentage, or `avg` whose value, does not follow


def paper_table(results: Results, entry: Entry) -> Table:
    """One of `mixmerge.report.layout.paper_entries`; the layout names the paper."""
    layout, paper = results.layout, results.layout.paper
    assert paper is not None
    theirs, kind = paper.counterparts[entry.name.replace("paper", "table", 1)], entry.kind[6:]
    scale, several = kind == "data-scale", entry.model is None
    keys = layout.scale_models if scale else layout.strategy_models
    models = [layout.model(key) for key in ([entry.model] if entry.model else keys)]
    wanted = SCALE_METRICS if scale else METRICS
    ours = [c for c in layout.columns_of("test") if paper.columns.get(c.key) in wanted]
    columns = [_Column(c.key, paper.columns[c.key], c.task, c.digits, c.counted) for c in ours]
    averaged = set(METRICS) == {column.metric for column in columns}
    fields = [Field("label", "Trained on" if scale else "Strategy", form="text")]
    fields += [Field(c.key, c.header, layout.task(c.task).title) for c in ours]
    if averaged:
        columns.append(_Column("avg", "avg", "", 2))
        fields.append(Field("avg", "AVG"))
    beside = _Beside(results, paper, columns)
    records: list[Record] = []
    lines: list[tuple[Model, Line]] = []
    if scale and paper.data_scale:
        shares = read_scale(paper.data_scale)
        records = [record for model in models for record in beside.shares(model, shares)]
    for model in () if scale else models:
        place = (theirs, paper.models.get(model.key))
        known = read_results(paper.results, paper.audit)
        own = [line for line in known if (line.table, line.model) == place]
        records += beside.checkpoints(model, own, several)
        lines += [(model, line) for line in own]
    return table(
        entry.name,
        "paper.table",
        records,
        "Model" if several else "Strategy",
        fields,
        entry=entry,
        kind=kind,
        theirs=theirs,
        models=models,
        averaged=averaged,
        layout=layout,
        lines=lines,
        titles={paper.strategies.get(s.key): s.title for s in layout.strategies},
        **results.suites,
    )


class _Beside(NamedTuple):
    results: Results
    paper: PaperMatch
    columns: Sequence[_Column]

    @property
    def _scored(self) -> list[_Column]:
        return [column for column in self.columns if column.metric != "avg"]

    def checkpoints(self, model: Model, lines: Sequence[Line], several: bool) -> Iterator[Record]:
        """Base, specialists (in one line), mixture, and merges of one model.

        Several models: each strategy at its chosen ratio, ours and the paper's; a single one:
        every merge that the paper has, too.
        """
        layout, strategies = self.results.layout, self.paper.strategies
        unmerged: dict[str, Variant | None] = {
            paper_tables.BASE: model.variants[0],
            paper_tables.SPECIALISTS: None,
            paper_tables.MIXTURE: model.variant(model.mixture),
        }
        pairs = [
            (v, line) for name, v in unmerged.items() for line in lines if line.strategy == name
        ]
        pairs += [
            (variant, line)
            for variant in (self.results.chosen(model) if several else layout.merges(model))
            for line in lines
            if line.strategy == strategies.get(str(variant.strategy))
            and (several or _equal(self._weight(variant), line.weight))
        ]
        for variant, line in pairs:
            ours, heading = [self._ours(model, variant)], "Not merged"
            if variant and variant.strategy:
                heading = layout.method(variant)
                ours += [
                    self._ours(model, merge, ", at the paper's ratio")
                    for merge in (layout.merges(model, variant.strategy) if several else ())
                    if merge != variant and _equal(self._weight(merge), line.ratio)
                ]
            heading = model.title if several else heading
            yield from self._records(heading, ours, self._theirs(line, ours[0].ids))

    def _weight(self, variant: Variant) -> float | None:
        """The weight that the paper would print; None where ours is no merge of w and 1 - w."""
        weights = variant.weights or {}
        if len(weights) != 2 or not _equal(sum(weights.values()), 1):
            return None
        return weights.get(str(self.paper.task))

    def _ours(self, model: Model, variant: Variant | None, note: str = "") -> _Side:
        """A checkpoint of ours, or our specialists."""
        layout, name = self.results.layout, variant.name if variant else SPECIALISTS
        scores = [self.results.score(model, name, column.key) for column in self._scored]
        text = layout.label(model, variant) + note if variant else "Specialists"
        ids = layout.checkpoint_ids(model, variant)
        return _Side(text, ids, [*scores, Score(mean_change(scores))])

    def _theirs(self, line: Line, ids: Mapping[str, str]) -> _Side:
        name = "· paper"
        if ids["strategy"]:
            ids = {key: "" if key.startswith("weight.") else value for key, value in ids.items()}
            name += " (ratio not known)" if line.ratio is None else f" ({_weights(line.ratio)})"
            if line.ratio is not None:
                ids[f"weight.{self.paper.task}"] = repr(line.ratio)
        if line.repeats is not None:
            name = f"· paper, repeats {_weights(line.repeats)}"
        scores = [
            Score(float(line.values[column.metric]), float(line.percents[column.metric]))
            for column in self._scored
        ]
        off = line.far if line.follows else [*line.far, "avg"]
        return _Side(name, ids, [*scores, Score(float(line.average))], off)

    def shares(self, model: Model, lines: Sequence[ScaleLine]) -> Iterator[Record]:
        """Table 4: specialists at shares of their data."""
        theirs = self.paper.models.get(model.key)
        for percent in sorted({v.percent for v in model.variants if v.percent}):
            values = [line.values for line in lines if line[:2] == (theirs, percent)]
            trained = [v for v in model.variants if (v.kind, v.percent) == ("sft", percent)]
            names = {str(variant.task): variant.name for variant in trained}
            if values and names:
                ids = {"model": model.key, "variant": "+".join(names.values())}
                ids["percent"] = str(percent)
                scores = [
                    self.results.score(model, names.get(column.task, ""), column.key)
                    for column in self.columns
                ]
                own = [Score(float(values[-1][column.metric])) for column in self.columns]
                ours = _Side(f"Specialists, {percent} %", ids, scores)
                yield from self._records(model.title, [ours], _Side("· paper", ids, own), False)

    def _records(
        self, heading: str, ours: Sequence[_Side], theirs: _Side, percents: bool = True
    ) -> Iterator[Record]:
        """Our line, also that at the paper's ratio if ours is another; the paper's; differences."""

        def record(name: str, ids: Mapping[str, str], of: str, cells: Iterable[Cell]) -> Record:
            values = dict(zip((column.key for column in self.columns), cells, strict=False))
            return {"label": name, "block": heading, "ids": {**ids, "of": of}, **values}

        for side in (*ours, theirs):
            cells = []
            for column, score in zip(self.columns, side.scores, strict=False):
                mark = " *" if column.metric in side.off else ""
                text = number(score.value, column.digits)
                if not percents or column.metric == "avg":
                    cells.append(Cell(score.value, text + mark))
                else:
                    change, extra = number(score.change) + mark, {"pct": score.change}
                    cells.append(Cell(score.value, text, change, extra=extra))
            yield record(side.name, side.ids, "paper" if side is theirs else "ours", cells)
        for side, note in zip(ours, ("", " at the paper's ratio"), strict=False):
            gaps = map(difference, self.columns, side.scores, theirs.scores)
            yield record(f"· difference{note}", side.ids, "difference", gaps)


def difference(column: _Column, ours: Score, theirs: Score) -> Cell:
    """Ours minus the paper's: in points (hundredths) for shares of problems, else as it is."""
    if ours.value is None or theirs.value is None:
        return Cell(None, number(None))
    gap, digits = ours.value - theirs.value, column.digits
    if column.counted:
        gap, digits = 100 * gap, digits - 2
    points = {}
    if ours.change is not None and theirs.change is not None:
        points["pct"] = ours.change - theirs.change
    return Cell(gap, number(gap, digits, "+"), extra=points)


def _equal(first: float | None, second: float | None) -> bool:
    return first is not None and second is not None and isclose(first, second, abs_tol=1e-9)


def _weights(weight: float) -> str:
    return f"{weight:g} / {1 - weight:g}"
