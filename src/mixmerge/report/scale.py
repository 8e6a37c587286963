"""Table 4: specialists trained on growing shares of their data."""

from mixmerge.report import notes
from mixmerge.report.contest import score_cells, score_fields
from mixmerge.report.entries import Entry
from mixmerge.report.layout import Layout, Model, Variant
from mixmerge.report.marks import EvidenceByModel, mark_indistinct
from mixmerge.report.scores import Scores
from mixmerge.report.table import UNDEFINED, Cell, Field, Row, Table, label, mark_best


def scale_table(
    layout: Layout, entry: Entry, scores: Scores, evidence: EvidenceByModel | None = None
) -> Table:
    """Table 4: each percentage's specialists, each on the test columns of its own task.

    Mixtures at several percentages get lines of their own.
    """
    models = [layout.model(key) for key in layout.scale_models]
    rows: list[Row] = []
    for model in models:
        percents = sorted({v.percent for v in model.variants if v.kind == "sft" and v.percent})
        for percent in percents:
            rows.append(_specialists(layout, model, percent, scores))
        mixtures = [variant for variant in model.variants if variant.kind == "mix"]
        if len(mixtures) > 1:
            rows += [_mixture(layout, model, variant, scores) for variant in mixtures]
    columns = layout.columns_of("test")
    lower = {2 + i for i, column in enumerate(columns) if not column.higher_is_better}
    fields = [Field("label", "Trained on", align="left"), Field("percent", "Data")]
    fields += score_fields(layout)
    known = {key: found for key, found in (evidence or {}).items() if key in layout.scale_models}
    ranked = mark_best(rows, lower_is_better=lower, skip={0, 1})
    sentences = [
        "Each task's columns come from the specialist of that task; smaller shares lie inside "
        "larger ones. Bold: best of its column among a model's specialists.",
        notes.uncertainty(known.values(), averages=False),
        notes.suites(layout, "test", scores),
    ]
    return Table(
        name=entry.name,
        title=f"{entry.number}. Specialists by share of the training data.",
        fields=tuple(fields),
        rows=tuple(mark_indistinct(ranked, fields, layout, known)),
        block_header="Model",
        notes=tuple(sentence for sentence in sentences if sentence),
    )


def _specialists(layout: Layout, model: Model, percent: int, scores: Scores) -> Row:
    found = {v.task: v for v in model.variants if v.kind == "sft" and v.percent == percent}
    cells = [label("Specialists"), Cell(percent, f"{percent} %")]
    for column in layout.columns_of("test"):
        variant = found.get(column.task)
        if variant is None:
            cells.append(Cell(None, UNDEFINED))
            continue
        value = scores[model.key, variant.name].values[column.key]
        cells += score_cells([column], [value], None)
    names = "+".join(variant.name for variant in found.values())
    ids = {"model": model.key, "variant": names}
    shows = {c.key: found[c.task].name for c in layout.columns_of("test") if c.task in found}
    return Row(tuple(cells), block=model.title, ids=ids, shows=shows, compared=True)


def _mixture(layout: Layout, model: Model, variant: Variant, scores: Scores) -> Row:
    columns = layout.columns_of("test")
    found = scores[model.key, variant.name].values
    values = [found[column.key] for column in columns]
    cells = [label("Data mixture"), Cell(variant.percent, f"{variant.percent} %")]
    cells += score_cells(columns, values, None)
    ids = {"model": model.key, "variant": variant.name}
    shows = dict.fromkeys((column.key for column in columns), variant.name)
    return Row(tuple(cells), block=model.title, ids=ids, shows=shows)
