"""Tables 3 to 9: mixture and merges measured against the specialists, and all tables' files.

A table is a pivot of the tidy scores: a line a checkpoint, a column a score, AVG last.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from mixmerge.report.layout import (
    INDEX,
    Entry,
    Model,
    Variant,
    paper_entries,
    table_entries,
)
from mixmerge.report.paper_comparison import paper_table
from mixmerge.report.render import (
    Cell,
    Field,
    Table,
    bracket,
    number,
    render,
    table,
    write_table,
    write_text,
)
from mixmerge.report.results import (
    AVERAGES,
    SPECIALISTS,
    Against,
    Evidence,
    Results,
    Score,
)
from mixmerge.report.training_tables import data_table, hyperparameters_table

#: A table's line before it is printed, by name: its cells, and what it is about.
Record = dict[str, Any]

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

    Below the study's root, ``data/statistics.json`` and manifests of checkpoints are read.
    """
    layout = results.layout
    tables = [study_table(results, entry, root) for entry in table_entries(layout)]
    beside = [paper_table(results, entry) for entry in paper_entries(layout)]
    for each in (*tables, *beside):
        write_table(each, out, paged=each in beside)
    parts = [f"# {layout.title}\n", *(render(each, "md") for each in (*tables, *beside))]
    write_text(out / INDEX, "\n".join(parts))


def study_table(results: Results, entry: Entry, root: Path) -> Table:
    """One of the study's own tables."""
    match entry.kind:
        case "hyperparameters":
            return hyperparameters_table(results.layout, entry, root)
        case "data":
            return data_table(results, entry, root)
    return score_table(results, entry)


def score_table(results: Results, entry: Entry) -> Table:
    """Tables 3 to 9: checkpoints against the specialists.

    Table 3 has base, specialists, mixture, and each strategy at its chosen ratio; Table 4 each
    percentage's specialists, each on the test columns of its own task; Tables 5-8 every ratio of
    every strategy of one model; Table 9 one model's base, each specialist by itself, mixture and
    all merges.
    """
    layout, kind = results.layout, entry.kind
    scale, columns = kind == "data-scale", layout.columns_of("test")
    several = layout.scale_models if scale else layout.strategy_models
    models = [layout.model(key) for key in ([entry.model] if entry.model else several)]
    fields = [Field("label", "Trained on" if scale else "Strategy", form="text")]
    fields += [Field("percent", "Data", form="0 %")] if scale else []
    fields += [Field(c.key, c.header, layout.task(c.task).title) for c in columns]
    fields += [] if scale else [Field("avg", "AVG")]
    if kind == "ablation" and layout.select != "test":
        fields.append(Field(AVERAGES[layout.select], "AVG, validation"))
    digits = {column.key: column.digits for column in columns}
    records = []
    for model in models:
        level = results.evidence.get(model.key, Evidence()).level
        for record in _shares(results, model) if scale else _checkpoints(results, model, kind):
            for key, name in record["sources"].items():
                score = results.score(model, name, key)
                record[key] = score_cell(score, key, digits.get(key), level, not scale)
            records.append(record)
    lower = {column.key for column in columns if not column.higher_is_better}
    mark_best(records, [*digits, *AVERAGES.values()], lower)
    words = {"kind": kind, "number": entry.number, "results": results, "models": models}
    words |= {"cut_off": _cut_off(results, models), "layout": layout, **results.suites}
    return table(entry.name, "tables.scores", records, "Model", fields, **words)


def _checkpoints(results: Results, model: Model, kind: str) -> Iterator[Record]:
    """Lines of Tables 3 and 5-9."""
    layout = results.layout
    chosen, merges = results.chosen(model), layout.merges(model)
    base, mixture = model.variants[0], model.variant(model.mixture)
    specialists = map(model.variant, layout.specialists(model))
    lines: dict[str, tuple[list[Variant | None], list[Variant]]] = {
        "strategies": ([base, None], [mixture, *chosen]),
        "ablation": ([None], merges),
        "compact": ([base, *specialists], [mixture, *merges]),
    }
    alone, compared = lines[kind]
    columns = [*(column.key for column in layout.columns_of("test")), *AVERAGES.values()]
    for variant in (*alone, *compared):
        text = layout.label(model, variant) if variant else "Specialists"
        yield {
            "label": text + (" †" if kind == "ablation" and variant in chosen else ""),
            "block": model.title if kind == "strategies" else "",
            "ids": layout.checkpoint_ids(model, variant),
            "sources": dict.fromkeys(columns, variant.name if variant else SPECIALISTS),
            "compared": variant in compared,
        }


def _shares(results: Results, model: Model) -> Iterator[Record]:
    """Lines of Table 4; mixtures at several percentages get lines of their own."""
    trained = [v for v in model.variants if v.kind == "sft" and v.percent]
    mixtures = [variant for variant in model.variants if variant.kind == "mix"]
    lines = [
        ("Specialists", percent, {str(v.task): v.name for v in trained if v.percent == percent})
        for percent in sorted({v.percent for v in trained if v.percent})
    ]
    for mixture in mixtures if len(mixtures) > 1 else ():
        names = {task.key: mixture.name for task in results.layout.tasks}
        lines.append(("Data mixture", mixture.percent or 0, names))
    for text, percent, names in lines:
        columns = [c for c in results.layout.columns_of("test") if c.task in names]
        yield {
            "label": text,
            "percent": percent,
            "block": model.title,
            "ids": {"model": model.key, "variant": "+".join(dict.fromkeys(names.values()))},
            "sources": {column.key: names[column.task] for column in columns},
            "compared": text == "Specialists",
        }


def score_cell(score: Score, key: str, digits: int | None, level: float, percents: bool) -> Cell:
    """A score with its change, or AVG (without digits), with what is known about it: marks in
    print, intervals and p-values in CSV.
    """
    cell, average = Cell(score.value, number(score.value, digits or 2)), digits is None
    extra: dict[str, float | None] = {}
    if not average and percents:
        cell, extra = cell._replace(change=number(score.change)), {"pct": score.change}
    if score.interval is None:
        return cell._replace(extra=extra)
    extra |= zip(("low", "high"), score.interval, strict=True)
    if key == AVERAGES["validation"]:
        return cell._replace(extra=extra)
    hint, mark = f"{100 * level:g} %: {bracket(score.interval, digits or 2)[1:-1]}", ""
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
    return cell._replace(mark=mark, interval=interval, hint=hint, extra=extra)


def mark_best(records: Sequence[Record], columns: Iterable[str], lower: Collection[str]) -> None:
    """Mark the best values of each column (lowest in some) among a block's compared lines.

    A block with a single compared line is left alone: being the best of one says nothing.
    """
    compared = [record for record in records if record["compared"]]
    for block, column in product(dict.fromkeys(r["block"] for r in compared), columns):
        rivals = [r for r in compared if r["block"] == block and column in r]
        values = [r[column].value for r in rivals if r[column].value is not None]
        best = (min if column in lower else max)(values, default=None)
        for record in rivals if len(rivals) > 1 else ():
            cell = record[column]
            record[column] = cell._replace(best=best is not None and cell.value == best)


def _cut_off(results: Results, models: Sequence[Model]) -> tuple[float, str, str, str] | None:
    """Largest share of completions that hit the length limit, and where; None where all is well."""
    keys = {model.key for model in models}
    stops = [(1 - items.stopped, *at) for at, items in results.items.items() if at[0] in keys]
    share, key, variant, suite = max(stops, default=(0.0, "", "", ""))
    titles = {entry.key: entry.title for entry in results.layout.suites}
    place = (results.layout.model(key).title, variant, titles[suite]) if share > _CUT_OFF else None
    return (share, *place) if place else None
