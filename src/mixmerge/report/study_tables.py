"""Tables 1 to 9: hyperparameters, training data, and checkpoints measured against the specialists.

A table of scores is a pivot of the tidy scores: a line a checkpoint, a column a score, AVG last.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST
from mixmerge.core.io import read_json
from mixmerge.report.layout import (
    INDEX,
    Entry,
    Layout,
    Model,
    Run,
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
    fields_of,
    number,
    render,
    table,
    write_table,
    write_text,
)
from mixmerge.report.results import AVERAGES, SPECIALISTS, Against, Results, finite, validated_input

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

    Args:
        results: scores of all checkpoints, with evidence.
        root: the study's directory; ``data/statistics.json`` and manifests are read.
        out: directory of the tables.
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
    if entry.kind == "hyperparameters":
        return hyperparameters_table(results.layout, entry, root)
    return data_table(results, entry, root) if entry.kind == "data" else score_table(results, entry)


def hyperparameters_table(layout: Layout, entry: Entry, root: Path) -> Table:
    """Table 1: one column for each set of settings in a size class.

    Args:
        layout: holds every run's settings.
        entry: the table's name and number.
        root: the study's directory; manifests of base checkpoints tell their numbers of weights.
    """
    order = list(dict.fromkeys(model.size for model in layout.models))
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in sorted(layout.runs, key=lambda run: order.index(layout.model(run.model).size)):
        key = (layout.model(run.model).size, json.dumps(run.settings, sort_keys=True))
        groups.setdefault(key, []).append(run)
    sizes, columns = [size for size, _ in groups], list(groups.values())
    heads = [
        size + (f" ({sizes[:at].count(size) + 1})" if sizes.count(size) > 1 else "")
        for at, size in enumerate(sizes)
    ]
    lines = []
    if parameters := _read_parameters(layout, root):
        models = [dict.fromkeys(run.model for run in runs) for runs in columns]
        counts = [[parameters[key] for key in keys if key in parameters] for keys in models]
        cells = [Cell("; ".join(map(str, own)), ", ".join(map(human, own))) for own in counts]
        lines.append(["Parameters", *cells])
    for setting in fields_of("settings"):
        values = [runs[0].settings.get(setting.key) for runs in columns]
        if setting.key == "lora" or any(value is not None for value in values):
            lines.append([setting.header, *(_setting(setting.key, value) for value in values)])
    lines.append(["Optimiser", *("AdamW" for _ in heads)])
    fields = [Field("setting", "Setting", form="text"), *(Field(head, head) for head in heads)]
    records = [dict(zip(["setting", *heads], line, strict=True)) for line in lines]
    pairs = zip(heads, columns, strict=True)
    members = [f"{head}: {_members(layout, runs)}" for head, runs in pairs]
    words = {"number": entry.number, "members": members, "layout": layout}
    return table(entry.name, "tables.hyperparameters", records, "", fields, **words)


def _setting(name: str, value: Any) -> Cell:
    if name == "lora" and value is None:
        return Cell(None, "all weights")
    match value:
        case dict():
            raw = "; ".join(f"{key} {entry}" for key, entry in value.items())
            return Cell(raw, f"LoRA r {value['rank']}, alpha {value['alpha']:g}")
        case bool():
            return Cell("yes", "yes") if value else Cell("no", "no")
        case int() | float() if name == "learning_rate" or 0 < abs(value) < 1e-3:
            mantissa, exponent = f"{value:e}".split("e")
            return Cell(value, f"{float(mantissa):g}e{int(exponent)}".replace("-", "−"))
        case float():
            return Cell(value, f"{value:g}")
    return Cell(value, "–" if value is None else str(value))


def _members(layout: Layout, runs: Sequence[Run]) -> str:
    """Which runs a column is about: models, and training sets unless it is all of them."""
    sets = {run.training_set for run in layout.runs}
    groups: dict[tuple[str, ...], list[str]] = {}
    for key in dict.fromkeys(run.model for run in runs):
        trained = tuple(run.training_set for run in runs if run.model == key)
        groups.setdefault(trained, []).append(layout.model(key).title)
    return "; ".join(
        ", ".join(models) + ("" if set(trained) == sets else f": {', '.join(trained)}")
        for trained, models in groups.items()
    )


def _read_parameters(layout: Layout, root: Path) -> dict[str, int]:
    """Model -> number of weights of its base checkpoint, from the checkpoint's manifest."""
    parameters = {}
    for model in layout.models:
        base = next(variant.name for variant in model.variants if variant.kind == "base")
        path = root / "checkpoints" / model.key / base / MANIFEST
        content = read_json(path)
        with validated_input(path, "of the base model"):
            if "parameters" in content["facts"]:
                parameters[model.key] = int(finite(content["facts"]["parameters"]))
    return parameters


def human(count: int) -> str:
    """A large count with three digits: ``1.54 B``, ``2.31 M``."""
    for unit, size in (("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)


def data_table(results: Results, entry: Entry, root: Path) -> Table:
    """Table 2: one line a task, one each of its sources where it has several, and the mixtures.

    Args:
        results: give titles of the tasks and sizes of the suites.
        entry: the table's name and number.
        root: the study's directory; ``data/statistics.json`` is read.
    """
    path = root / "data" / "statistics.json"
    content, records = read_json(path), []

    def add(title: str, counts: Mapping[str, Any], name: str, source: str = "") -> None:
        words = {
            f"{part}_words_{measure}": value
            for part in ("prompt", "answer")
            for measure, value in counts.get(part, {}).get("words", {}).items()
        }
        numbers = {field.key: {**counts, **words}.get(field.key) for field in fields_of("data")[1:]}
        for value in numbers.values():
            finite(0 if value is None else value, 0)
        records.append({"label": title, **numbers, "ids": {"set": name, "source": source}})

    with validated_input(path, "statistics"):
        for task in results.layout.tasks:
            counts = content["tasks"][task.key]
            sources = counts.get("sources", {})
            for source, part in sources.items() if len(sources) > 1 else ():
                add(f"{task.title}: {source}", part, task.key, source)
            add(task.title, counts, task.key)
        mixtures = [(name, part) for name, part in content["sets"].items() if "tasks" in part]
        for name, part in sorted(mixtures, key=lambda item: finite(item[1]["train"], 0)):
            add("Data mixture" if len(mixtures) == 1 else f"Data mixture ({name})", part, name)
    return table(entry.name, "tables.data", records, number=entry.number, **results.suites)


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
        for record in _shares(results, model) if scale else _checkpoints(results, model, kind):
            for key, name in record["sources"].items():
                record[key] = score_cell(results, model, name, key, digits.get(key), not scale)
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
    cell, extra = Cell(score.value, number(score.value, digits or 2)), {}
    if not average and percents:
        cell, extra = cell._replace(change=number(score.change)), {"pct": score.change}
    if score.interval is None:
        return cell._replace(extra=extra)
    extra |= zip(("low", "high"), score.interval, strict=True)
    if column == AVERAGES["validation"]:
        return cell._replace(extra=extra)
    hint, mark = f"{100 * results.evidence[model.key].level:g} %: ", ""
    hint += bracket(score.interval, digits or 2)[1:-1]
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
    """Mark the best values of each column among the compared lines of each block.

    Args:
        records: the lines. A block with a single compared line is left alone: being the best of
            one says nothing.
        columns: columns of scores.
        lower: those of them in which less is better.
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
