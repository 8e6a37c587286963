"""The study's tables: hyperparameters, data, and scores against the specialists; and their files.

Tables 3 to 9 are pivots of the tidy scores: a line a checkpoint, a column a score, AVG last.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST
from mixmerge.report import layout as layouts
from mixmerge.report import render
from mixmerge.report.layout import Entry, Layout, Model, Run, Variant
from mixmerge.report.render import Cell, Field, Table, bracket, number, prose, table
from mixmerge.report.results import AVERAGES, SPECIALISTS, Against, Results, Score, finite
from mixmerge.report.results import validated_input as validated

Record = dict[str, Any]  # a table's line before it is printed: its cells, and what it is about

#: What marks a score that is not distinguishable from the specialist's, or from the mixture's.
_SIGNS: Mapping[Against, str] = {"specialist": "≈", "mixture": "‡"}


def write_tables(results: Results, root: Path, out: Path, beside: Sequence[Table]) -> None:
    """Write every table in every rendering, and all in one Markdown file; ``beside`` come last."""
    layout = results.layout
    tables = [study_table(results, entry, root) for entry in layouts.table_entries(layout)]
    for each in (*tables, *beside):
        render.write_table(each, out, paged=each in beside)
    parts = [f"# {layout.title}\n", *(render.render(each, "md") for each in (*tables, *beside))]
    render.write_text(out / layouts.INDEX, "\n".join(parts))


def study_table(results: Results, entry: Entry, root: Path) -> Table:
    """One of the study's own tables; from Table 3 on, checkpoints against the specialists."""
    layout, kind = results.layout, entry.kind
    if kind == "hyperparameters":
        return hyperparameters_table(layout, entry, root)
    if kind == "data":
        return data_table(results, entry, root)
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
        level = results.evidence[model.key].level if model.key in results.evidence else 0.0
        lines = _shares(results, model) if scale else _checkpoints(results, model, kind, root)
        for record in lines:
            for key, name in record["sources"].items():
                score = results.score(model, name, key)
                record[key] = score_cell(score, key, digits.get(key), level, not scale)
            records.append(record)
    lower = {column.key for column in columns if not column.higher_is_better}
    mark_best(records, [*digits, *AVERAGES.values()], lower)
    # The largest share of completions that hit the length limit, and where; said from 1 % on.
    keys = {model.key for model in models}
    stops = [(1 - items.stopped, *at) for at, items in results.items.items() if at[0] in keys]
    share, key, variant, suite = max(stops, default=(0.0, "", "", ""))
    titles = {entry.key: entry.title for entry in layout.suites}
    cut_off = (share, layout.model(key).title, variant, titles[suite]) if share > 0.01 else None
    words = {"kind": kind, "number": entry.number, "results": results, "models": models}
    words |= {"cut_off": cut_off, "layout": layout}
    words["reached"] = any(record.get("note") for record in records)
    return table(entry.name, "tables.scores", records, "Model", fields, **words)


def reach_of(root: Path, model: Model, sweep: Iterable[Variant]) -> tuple[str, dict[str, str]]:
    """Note and CSV column of a sweep whose ratio reaches but some elements, as its merges found."""
    shares = []
    for path in (root / "checkpoints" / model.key / merge.name / MANIFEST for merge in sweep):
        if path.exists():
            with validated(path, "merge") as content:
                if "ratio_reach" in content["facts"]:
                    shares.append(finite(content["facts"], "ratio_reach", 0, 1))
    if not shares:
        return "", {}
    share = max(shares)  # a weight of 0 leaves no other update
    return prose("tables", "reach", share=share)[0], {"ratio_reach": repr(share)}


def _checkpoints(results: Results, model: Model, kind: str, root: Path) -> Iterator[Record]:
    """Lines of Table 3, each strategy at its chosen ratio, and of 5-9, one model's every ratio."""
    layout = results.layout
    chosen, merges = results.chosen(model), layout.merges(model)
    base, mixture = model.variants[0], model.variant(model.mixture)
    alone: list[Variant | None] = [None] if kind == "ablation" else [base, None]
    compared = merges if kind == "ablation" else [mixture, *chosen]
    if kind == "compact":  # each specialist by itself
        alone = [base, *map(model.variant, layout.specialists(model))]
        compared = [mixture, *merges]
    columns = [*(column.key for column in layout.columns_of("test")), *AVERAGES.values()]
    for variant in (*alone, *compared):
        text = layout.label(model, variant) if variant else "Specialists"
        is_swept = variant is not None and variant.kind == "merge" and kind != "strategies"
        sweep = layout.merges(model, variant.strategy) if variant and is_swept else []
        note, reach = reach_of(root, model, sweep)
        yield {
            "label": text + (" †" if kind == "ablation" and variant in chosen else ""),
            "block": model.title if kind == "strategies" else "",
            "ids": layout.checkpoint_ids(model, variant) | reach,
            "note": note if variant in sweep[-1:] else "",
            "sources": dict.fromkeys(columns, variant.name if variant else SPECIALISTS),
            "compared": variant in compared,
        }


def _shares(results: Results, model: Model) -> Iterator[Record]:
    """Lines of Table 4, each percentage's specialists, and mixtures where there are several."""
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
    """A score with its change, or AVG (without digits): marks in print, all evidence in CSV."""
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
    for against, sign in _SIGNS.items():
        test = score.tests.get(against)
        suffix = "p_adjusted" if against == "specialist" else "p_adjusted_mixture"
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
    """Mark the best values of each column (lowest in some) among a block's compared lines, if 2."""
    compared = [record for record in records if record["compared"]]
    for block, column in product(dict.fromkeys(r["block"] for r in compared), columns):
        rivals = [r for r in compared if r["block"] == block and column in r]
        values = [r[column].value for r in rivals if r[column].value is not None]
        if len(rivals) > 1 and values:
            best = min(values) if column in lower else max(values)
            for record in rivals:
                record[column] = record[column]._replace(best=record[column].value == best)


def hyperparameters_table(layout: Layout, entry: Entry, root: Path) -> Table:
    """Table 1: a column for each set of settings in a size class; the root has the base models."""
    order = list(dict.fromkeys(model.size for model in layout.models))
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in sorted(layout.runs, key=lambda run: order.index(layout.model(run.model).size)):
        key = (layout.model(run.model).size, json.dumps(run.settings, sort_keys=True))
        groups.setdefault(key, []).append(run)
    sizes = [size for size, _ in groups]
    columns = {
        size + (f" ({sizes[:at].count(size) + 1})" if sizes.count(size) > 1 else ""): runs
        for at, (size, runs) in enumerate(zip(sizes, groups.values(), strict=True))
    }
    parameters = {}
    for model in layout.models:
        path = root / "checkpoints" / model.key / model.variants[0].name / MANIFEST
        with validated(path, "of the base model") as content:
            if "parameters" in content["facts"]:
                parameters[model.key] = int(finite(content["facts"], "parameters"))
    records: list[Record] = [{"setting": "Parameters"}] if parameters else []
    for head, runs in columns.items() if parameters else ():
        keys = dict.fromkeys(run.model for run in runs if run.model in parameters)
        counts = [parameters[key] for key in keys]
        records[0][head] = Cell("; ".join(map(str, counts)), ", ".join(map(human, counts)))
    for setting in render.fields_of("settings"):
        values = {head: runs[0].settings.get(setting.key) for head, runs in columns.items()}
        if setting.key == "lora" or any(value is not None for value in values.values()):
            cells = {head: _setting(setting.key, value) for head, value in values.items()}
            records.append({"setting": setting.header, **cells})
    records.append({"setting": "Optimiser", **dict.fromkeys(columns, "AdamW")})
    fields = [Field("setting", "Setting", form="text"), *(Field(head, head) for head in columns)]
    members = [f"{head}: {_members(layout, runs)}" for head, runs in columns.items()]
    words = {"number": entry.number, "members": members, "layout": layout}
    return table(entry.name, "tables.hyperparameters", records, "", fields, **words)


def _setting(name: str, value: Any) -> Cell:
    if value is None:
        return Cell(None, "all weights" if name == "lora" else render.UNDEFINED)
    if isinstance(value, dict):
        raw = "; ".join(f"{key} {entry}" for key, entry in value.items())
        return Cell(raw, f"LoRA r {value['rank']}, alpha {value['alpha']:g}")
    if isinstance(value, bool):
        return Cell("yes", "yes") if value else Cell("no", "no")
    text = f"{value:g}" if isinstance(value, float) else str(value)
    if name == "learning_rate" or (isinstance(value, float) and 0 < abs(value) < 1e-3):
        mantissa, exponent = f"{value:e}".split("e")
        text = f"{float(mantissa):g}e{int(exponent)}".replace("-", "−")
    return Cell(value, text)


def _members(layout: Layout, runs: Sequence[Run]) -> str:
    """Which runs a column is about: models, and training sets unless it is all of them."""
    sets = {run.training_set for run in layout.runs}
    groups = defaultdict(list)
    for key in dict.fromkeys(run.model for run in runs):
        trained = tuple(run.training_set for run in runs if run.model == key)
        groups[trained].append(layout.model(key).title)
    return "; ".join(
        ", ".join(models) + ("" if set(trained) == sets else f": {', '.join(trained)}")
        for trained, models in groups.items()
    )


def human(count: int) -> str:
    """A large count with three digits: ``1.54 B``, ``2.31 M``."""
    for unit, size in (("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)


def data_table(results: Results, entry: Entry, root: Path) -> Table:
    """Table 2: one line a task, one each of its sources where it has several, and the mixtures."""
    records: list[Record] = []

    def add(title: str, counts: Mapping[str, Any], name: str, source: str = "") -> None:
        ids = {"set": name, "source": source}
        records.append({"label": title, "prompt": {}, "answer": {}, **counts, "ids": ids})

    with validated(root / "data" / "statistics.json", "statistics") as content:
        for task in results.layout.tasks:
            counts = content["tasks"][task.key]
            sources = counts.get("sources", {})
            for source, part in sources.items() if len(sources) > 1 else ():
                add(f"{task.title}: {source}", part, task.key, source)
            add(task.title, counts, task.key)
        mixtures = {name: part for name, part in content["sets"].items() if "tasks" in part}
        for name in sorted(mixtures, key=lambda name: finite(mixtures[name], "train", 0)):
            add("Data mixture" + (f" ({name})" if len(mixtures) > 1 else ""), mixtures[name], name)
        words = {"number": entry.number, "results": results, "notes": content["notes"]}
        data = table(entry.name, "tables.data", records, **words)
        for row in data.rows:
            for field, cell in zip(data.fields[1:], row.cells[1:], strict=True):
                finite({field.key: 0 if cell.value is None else cell.value}, field.key, 0)
    return data
