"""Tables 3 to 9: mixture and merges measured against the specialists, and all tables' files.

A table is a pivot of the tidy scores: a line a checkpoint, a column a score, AVG last.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mixmerge.report.entries import INDEX, Entry, paper_entries, table_entries
from mixmerge.report.paper_comparison import paper_table
from mixmerge.report.render import prose, render, write_table, write_text
from mixmerge.report.results import AVERAGES, SPECIALISTS, Against, Results
from mixmerge.report.settings import Column, Layout, Model, Variant
from mixmerge.report.table import Cell, Field, Row, Table, bracket, number, row
from mixmerge.report.training_tables import data_table, hyperparameters_table, suite_sizes

#: Not distinguishable from the specialist of the column's task (in AVG, from the specialists), and
#: AVG not distinguishable from that of the mixture.
_SIGNS: dict[Against, str] = {"specialist": "≈", "mixture": "‡"}

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
    keys = [entry.model] if entry.model else layout.strategy_models
    models = [layout.model(key) for key in keys]
    columns = layout.columns_of("test")
    fields = [Field("label", "Strategy", form="text"), *score_fields(layout, columns)]
    fields.append(Field(AVERAGES["test"], "AVG"))
    if kind == "ablation" and layout.select != "test":
        fields.append(Field(AVERAGES[layout.select], "AVG, validation"))
    rows: list[Row] = []
    for model in models:
        chosen, merges = results.chosen(model), layout.merges(model)
        base, mixture = model.variants[0], model.variant(model.mixture)
        alone: dict[str, list[Variant | None]] = {
            "strategies": [base, None],
            "ablation": [None],
            "compact": [base, *map(model.variant, layout.specialists(model))],
        }
        compared = {
            "strategies": [mixture, *chosen],
            "ablation": merges,
            "compact": [mixture, *merges],
        }
        for variant in (*alone[kind], *compared[kind]):
            name = variant.name if variant else SPECIALISTS
            text = layout.label(model, variant) if variant else "Specialists"
            values: dict[str, Any] = {
                "label": text + (" †" if kind == "ablation" and variant in chosen else ""),
                **{c.key: score_cell(results, model, name, c.key, c.digits) for c in columns},
                **{key: score_cell(results, model, name, key) for key in AVERAGES.values()},
            }
            block = model.title if kind == "strategies" else ""
            line = row(fields, values, block, layout.checkpoint_ids(model, variant))
            rows.append(line._replace(compared=variant in compared[kind]))
    zeros = {
        model.title: [
            column.header
            for column in columns
            if results.score(model, SPECIALISTS, column.key).change is None
        ]
        for model in models
    }
    texts = prose(
        "tables",
        "contest",
        kind=kind,
        number=entry.number,
        layout=layout,
        model=models[0] if models else None,
        merged=any(layout.merges(model) for model in models),
        undefined=[f"{title}: {', '.join(heads)}" for title, heads in zeros.items() if heads],
        **common_notes(results, models),
    )
    return Table(entry.name, texts, fields, mark_best(rows, columns, 1), "Model")


def scale_table(results: Results, entry: Entry) -> Table:
    """Table 4: each percentage's specialists, each on the test columns of its own task.

    Mixtures at several percentages get lines of their own.
    """
    layout = results.layout
    columns = layout.columns_of("test")
    models = [layout.model(key) for key in layout.scale_models]
    fields = [Field("label", "Trained on", form="text"), Field("percent", "Data", form="0 %")]
    fields += score_fields(layout, columns)
    rows: list[Row] = []
    for model in models:
        trained = [v for v in model.variants if v.kind == "sft" and v.percent]
        mixtures = [variant for variant in model.variants if variant.kind == "mix"]
        lines = [
            ("Specialists", percent, {str(v.task): v for v in trained if v.percent == percent})
            for percent in sorted({v.percent for v in trained if v.percent})
        ]
        if len(mixtures) > 1:
            tasks = [task.key for task in layout.tasks]
            lines += [("Data mixture", v.percent or 0, dict.fromkeys(tasks, v)) for v in mixtures]
        for text, percent, by_task in lines:
            cells = {
                c.key: score_cell(
                    results, model, by_task[c.task].name, c.key, c.digits, percents=False
                )
                for c in columns
                if c.task in by_task
            }
            names = "+".join(dict.fromkeys(variant.name for variant in by_task.values()))
            ids = {"model": model.key, "variant": names}
            line = row(fields, {"label": text, "percent": percent, **cells}, model.title, ids)
            rows.append(line._replace(compared=text == "Specialists"))
    texts = prose("tables", "scale", number=entry.number, **common_notes(results, models))
    return Table(entry.name, texts, fields, mark_best(rows, columns, 2), "Model")


def score_fields(layout: Layout, columns: Iterable[Column]) -> list[Field]:
    """One column of print for each column of scores, under the title of its task."""
    return [Field(c.key, c.header, layout.task(c.task).title) for c in columns]


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
    if column == AVERAGES["validation"]:
        return replace(cell, extra=extra)
    ends = bracket(score.interval, digits or 2)[1:-1]
    hints, mark = [f"{100 * results.evidence[model.key].level:g} %: {ends}"], ""
    for against, sign in _SIGNS.items():
        test = score.tests.get(against)
        suffix = "p_adjusted" if against == "specialist" else f"p_adjusted_{against}"
        extra[suffix] = test["p_adjusted"] if test else None
        if test:
            p = test["p_adjusted"]
            hints.append(f"p {'< 0.001' if p < 0.001 else f'= {p:.3f}'} against the {against}")
            # Both marks in every column would hide what they are about; CSV has them all.
            if not test["distinguishable"] and (against == "specialist" or average):
                mark += sign
    interval = bracket(score.interval) if average else ""
    return replace(cell, mark=mark, interval=interval, hint="; ".join(hints), extra=extra)


def mark_best(rows: Sequence[Row], columns: Sequence[Column], labels: int) -> list[Row]:
    """Mark the best value of each column among the compared rows of each block.

    Args:
        rows: the lines, in order; blocks are told apart by `Row.block`.
        columns: columns of scores; in those that follow, more is better.
        labels: columns of print that come before them.

    Returns:
        The lines with `Cell.best` set; equal values are all marked. A block with a single compared
        line is left alone: being the best of one says nothing.
    """
    lower = {at for at, column in enumerate(columns, labels) if not column.higher_is_better}
    best: dict[tuple[str, int], Any] = {}
    for block in dict.fromkeys(line.block for line in rows):
        lines = [line.cells for line in rows if line.block == block and line.compared]
        for at, cells in enumerate(zip(*lines, strict=True) if len(lines) > 1 else ()):
            values = [cell.value for cell in cells if isinstance(cell.value, int | float)]
            if at >= labels:
                best[block, at] = (min if at in lower else max)(values, default=None)
    return [
        line._replace(
            cells=[
                replace(cell, best=True)
                if line.compared
                and cell.value is not None
                and cell.value == best.get((line.block, at))
                else cell
                for at, cell in enumerate(line.cells)
            ]
        )
        for line in rows
    ]


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
    return {"evidence": evidence, "cut_off": cut_off, **suite_sizes(results)}
