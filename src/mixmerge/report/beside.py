"""Our tables beside the paper's."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from mixmerge.report import comparison, faults, label
from mixmerge.report.entries import Entry
from mixmerge.report.layout import Column, Counterpart, Layout, Model, Variant
from mixmerge.report.paper_tables import SCALE_METRICS, Line, ScaleLine, read_scale
from mixmerge.report.scores import Scores
from mixmerge.report.table import UNDEFINED, Cell, Field, Row, Table, number
from mixmerge.report.table import label as text_cell
from mixmerge.report.trio import Trios, difference


def beside_table(layout: Layout, entry: Entry, scores: Scores) -> Table:
    """One of our tables beside the paper's.

    Args:
        layout: the study; it names the paper.
        entry: one of `mixmerge.report.entries.paper_entries`.
        scores: scores of all checkpoints.
    """
    paper = layout.paper
    assert paper is not None
    kind = entry.kind.removeprefix("paper-")
    counterpart = next(
        found for found in paper.counterparts if (found.kind, found.model) == (kind, entry.model)
    )
    build = {"strategies": _strategies, "data-scale": _scale}.get(kind, _single)
    return build(Trios(layout, paper, scores), entry, counterpart)


def _strategies(trios: Trios, entry: Entry, counterpart: Counterpart) -> Table:
    """Table 3: strategies at their chosen ratios, ours and the paper's."""
    rows: list[Row] = []
    for model in map(trios.layout.model, trios.layout.strategy_models):
        block = trios.peers.block(model, counterpart.table)
        for variant in _unmerged(model):
            rows += _plain(trios, model, variant, block, model.title)
        for variant in comparison.chosen(trios.layout, model, trios.scores):
            line = trios.peers.merge(variant.strategy, block)
            if line is not None:
                ratio = trios.peers.ratio(line)
                same = trios.peers.at(ratio, trios.layout.merges(model, variant.strategy))
                again = None
                if same is not None and same.name != variant.name:
                    again = trios.checkpoint(model, same, ", at the paper's ratio")
                rows += trios.group(trios.checkpoint(model, variant), line, model.title, again)
    return _table(trios, entry, counterpart, "data mixing and model merging.", rows)


def _single(trios: Trios, entry: Entry, counterpart: Counterpart) -> Table:
    """Tables 5-9: one model's checkpoints that the paper has, too."""
    model = trios.layout.model(str(entry.model))
    block = trios.peers.block(model, counterpart.table)
    rows: list[Row] = []
    for variant in _unmerged(model):
        rows += _plain(trios, model, variant, block, "Not merged")
    for variant in trios.layout.merges(model):
        line = trios.peers.same(variant, block)
        if line is not None:
            heading = label.method(trios.layout, variant)
            rows += trios.group(trios.checkpoint(model, variant), line, heading)
    return _table(trios, entry, counterpart, f"{model.title}.", rows)


def _table(
    trios: Trios, entry: Entry, counterpart: Counterpart, title: str, rows: list[Row]
) -> Table:
    sentences = [
        faults.reading(trios.averaged),
        *faults.sentences(trios.layout, trios.peers, counterpart, trios.scores),
    ]
    return Table(
        name=entry.name,
        title=f"{entry.number}. Beside the paper's Table {counterpart.table}: {title}",
        fields=trios.fields(),
        rows=tuple(rows),
        block_header="Model" if counterpart.model is None else "Strategy",
        notes=tuple(sentence for sentence in sentences if sentence),
    )


def _unmerged(model: Model) -> Iterator[Variant | None]:
    """Base, specialists (None: they are several checkpoints) and mixture, in order of print."""
    yield model.variants[0]
    yield None
    yield next(variant for variant in model.variants if variant.name == model.mixture)


def _plain(
    trios: Trios, model: Model, variant: Variant | None, block: Sequence[Line], heading: str
) -> Iterator[Row]:
    if variant is None:
        line = trios.peers.specialists(block)
        ours = trios.specialists(model)
    else:
        line = trios.peers.same(variant, block)
        ours = trios.checkpoint(model, variant)
    return iter(()) if line is None else trios.group(ours, line, heading)


def _scale(trios: Trios, entry: Entry, counterpart: Counterpart) -> Table:
    """Table 4: specialists at shares of their data."""
    assert trios.paper.data_scale is not None
    lines = {(line.model, line.percent): line for line in read_scale(Path(trios.paper.data_scale))}
    columns = [c for c in trios.columns if trios.paper.columns[c.key] in SCALE_METRICS]
    rows: list[Row] = []
    for model in map(trios.layout.model, trios.layout.scale_models):
        for percent in sorted({v.percent for v in model.variants if v.percent}):
            line = lines.get((trios.paper.models.get(model.key, ""), percent))
            if line is not None:
                rows += _share(trios, columns, model, line)
    return Table(
        name=entry.name,
        title=f"{entry.number}. Beside the paper's Table {counterpart.table}: "
        "specialists by share of the training data.",
        fields=(
            Field("label", "Trained on", align="left"),
            *(Field(c.key, c.header, group=trios.layout.task(c.task).title) for c in columns),
        ),
        rows=tuple(rows),
        block_header="Model",
        notes=(
            faults.reading(averaged=False, percentages=False),
            *faults.measured(trios.layout, trios.scores),
        ),
    )


def _share(trios: Trios, columns: Sequence[Column], model: Model, line: ScaleLine) -> Iterator[Row]:
    """The three lines of one share of the data; nothing where we have no specialist of it."""
    found = {
        variant.task: variant.name
        for variant in model.variants
        if variant.kind == "sft" and variant.percent == line.percent
    }
    ours, theirs, differences = [], [], []
    for column in columns:
        value = float(line.values[trios.paper.columns[column.key]])
        theirs.append(Cell(value, number(value, column.digits)))
        if column.task not in found:
            ours.append(Cell(None, UNDEFINED))
            differences.append(Cell(None, UNDEFINED))
            continue
        own = trios.scores[model.key, found[column.task]].values[column.key]
        ours.append(Cell(own, number(own, column.digits)))
        differences.append(difference(column, own, value))
    ids = {"model": model.key, "variant": "+".join(found.values()), "percent": str(line.percent)}
    for name, of, cells in (
        (f"Specialists, {line.percent} %", "ours", ours),
        ("· paper", "paper", theirs),
        ("· difference", "difference", differences),
    ):
        if found:
            yield Row((text_cell(name), *cells), model.title, {**ids, "of": of})
