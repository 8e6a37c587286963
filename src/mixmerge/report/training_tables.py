"""Tables 1 and 2: hyperparameters by size class, and what became of each task's rows."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST
from mixmerge.core.io import read_json
from mixmerge.report.layout import Entry, Layout, Run
from mixmerge.report.render import UNDEFINED, Cell, Field, Table, fields_of, table
from mixmerge.report.results import Results, finite, validated_input


def hyperparameters_table(layout: Layout, entry: Entry, root: Path) -> Table:
    """Table 1: one column for each set of settings in a size class.

    Below the study's root, manifests of base checkpoints tell their numbers of weights.
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
    parameters = {}
    for model in layout.models:
        base = next(variant.name for variant in model.variants if variant.kind == "base")
        path = root / "checkpoints" / model.key / base / MANIFEST
        content = read_json(path)
        with validated_input(path, "of the base model"):
            if "parameters" in content["facts"]:
                parameters[model.key] = int(finite(content["facts"]["parameters"]))
    if parameters:
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
    return Cell(value, UNDEFINED if value is None else str(value))


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


def human(count: int) -> str:
    """A large count with three digits: ``1.54 B``, ``2.31 M``."""
    for unit, size in (("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)


def data_table(results: Results, entry: Entry, root: Path) -> Table:
    """Table 2: one line a task, one each of its sources where it has several, and the mixtures."""
    path = root / "data" / "statistics.json"
    content, records = read_json(path), []

    def add(title: str, counts: Mapping[str, Any], name: str, source: str = "") -> None:
        ids = {"set": name, "source": source}
        records.append({"label": title, "prompt": {}, "answer": {}, **counts, "ids": ids})

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
        data = table(entry.name, "tables.data", records, number=entry.number, **results.suites)
        for cell in (cell for row in data.rows for cell in row.cells[1:]):
            finite(0 if cell.value is None else cell.value, 0)
    return data
