"""Tables 3, 5-8 and 9: mixture and merges measured against the specialists."""

from collections.abc import Iterator, Sequence

from mixmerge.report import comparison, label, notes
from mixmerge.report.entries import Entry
from mixmerge.report.evidence import AVERAGE
from mixmerge.report.layout import Column, Layout, Model, Variant
from mixmerge.report.marks import AVERAGE_VALIDATION, EvidenceByModel, mark_indistinct
from mixmerge.report.scores import Scores
from mixmerge.report.table import Cell, Field, Row, Table, mark_best, number
from mixmerge.report.table import label as text_cell

_DIGITS = 2


def strategies_table(
    layout: Layout, entry: Entry, scores: Scores, evidence: EvidenceByModel | None = None
) -> Table:
    """Table 3: base, specialists, mixture, and each strategy at its chosen ratio."""
    rows: list[Row] = []
    for model in _models(layout, layout.strategy_models):
        rows.append(_line(layout, model, model.variants[0], scores, block=model.title))
        rows.append(_specialists(layout, model, scores, block=model.title))
        picks = [_variant(model, model.mixture), *comparison.chosen(layout, model, scores)]
        for variant in picks:
            line = _line(layout, model, variant, scores, block=model.title, compared=True)
            rows.append(line)
    return _table(
        layout,
        entry,
        "Data mixing and model merging against the specialists.",
        rows,
        layout.strategy_models,
        scores,
        evidence,
        extra=[notes.selection(layout)] if layout.strategies else [],
    )


def ablation_table(
    layout: Layout, entry: Entry, scores: Scores, evidence: EvidenceByModel | None = None
) -> Table:
    """Tables 5-8: every ratio of every strategy of one model."""
    model = layout.model(str(entry.model))
    chosen = {variant.name for variant in comparison.chosen(layout, model, scores)}
    rows = [_specialists(layout, model, scores, select=True)]
    for variant in layout.merges(model):
        mark = " †" if variant.name in chosen else ""
        rows.append(_line(layout, model, variant, scores, mark=mark, compared=True, select=True))
    return _table(
        layout,
        entry,
        f"{model.title}: every ratio of every merge strategy.",
        rows,
        [model.key],
        scores,
        evidence,
        extra=[f"† : the strategy's chosen ratio. {notes.selection(layout)}"],
        best="Bold: best of its column among the merges.",
        select=True,
    )


def compact_table(
    layout: Layout, entry: Entry, scores: Scores, evidence: EvidenceByModel | None = None
) -> Table:
    """Table 9: one model's base, each specialist by itself, mixture and all merges."""
    model = layout.model(str(entry.model))
    rows = [_line(layout, model, model.variants[0], scores)]
    rows += [
        _line(layout, model, _variant(model, name), scores) for name in layout.specialists(model)
    ]
    for variant in [_variant(model, model.mixture), *layout.merges(model)]:
        rows.append(_line(layout, model, variant, scores, compared=True))
    title = f"{model.title}: base, specialists, mixture and merges."
    return _table(layout, entry, title, rows, [model.key], scores, evidence)


def score_fields(layout: Layout) -> list[Field]:
    """One column of print for each column of test scores, under the title of its task."""
    return [
        Field(column.key, column.header, group=layout.task(column.task).title)
        for column in layout.columns_of("test")
    ]


def score_cells(
    columns: Sequence[Column], values: Sequence[float], standing: comparison.Standing | None
) -> Iterator[Cell]:
    """Cells of a line of scores, with their changes where there is something to compare with."""
    changes = standing.changes if standing else (None,) * len(values)
    for column, value, change in zip(columns, values, changes, strict=True):
        shown = number(change, _DIGITS) if standing else ""
        yield Cell(value, number(value, column.digits), change, shown)


def _table(
    layout: Layout,
    entry: Entry,
    title: str,
    rows: list[Row],
    models: Sequence[str],
    scores: Scores,
    evidence: EvidenceByModel | None,
    extra: Sequence[str] = (),
    best: str = notes.BEST,
    select: bool = False,
) -> Table:
    columns = layout.columns_of("test")
    fields = [
        Field("label", "Strategy", align="left"),
        *score_fields(layout),
        Field(AVERAGE, "AVG"),
    ]
    if select and layout.select != "test":
        fields.append(Field(AVERAGE_VALIDATION, "AVG, validation"))
    shown = _models(layout, models)
    known = {key: found for key, found in (evidence or {}).items() if key in models}
    checkpoints = [(model.key, variant.name) for model in shown for variant in model.variants]
    references = [(model, comparison.reference(model, columns, scores)) for model in shown]
    sentences = [
        notes.percentages(layout),
        best,
        notes.weights(layout) if any(layout.merges(model) for model in shown) else "",
        *extra,
        notes.uncertainty(known.values(), averages=True),
        notes.undefined(columns, references),
        notes.suites(layout, "test", scores),
        notes.cut_off(layout, checkpoints, scores),
    ]
    lower = {1 + i for i, column in enumerate(columns) if not column.higher_is_better}
    ranked = mark_best(rows, lower_is_better=lower, skip={0})
    return Table(
        name=entry.name,
        title=f"{entry.number}. {title}",
        fields=tuple(fields),
        rows=tuple(mark_indistinct(ranked, fields, layout, known)),
        block_header="Model",
        notes=tuple(sentence for sentence in sentences if sentence),
    )


def _line(
    layout: Layout,
    model: Model,
    variant: Variant,
    scores: Scores,
    *,
    block: str = "",
    mark: str = "",
    compared: bool = False,
    select: bool = False,
) -> Row:
    """A line of one checkpoint."""
    columns = layout.columns_of("test")
    standing = comparison.of_variant(layout, model, variant.name, "test", scores)
    cells = [text_cell(label.full(layout, model, variant) + mark)]
    cells += score_cells(columns, standing.values, standing)
    cells.append(_average(standing))
    if select and layout.select != "test":
        cells.append(
            _average(comparison.of_variant(layout, model, variant.name, layout.select, scores))
        )
    weights = variant.weights or {}
    ids = {
        "model": model.key,
        "variant": variant.name,
        "kind": variant.kind,
        "strategy": variant.strategy or "",
        **{
            f"weight.{task.key}": repr(weights[task.key]) if task.key in weights else ""
            for task in layout.tasks
        },
    }
    shows = dict.fromkeys(
        [*(column.key for column in columns), AVERAGE, AVERAGE_VALIDATION], variant.name
    )
    return Row(tuple(cells), block=block, ids=ids, shows=shows, compared=compared)


def _specialists(
    layout: Layout, model: Model, scores: Scores, *, block: str = "", select: bool = False
) -> Row:
    """The reference line: each column from the specialist of the column's task."""
    columns = layout.columns_of("test")
    values = comparison.reference(model, columns, scores)
    standing = comparison.standing(values, values, columns)
    cells = [text_cell("Specialists"), *score_cells(columns, values, standing), _average(standing)]
    if select and layout.select != "test":
        chooser = layout.columns_of(layout.select)
        found = comparison.reference(model, chooser, scores)
        cells.append(_average(comparison.standing(found, found, chooser)))
    ids = {
        "model": model.key,
        "variant": "+".join(layout.specialists(model)),
        "kind": "sft",
        "strategy": "",
        **{f"weight.{task.key}": "" for task in layout.tasks},
    }
    shows = {column.key: model.specialists[column.task] for column in columns}
    return Row(tuple(cells), block=block, ids=ids, shows=shows)


def _average(standing: comparison.Standing) -> Cell:
    return Cell(standing.average, number(standing.average, _DIGITS))


def _models(layout: Layout, keys: Sequence[str]) -> list[Model]:
    return [layout.model(key) for key in keys]


def _variant(model: Model, name: str) -> Variant:
    return next(variant for variant in model.variants if variant.name == name)
