"""Tables 3 to 9: mixture and merges measured against the specialists, and the study's tables.

A table is a pivot of the tidy scores: a line a checkpoint, a column a score, AVG last.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from mixmerge.report.entries import INDEX, Entry, paper_entries, table_entries
from mixmerge.report.paper_comparison import paper_table
from mixmerge.report.render import prose, render, write_table, write_text
from mixmerge.report.results import AVERAGES, SPECIALISTS, Results, number_or_none
from mixmerge.report.settings import Column, Layout, Model, Variant
from mixmerge.report.table import UNDEFINED, Cell, Field, Row, Table, label, number
from mixmerge.report.training_tables import data_table, hyperparameters_table, suite_sizes

_DIGITS = 2

#: Not distinguishable from the specialist of the column's task (in AVG, from the specialists), and
#: AVG not distinguishable from that of the mixture.
_SIGNS: dict[Literal["specialist", "mixture"], str] = {"specialist": "≈", "mixture": "‡"}

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
    averages = [AVERAGES["test"]]
    if kind == "ablation" and layout.select != "test":
        averages.append(AVERAGES[layout.select])
    columns = [*layout.columns_of("test")]
    rows: list[Row] = []
    for model in models:
        block = model.title if kind == "strategies" else ""
        chosen = results.chosen(model)
        mixture = model.variant(model.mixture)
        alone: dict[str, list[Variant | None]] = {
            "strategies": [model.variants[0], None],
            "ablation": [None],
            "compact": [model.variants[0], *map(model.variant, layout.specialists(model))],
        }
        compared = {
            "strategies": [mixture, *chosen],
            "ablation": layout.merges(model),
            "compact": [mixture, *layout.merges(model)],
        }
        for variant in (*alone[kind], *compared[kind]):
            name = variant.name if variant else SPECIALISTS
            text = layout.label(model, variant) if variant else "Specialists"
            text += " †" if kind == "ablation" and variant in chosen else ""
            cells = [_score(results, model, name, c.key, c.digits) for c in columns]
            cells += [_score(results, model, name, key) for key in averages]
            ids = layout.checkpoint_ids(model, variant)
            rows.append(Row([label(text), *cells], block, ids, variant in compared[kind]))
    title, *notes = prose(
        "tables",
        "contest",
        kind=kind,
        number=entry.number,
        layout=layout,
        model=models[0] if models else None,
        merged=any(layout.merges(model) for model in models),
        undefined=list(_undefined(results, models)),
        **common_notes(results, models),
    )
    heads = dict(zip(AVERAGES.values(), ("AVG", "AVG, validation"), strict=True))
    return Table(
        name=entry.name,
        title=title,
        fields=(
            Field("label", "Strategy", align="left"),
            *score_fields(layout, columns),
            *(Field(key, heads[key]) for key in averages),
        ),
        rows=mark_best(rows, columns, 1),
        block_header="Model",
        notes=notes,
    )


def scale_table(results: Results, entry: Entry) -> Table:
    """Table 4: each percentage's specialists, each on the test columns of its own task.

    Mixtures at several percentages get lines of their own.
    """
    layout = results.layout
    columns = layout.columns_of("test")
    models = [layout.model(key) for key in layout.scale_models]
    rows: list[Row] = []
    for model in models:
        shares = [v for v in model.variants if v.kind == "sft" and v.percent]
        lines: list[tuple[int | None, dict[str | None, Variant]]] = [
            (percent, {v.task: v for v in shares if v.percent == percent})
            for percent in sorted({v.percent for v in shares if v.percent})
        ]
        mixtures = [variant for variant in model.variants if variant.kind == "mix"]
        if len(mixtures) > 1:
            tasks = [task.key for task in layout.tasks]
            lines += [(v.percent, dict.fromkeys(tasks, v)) for v in mixtures]
        for percent, by_task in lines:
            mixed = any(variant.kind == "mix" for variant in by_task.values())
            cells = [
                _score(results, model, by_task[c.task].name, c.key, c.digits, percents=False)
                if c.task in by_task
                else Cell(None, UNDEFINED)
                for c in columns
            ]
            head = [
                label("Data mixture" if mixed else "Specialists"),
                Cell(percent, f"{percent} %"),
            ]
            names = "+".join(dict.fromkeys(variant.name for variant in by_task.values()))
            ids = {"model": model.key, "variant": names}
            rows.append(Row([*head, *cells], model.title, ids, not mixed))
    title, *notes = prose("tables", "scale", number=entry.number, **common_notes(results, models))
    return Table(
        name=entry.name,
        title=title,
        fields=(
            Field("label", "Trained on", align="left"),
            Field("percent", "Data"),
            *score_fields(layout, columns),
        ),
        rows=mark_best(rows, columns, 2),
        block_header="Model",
        notes=notes,
    )


def score_fields(layout: Layout, columns: Iterable[Column]) -> list[Field]:
    """One column of print for each column of scores, under the title of its task."""
    return [Field(c.key, c.header, layout.task(c.task).title) for c in columns]


def _score(
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
    row = results.row(model, variant, column)
    value, average = number_or_none(row.get("value")), digits is None
    cell = Cell(value, number(value, digits or _DIGITS))
    if not average and percents:
        change = number_or_none(row["change"])
        cell = replace(cell, change=change, change_text=number(change, _DIGITS))
    interval = results.interval(model, variant, column)
    if interval is None:
        return cell
    extra: dict[str, float | None] = dict(zip(("low", "high"), interval, strict=True))
    if column == AVERAGES["validation"]:
        return replace(cell, extra=extra)
    ends = ", ".join(number(end, digits or _DIGITS) for end in interval)
    hints, mark = [f"{100 * results.levels[model.key][0]:g} %: {ends}"], ""
    for against, sign in _SIGNS.items():
        test = results.test(model, str(row["source"]), against, column)
        suffix = "p_adjusted" if against == "specialist" else f"p_adjusted_{against}"
        extra[suffix] = test["p_adjusted"] if test else None
        if test:
            p = test["p_adjusted"]
            hints.append(f"p {'< 0.001' if p < 0.001 else f'= {p:.3f}'} against the {against}")
            # Both marks in every column would hide what they are about; CSV has them all.
            if not test["distinguishable"] and (against == "specialist" or average):
                mark += sign
    bracket = f"[{', '.join(number(end, 1) for end in interval)}]" if average else ""
    return replace(cell, mark=mark, interval=bracket, hint="; ".join(hints), extra=extra)


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
    marked = [list(row.cells) for row in rows]
    for block in dict.fromkeys(row.block for row in rows):
        lines = [i for i, row in enumerate(rows) if row.block == block and row.compared]
        for at in range(labels, len(rows[0].cells) if len(lines) > 1 else 0):
            values = [(i, marked[i][at].value) for i in lines]
            known = {i: v for i, v in values if isinstance(v, int | float)}
            is_score = at - labels < len(columns)
            lower = is_score and not columns[at - labels].higher_is_better
            best = (min if lower else max)(known.values(), default=None)
            for i, value in known.items():
                marked[i][at] = replace(marked[i][at], best=value == best)
    return [replace(row, cells=cells) for row, cells in zip(rows, marked, strict=True)]


def common_notes(results: Results, models: Sequence[Model]) -> dict[str, Any]:
    """What the notes below several tables need: suites, level of the tests, completions cut off."""
    layout, suites = results.layout, results.suites
    keys = [model.key for model in models]
    level = next((results.levels[key] for key in keys if key in results.levels), None)
    cut = suites[suites["model"].isin(keys)]
    stops = zip(1 - cut["stopped"], cut["model"], cut["variant"], cut["suite"], strict=True)
    share, model, variant, suite = max(stops, default=(0.0, "", "", ""))
    titles = {entry.key: entry.title for entry in layout.suites}
    cut_off = (share, layout.model(model).title, variant, titles[suite]) if share > _CUT_OFF else ()
    return {"level": level, "cut_off": cut_off, **suite_sizes(results)}


def _undefined(results: Results, models: Sequence[Model]) -> Iterator[str]:
    """Columns without percentage, by model."""
    for model in models:
        heads = [
            column.header
            for column in results.layout.columns_of("test")
            if number_or_none(results.row(model, SPECIALISTS, column.key)["change"]) is None
        ]
        if heads:
            yield f"{model.title}: {', '.join(heads)}"
