"""Our tables beside the paper's: for each checkpoint our line, the paper's, and the difference."""

from collections.abc import Iterator, Mapping, Sequence
from math import isclose, nan
from typing import Any, NamedTuple

from mixmerge.report import paper_tables
from mixmerge.report.layout import Column, Entry, Model, Variant
from mixmerge.report.paper_tables import METRICS, SCALE_METRICS, Line, ScaleLine
from mixmerge.report.render import Cell, Field, Table, number, table
from mixmerge.report.results import SPECIALISTS, Results, Score, mean_change


class _Side(NamedTuple):
    """A line of ours or of the paper's."""

    name: str
    ids: Mapping[str, str]  # what the CSV file says about it
    scores: Mapping[str, Score]  # by column of ours that the paper has; and AVG
    off: Sequence[str] = ()  # columns whose percentage, or `avg` whose value, does not follow


_Group = tuple[str, list[_Side], _Side]  # heading; ours, also at the paper's ratio; the paper's


def paper_table(results: Results, entry: Entry) -> Table:
    """One of `mixmerge.report.layout.paper_entries`; the layout names the paper."""
    layout, paper = results.layout, results.layout.paper
    assert paper is not None
    theirs, kind = paper.counterparts[entry.name.replace("paper", "table", 1)], entry.kind[6:]
    scale, several = kind == "data-scale", entry.model is None
    keys = layout.scale_models if scale else layout.strategy_models
    models = [layout.model(key) for key in ([entry.model] if entry.model else keys)]
    wanted = SCALE_METRICS if scale else METRICS
    columns = [c for c in layout.columns_of("test") if paper.columns.get(c.key) in wanted]
    averaged = set(METRICS) == {paper.columns[column.key] for column in columns}
    fields = [Field("label", "Trained on" if scale else "Strategy", form="text")]
    fields += [Field(c.key, c.header, layout.task(c.task).title) for c in columns]
    fields += [Field("avg", "AVG")] if averaged else []
    groups: list[_Group] = []
    lines: list[tuple[Model, Line]] = []
    shares = paper_tables.read_scale(paper.data_scale) if scale and paper.data_scale else []
    printed = [] if scale else paper_tables.read_results(paper.results, paper.audit)
    for model in models:
        if scale:
            groups += _shares(results, columns, model, shares)
        else:
            place = (theirs, paper.models.get(model.key))
            own = [line for line in printed if (line.table, line.model) == place]
            groups += _checkpoints(results, columns, model, own, several)
            lines += [(model, line) for line in own]
    records = [record for group in groups for record in _records(columns, *group, not scale)]
    words: dict[str, Any] = {"kind": kind, "theirs": theirs, "models": models, "lines": lines}
    words |= {"entry": entry, "averaged": averaged, "layout": layout, "results": results}
    words["titles"] = {paper.strategies.get(s.key): s.title for s in layout.strategies}
    head = "Model" if several else "Strategy"
    return table(entry.name, "paper.table", records, head, fields, **words)


def _checkpoints(
    results: Results, columns: Sequence[Column], model: Model, lines: Sequence[Line], several: bool
) -> Iterator[_Group]:
    """Base, specialists (in one line), mixture, and merges, of several models the chosen ones."""
    layout, paper = results.layout, results.layout.paper
    assert paper is not None
    task = str(paper.task)

    def is_at(variant: Variant, weight: float | None) -> bool:
        """Whether ours is a merge of w and 1 - w with the weight that the paper prints."""
        weights = variant.weights or {}
        whole = len(weights) == 2 and isclose(sum(weights.values()), 1)
        own = weights.get(task, nan) if whole else nan
        return weight is not None and isclose(own, weight, abs_tol=1e-9)

    def ours(variant: Variant | None, note: str = "") -> _Side:
        name = variant.name if variant else SPECIALISTS
        scores = {column.key: results.score(model, name, column.key) for column in columns}
        scores["avg"] = Score(mean_change(scores.values()))
        text = layout.label(model, variant) + note if variant else "Specialists"
        return _Side(text, layout.checkpoint_ids(model, variant), scores)

    names = paper_tables.BASE, paper_tables.SPECIALISTS, paper_tables.MIXTURE
    unmerged = zip(names, (model.variants[0], None, model.variant(model.mixture)), strict=True)
    pairs = [(v, line) for name, v in unmerged for line in lines if line.strategy == name]
    pairs += [
        (variant, line)
        for variant in (results.chosen(model) if several else layout.merges(model))
        for line in lines
        if line.strategy == paper.strategies.get(str(variant.strategy))
        and (several or is_at(variant, line.weight))
    ]
    for variant, line in pairs:
        sides, heading = [ours(variant)], "Not merged"
        if variant and variant.strategy:
            heading = layout.method(variant)
            sides += [
                ours(merge, ", at the paper's ratio")
                for merge in (layout.merges(model, variant.strategy) if several else ())
                if merge != variant and is_at(merge, line.ratio)
            ]
        name, ids = "· paper", dict(sides[0].ids)
        if ids["strategy"]:
            ids = {key: "" if key.startswith("weight.") else value for key, value in ids.items()}
            name += " (ratio not known)"
            if line.ratio is not None:
                name = f"· paper ({line.ratio:g} / {1 - line.ratio:g})"
                ids[f"weight.{task}"] = repr(line.ratio)
        if line.repeats is not None:
            name = f"· paper, repeats {line.repeats:g} / {1 - line.repeats:g}"
        scores = {"avg": Score(float(line.average))}
        for key, metric in ((column.key, paper.columns[column.key]) for column in columns):
            scores[key] = Score(float(line.values[metric]), float(line.percents[metric]))
        off = [key for key in scores if paper.columns.get(key) in line.far]
        off += [] if line.follows else ["avg"]
        yield model.title if several else heading, sides, _Side(name, ids, scores, off)


def _shares(
    results: Results, columns: Sequence[Column], model: Model, lines: Sequence[ScaleLine]
) -> Iterator[_Group]:
    """Table 4: specialists at shares of their data."""
    paper = results.layout.paper
    assert paper is not None
    theirs = paper.models.get(model.key)
    for percent in sorted({v.percent for v in model.variants if v.percent}):
        printed = [line.values for line in lines if line[:2] == (theirs, percent)]
        trained = [v for v in model.variants if (v.kind, v.percent) == ("sft", percent)]
        names = {str(variant.task): variant.name for variant in trained}
        if printed and names:
            ids = {"model": model.key, "variant": "+".join(names.values())}
            ids["percent"] = str(percent)
            scores = {c.key: results.score(model, names.get(c.task, ""), c.key) for c in columns}
            ours = _Side(f"Specialists, {percent} %", ids, scores)
            own = {c.key: Score(float(printed[-1][paper.columns[c.key]])) for c in columns}
            yield model.title, [ours], _Side("· paper", ids, own)


def _records(
    columns: Sequence[Column], heading: str, ours: Sequence[_Side], theirs: _Side, percents: bool
) -> Iterator[dict[str, Any]]:
    """Our line, also that at the paper's ratio if ours is another; the paper's; differences."""
    digits = {"avg": 2} | {column.key: column.digits for column in columns}
    counted = {column.key for column in columns if column.counted}

    def cell(key: str, score: Score, off: Sequence[str]) -> Cell:
        text, mark = number(score.value, digits[key]), " *" if key in off else ""
        if not percents or key == "avg":
            return Cell(score.value, text + mark)
        return Cell(score.value, text, number(score.change) + mark, extra={"pct": score.change})

    def difference(key: str, mine: Score, other: Score) -> Cell:
        if mine.value is None or other.value is None:
            return Cell(None, number(None))
        gap, places, extra = mine.value - other.value, digits[key], {}
        if key in counted:  # in points: hundredths
            gap, places = 100 * gap, places - 2
        if mine.change is not None and other.change is not None:
            extra["pct"] = mine.change - other.change
        return Cell(gap, number(gap, places, "+"), extra=extra)

    for side in (*ours, theirs):
        cells = {key: cell(key, score, side.off) for key, score in side.scores.items()}
        ids = {**side.ids, "of": "paper" if side is theirs else "ours"}
        yield {"label": side.name, "block": heading, "ids": ids, **cells}
    for side, note in zip(ours, ("", " at the paper's ratio"), strict=False):
        cells = {key: difference(key, side.scores[key], theirs.scores[key]) for key in side.scores}
        ids = {**side.ids, "of": "difference"}
        yield {"label": f"· difference{note}", "block": heading, "ids": ids, **cells}
