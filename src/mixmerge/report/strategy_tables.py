"""Tables 3 to 9: mixture and merges measured against the specialists, and all tables' files.

A table is a pivot of the tidy scores: a line a checkpoint, a column a score, AVG last.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mixmerge.report.entries import INDEX, Entry, paper_entries, table_entries
from mixmerge.report.paper_comparison import paper_table
from mixmerge.report.render import prose, render, write_table, write_text
from mixmerge.report.results import AVERAGES, SPECIALISTS, Against, Results
from mixmerge.report.settings import Column, Layout, Model, Variant
from mixmerge.report.table import Cell, Field, Row, Table, bracket, number, row
from mixmerge.report.training_tables import data_table, hyperparameters_table

#: Not distinguishable from the specialist of the column's task (in AVG, from the specialists), and
#: AVG not distinguishable from that of the mixture.
_SIGNS: Sequence[tuple[Against, str, str]] = (
    ("specialist", "≈", "p_adjusted"),
    ("mixture", "‡", "p_adjusted_mixture"),
)

#: Share of completions that may hit the length limit before a note says so.
_CUT_OFF = 0.01


def write_tables(results: Results, root: Path, out: Path) -> None:
    """Write every table of the study in every rendering, and all of them in one Markdown file.

    Args:
        results: scores of all checkpoints, with evidence.
        root: the study's directory; ``data/statistics.json`` and manifests are read.
        out: directory of the tables.
    """
    layout = results.layout
    tables = [study_table(results, entry, root) for entry in table_entries(layout)]
    beside = [paper_table(results, entry) for entry in paper_entries(layout)]
    for table in tables:
        write_table(table, out)
    for table in beside:
        write_table(table, out, paged=True)
    parts = [f"# {layout.title}\n", *(render(table, "md") for table in (*tables, *beside))]
    write_text(out / INDEX, "\n".join(parts))


def study_table(results: Results, entry: Entry, root: Path) -> Table:
    """One of the study's own tables."""
    match entry.kind:
        case "hyperparameters":
            return hyperparameters_table(results.layout, entry, root)
        case "data":
            return data_table(results, entry, root)
        case "data-scale":
            return scale_table(results, entry)
    return contest_table(results, entry)


def contest_table(results: Results, entry: Entry) -> Table:
    """Tables 3 and 5-9: checkpoints against the specialists.

    Table 3 has base, specialists, mixture, and each strategy at its chosen ratio; Tables 5-8 every
    ratio of every strategy of one model; Table 9 one model's base, each specialist by itself,
    mixture and all merges.
    """
    layout, kind = results.layout, entry.kind
    models = [
        layout.model(key) for key in ([entry.model] if entry.model else layout.strategy_models)
    ]
    columns = layout.columns_of("test")
    fields = [Field("label", "Strategy", form="text"), *_fields(layout), Field("avg", "AVG")]
    if kind == "ablation" and layout.select != "test":
        fields.append(Field(AVERAGES[layout.select], "AVG, validation"))
    rows: list[Row] = []
    for model in models:
        chosen, merges = results.chosen(model), layout.merges(model)
        base, mixture = model.variants[0], model.variant(model.mixture)
        specialists = map(model.variant, layout.specialists(model))
        lines: dict[str, tuple[list[Variant | None], list[Variant]]] = {
            "strategies": ([base, None], [mixture, *chosen]),
            "ablation": ([None], merges),
            "compact": ([base, *specialists], [mixture, *merges]),
        }
        alone, compared = lines[kind]
        for variant in (*alone, *compared):
            name = variant.name if variant else SPECIALISTS
            text = layout.label(model, variant) if variant else "Specialists"
            text += " †" if kind == "ablation" and variant in chosen else ""
            values: dict[str, Any] = {"label": text}
            values |= {c.key: score_cell(results, model, name, c.key, c.digits) for c in columns}
            values |= {key: score_cell(results, model, name, key) for key in AVERAGES.values()}
            block = model.title if kind == "strategies" else ""
            line = row(fields, values, block, layout.checkpoint_ids(model, variant))
            rows.append(line._replace(compared=variant in compared))
    undefined = []
    for model in models:
        scores = [(c.header, results.score(model, SPECIALISTS, c.key)) for c in columns]
        if heads := [header for header, score in scores if score.change is None]:
            undefined.append(f"{model.title}: {', '.join(heads)}")
    texts = prose(
        "tables",
        "contest",
        kind=kind,
        number=entry.number,
        layout=layout,
        model=models[0] if models else None,
        merged=any(layout.merges(model) for model in models),
        undefined=undefined,
        **common_notes(results, models),
    )
    return Table(entry.name, texts, fields, mark_best(rows, columns, 1), "Model")


def scale_table(results: Results, entry: Entry) -> Table:
    """Table 4: each percentage's specialists, each on the test columns of its own task.

    Mixtures at several percentages get lines of their own.
    """
    layout = results.layout
    columns, models = layout.columns_of("test"), [layout.model(key) for key in layout.scale_models]
    fields = [Field("label", "Trained on", form="text"), Field("percent", "Data", form="0 %")]
    fields += _fields(layout)
    rows: list[Row] = []
    for model in models:
        trained = [v for v in model.variants if v.kind == "sft" and v.percent]
        mixtures = [variant for variant in model.variants if variant.kind == "mix"]
        lines = [
            ("Specialists", percent, {str(v.task): v.name for v in trained if v.percent == percent})
            for percent in sorted({v.percent for v in trained if v.percent})
        ]
        tasks = [task.key for task in layout.tasks]
        for mixture in mixtures if len(mixtures) > 1 else ():
            lines.append(("Data mixture", mixture.percent or 0, dict.fromkeys(tasks, mixture.name)))
        for text, percent, names in lines:
            values = {"label": text, "percent": percent} | {
                c.key: score_cell(results, model, names[c.task], c.key, c.digits, percents=False)
                for c in columns
                if c.task in names
            }
            ids = {"model": model.key, "variant": "+".join(dict.fromkeys(names.values()))}
            line = row(fields, values, model.title, ids)
            rows.append(line._replace(compared=text == "Specialists"))
    texts = prose("tables", "scale", number=entry.number, **common_notes(results, models))
    return Table(entry.name, texts, fields, mark_best(rows, columns, 2), "Model")


def _fields(layout: Layout) -> list[Field]:
    return [Field(c.key, c.header, layout.task(c.task).title) for c in layout.columns_of("test")]


def score_cell(
    results: Results,
    model: Model,
    variant: str,
    column: str,
    digits: int | None = None,
    percents: bool = True,
) -> Cell:
    """A score with its change, or AVG (without digits), with what is known about it: marks in
    print, intervals and p-values in CSV.
    """
    score, average = results.score(model, variant, column), digits is None
    cell = Cell(score.value, number(score.value, digits or 2))
    if not average and percents:
        cell = replace(cell, change=score.change, change_text=number(score.change))
    if score.interval is None:
        return cell
    extra: dict[str, float | None] = dict(zip(("low", "high"), score.interval, strict=True))
    hint, mark = f"{100 * results.evidence[model.key].level:g} %: ", ""
    hint += bracket(score.interval, digits or 2)[1:-1]
    if column == AVERAGES["validation"]:
        return replace(cell, extra=extra)
    for against, sign, suffix in _SIGNS:
        test = score.tests.get(against)
        extra[suffix] = test["p_adjusted"] if test else None
        if test:
            p = test["p_adjusted"]
            hint += f"; p {'< 0.001' if p < 0.001 else f'= {p:.3f}'} against the {against}"
            # Both marks in every column would hide what they are about; CSV has them all.
            if not test["distinguishable"] and (against == "specialist" or average):
                mark += sign
    interval = bracket(score.interval) if average else ""
    return replace(cell, mark=mark, interval=interval, hint=hint, extra=extra)


def mark_best(rows: Sequence[Row], columns: Sequence[Column], labels: int) -> list[Row]:
    """Mark the best values of each column among the compared rows of each block.

    Args:
        rows: the lines, in order. A block with a single compared line is left alone: being the
            best of one says nothing.
        columns: columns of scores; in those that follow, more is better.
        labels: columns of print that come before them.
    """
    lower = {at for at, column in enumerate(columns, labels) if not column.higher_is_better}
    marked = []
    for line in rows:
        rivals = [other.cells for other in rows if other.block == line.block and other.compared]
        cells = list(line.cells)
        for at in range(labels, len(cells)) if line.compared and len(rivals) > 1 else ():
            values = [v for rival in rivals if isinstance(v := rival[at].value, int | float)]
            best = (min if at in lower else max)(values, default=None)
            cells[at] = replace(cells[at], best=best is not None and cells[at].value == best)
        marked.append(line._replace(cells=cells))
    return marked


def common_notes(results: Results, models: Sequence[Model]) -> dict[str, Any]:
    """What the notes below several tables need: suites, level of the tests, completions cut off."""
    layout, keys = results.layout, [model.key for model in models]
    evidence = next((results.evidence[key] for key in keys if key in results.evidence), None)
    stops = [
        (1 - items.stopped, *place) for place, items in results.items.items() if place[0] in keys
    ]
    share, key, variant, suite = max(stops, default=(0.0, "", "", ""))
    cut_off: tuple[Any, ...] = ()
    if share > _CUT_OFF:
        titles = {entry.key: entry.title for entry in layout.suites}
        cut_off = (share, layout.model(key).title, variant, titles[suite])
    return {"evidence": evidence, "cut_off": cut_off, **results.suites}
