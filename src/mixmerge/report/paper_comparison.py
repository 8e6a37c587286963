"""Our tables beside the paper's: for each checkpoint our line, the paper's, and the difference."""

from collections.abc import Iterator, Mapping, Sequence
from math import isclose
from typing import Any, NamedTuple

from mixmerge.report import paper_tables
from mixmerge.report.entries import Entry
from mixmerge.report.paper_tables import METRICS, SCALE_METRICS, Line
from mixmerge.report.render import prose
from mixmerge.report.results import SPECIALISTS, Results, Score, mean_change
from mixmerge.report.settings import Model, PaperMatch, Variant
from mixmerge.report.table import Cell, Field, Row, Table, label, number, signed


class _Side(NamedTuple):
    """A line of ours or of the paper's."""

    name: str
    ids: Mapping[str, str]  # what the CSV file says about it
    scores: Sequence[Score]  # by column; AVG last, where both studies have the same columns
    off: Sequence[str] = ()  # metrics whose percentage, or `avg` whose value, does not follow


def paper_table(results: Results, entry: Entry) -> Table:
    """One of `mixmerge.report.entries.paper_entries`; the layout names the paper."""
    layout, paper = results.layout, results.layout.paper
    assert paper is not None
    kind = entry.kind.removeprefix("paper-")
    [counterpart] = [c for c in paper.counterparts if (c.kind, c.model) == (kind, entry.model)]
    models = [entry.model] if entry.model else layout.strategy_models
    scale = kind == "data-scale"
    wanted = SCALE_METRICS if scale else tuple(METRICS)
    columns = [c for c in layout.columns_of("test") if paper.columns.get(c.key) in wanted]
    compared = {c.key: _Column(paper.columns[c.key], c.digits, c.counted) for c in columns}
    fields = [Field("label", "Trained on" if scale else "Strategy", form="text")]
    fields += [Field(c.key, c.header, layout.task(c.task).title) for c in columns]
    averaged = set(METRICS) == {column.metric for column in compared.values()}
    if averaged:
        compared["avg"] = _Column("avg", 2, False)
        fields.append(Field("avg", "AVG"))
    beside = _Beside(results, paper, counterpart.table, compared)
    lines = [] if scale else paper_tables.read_results(paper.results, paper.audit)
    blocks = [
        (
            layout.model(key),
            [
                line
                for line in lines
                if (line.table, line.model) == (counterpart.table, paper.models.get(key))
            ],
        )
        for key in models
    ]
    texts = prose(
        "paper",
        "table",
        entry=entry,
        counterpart=counterpart,
        model=layout.model(entry.model) if entry.model else None,
        averaged=averaged,
        layout=layout,
        faults=None if scale else beside.faults(blocks),
        **results.suites,
    )
    if scale:
        rows = list(beside.scale())
    else:
        rows = [row for block in blocks for row in beside.block(*block, several=not entry.model)]
    return Table(entry.name, texts, fields, rows, "Strategy" if entry.model else "Model")


class _Column(NamedTuple):
    metric: str  # the paper's
    digits: int
    counted: bool  # a share of problems


class _Beside(NamedTuple):
    results: Results
    paper: PaperMatch
    table: str  # number of the paper's
    columns: Mapping[str, _Column]  # our test columns that the paper has, and AVG

    def block(self, model: Model, lines: Sequence[Line], several: bool) -> Iterator[Row]:
        """Base, specialists (in one line), mixture, and merges of one model.

        Several models: each strategy at its chosen ratio, ours and the paper's; a single one:
        every merge that the paper has, too.
        """
        layout, strategies = self.results.layout, self.paper.strategies
        pairs: list[tuple[Variant | None, Line]] = [
            (variant, line)
            for strategy, variant in (
                (paper_tables.BASE, model.variants[0]),
                (paper_tables.SPECIALISTS, None),
                (paper_tables.MIXTURE, model.variant(model.mixture)),
            )
            for line in lines
            if line.strategy == strategy
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
            theirs = self._theirs(line, ours[0].ids)
            yield from self._lines(ours, theirs, model.title if several else heading)

    def _weight(self, variant: Variant) -> float | None:
        """The weight that the paper would print; None where ours is no merge of w and 1 - w."""
        weights = variant.weights or {}
        if len(weights) != 2 or not _equal(sum(weights.values()), 1):
            return None
        return weights.get(str(self.paper.task))

    def _ours(self, model: Model, variant: Variant | None, note: str = "") -> _Side:
        """A checkpoint of ours, or our specialists."""
        layout, name = self.results.layout, variant.name if variant else SPECIALISTS
        scores = [self.results.score(model, name, key) for key in self.columns if key != "avg"]
        text = layout.label(model, variant) + note if variant else "Specialists"
        return _Side(
            text, layout.checkpoint_ids(model, variant), [*scores, Score(mean_change(scores))]
        )

    def _theirs(self, line: Line, ids: Mapping[str, str]) -> _Side:
        name = "· paper"
        if ids["strategy"]:
            ids = {**ids, **{key: "" for key in ids if key.startswith("weight.")}}
            name += " (ratio not known)" if line.ratio is None else f" ({_weights(line.ratio)})"
            if line.ratio is not None:
                ids[f"weight.{self.paper.task}"] = repr(line.ratio)
        if line.repeats is not None:
            name = f"· paper, repeats {_weights(line.repeats)}"
        metrics = [c.metric for c in self.columns.values() if c.metric != "avg"]
        scores = [Score(float(line.values[m]), float(line.percents[m])) for m in metrics]
        off = line.far if line.follows else [*line.far, "avg"]
        return _Side(name, ids, [*scores, Score(float(line.average))], off)

    def _lines(
        self, ours: Sequence[_Side], theirs: _Side, block: str, percents: bool = True
    ) -> Iterator[Row]:
        """Lines of one checkpoint: ours, also at the paper's ratio where ours is at another one,
        then the paper's, then the differences.
        """
        columns = list(self.columns.values())
        for side in (*ours, theirs):
            cells = []
            for column, score in zip(columns, side.scores, strict=False):
                mark = " *" if column.metric in side.off else ""
                text = number(score.value, column.digits)
                if not percents or column.metric == "avg":
                    cells.append(Cell(score.value, text + mark))
                else:
                    change = number(score.change) + mark
                    cells.append(Cell(score.value, text, score.change, change))
            of = "paper" if side is theirs else "ours"
            yield Row([label(side.name), *cells], block, {**side.ids, "of": of})
        for side, name in zip(ours, ("", " at the paper's ratio"), strict=False):
            pairs = zip(columns, side.scores, theirs.scores, strict=False)
            cells = [difference(column, own, other) for column, own, other in pairs]
            ids = {**side.ids, "of": "difference"}
            yield Row([label(f"· difference{name}"), *cells], block, ids)

    def scale(self) -> Iterator[Row]:
        """Table 4: specialists at shares of their data."""
        layout = self.results.layout
        assert self.paper.data_scale is not None
        lines = {
            (line.model, line.percent): line.values
            for line in paper_tables.read_scale(self.paper.data_scale)
        }
        for model in map(layout.model, layout.scale_models):
            for percent in sorted({v.percent for v in model.variants if v.percent}):
                values = lines.get((self.paper.models.get(model.key, ""), percent))
                specialists = {
                    str(variant.task): variant.name
                    for variant in model.variants
                    if variant.kind == "sft" and variant.percent == percent
                }
                if values is None or not specialists:
                    continue
                ids = {"model": model.key, "variant": "+".join(specialists.values())}
                ids["percent"] = str(percent)
                tasks = {column.key: column.task for column in layout.columns}
                scores = [
                    self.results.score(model, specialists.get(tasks[key], ""), key)
                    for key in self.columns
                ]
                ours = _Side(f"Specialists, {percent} %", ids, scores)
                own = [Score(float(values[c.metric])) for c in self.columns.values()]
                theirs = _Side("· paper", ids, own)
                yield from self._lines([ours], theirs, model.title, percents=False)

    def faults(self, blocks: Sequence[tuple[Model, Sequence[Line]]]) -> dict[str, Any]:
        """What of the paper's lines beside ours is off, for notes."""
        strategies = self.results.layout.strategies
        titles = {self.paper.strategies.get(s.key): s.title for s in strategies}
        lines = [line for _, part in blocks for line in part]
        return {
            "lines": len(lines),
            "percentages": len(lines) * len(METRICS),
            "far": sum(len(line.far) for line in lines),
            "averages": sum(not line.follows for line in lines),
            "repeats": any(line.repeats is not None for line in lines),
            "better": [
                f"{model.title}, {titles[line.strategy]} ({line.better:g})"
                for model, part in blocks
                for line in part
                if line.better is not None and line.strategy in titles
            ],
        }


def difference(column: _Column, ours: Score, theirs: Score) -> Cell:
    """Ours minus the paper's: in points (hundredths) for shares of problems, else as it is."""
    if ours.value is None or theirs.value is None:
        return Cell(None, number(None))
    gap, digits = ours.value - theirs.value, column.digits
    if column.counted:
        gap, digits = 100 * gap, digits - 2
    points = None
    if ours.change is not None and theirs.change is not None:
        points = ours.change - theirs.change
    return Cell(gap, signed(gap, digits), points)


def _equal(first: float | None, second: float | None) -> bool:
    return first is not None and second is not None and isclose(first, second, abs_tol=1e-9)


def _weights(weight: float) -> str:
    return f"{weight:g} / {1 - weight:g}"
