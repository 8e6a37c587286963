"""Tables 1 and 2: hyperparameters by size class, and what became of each task's rows."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST
from mixmerge.core.io import read_json
from mixmerge.report.entries import Entry
from mixmerge.report.render import prose
from mixmerge.report.results import Results, finite, validated_input
from mixmerge.report.settings import Layout, Run
from mixmerge.report.table import UNDEFINED, Cell, Field, Row, Table, fields_of, label, row


def hyperparameters_table(layout: Layout, entry: Entry, root: Path) -> Table:
    """Table 1: one column for each set of settings in a size class.

    Args:
        layout: holds every run's settings.
        entry: the table's name and number.
        root: the study's directory; manifests of base checkpoints tell their numbers of weights.
    """
    groups: dict[tuple[str, str], list[Run]] = {}
    for size in dict.fromkeys(model.size for model in layout.models):
        for run in layout.runs:
            if layout.model(run.model).size == size:
                key = (size, json.dumps(run.settings, sort_keys=True))
                groups.setdefault(key, []).append(run)
    sizes, columns = [size for size, _ in groups], list(groups.values())
    heads = [
        size + (f" ({sizes[:at].count(size) + 1})" if sizes.count(size) > 1 else "")
        for at, size in enumerate(sizes)
    ]
    rows = []
    if parameters := _read_parameters(layout, root):
        cells = []
        for runs in columns:
            models = dict.fromkeys(run.model for run in runs if run.model in parameters)
            counts = [parameters[key] for key in models]
            cells.append(Cell("; ".join(map(str, counts)), ", ".join(map(human, counts))))
        rows.append(Row([label("Parameters"), *cells]))
    for setting in fields_of("settings"):
        values = [runs[0].settings.get(setting.key) for runs in columns]
        if setting.key == "lora" or any(value is not None for value in values):
            rows.append(Row([label(setting.header), *(_setting(setting.key, v) for v in values)]))
    rows.append(Row([label("Optimiser"), *(label("AdamW") for _ in heads)]))
    members = [
        f"{head}: {_members(layout, runs)}" for head, runs in zip(heads, columns, strict=True)
    ]
    texts = prose("tables", "hyperparameters", number=entry.number, members=members, layout=layout)
    fields = [Field("setting", "Setting", form="text"), *(Field(head, head) for head in heads)]
    return Table(entry.name, texts, fields, rows)


def _setting(name: str, value: Any) -> Cell:
    if name == "lora":
        if value is None:
            return Cell(None, "all weights")
        raw = "; ".join(f"{key} {entry}" for key, entry in value.items())
        return Cell(raw, f"LoRA r {value['rank']}, alpha {value['alpha']:g}")
    if isinstance(value, bool):
        return label("yes" if value else "no")
    if value is None or isinstance(value, str):
        return Cell(value, value or UNDEFINED)
    if name == "learning_rate" or (isinstance(value, float) and 0 < abs(value) < 1e-3):
        mantissa, exponent = f"{value:e}".split("e")
        return Cell(value, f"{float(mantissa):g}e{int(exponent)}".replace("-", "−"))
    return Cell(value, f"{value:g}" if isinstance(value, float) else str(value))


def _members(layout: Layout, runs: list[Run]) -> str:
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
    content, lines = read_json(path), []
    with validated_input(path, "statistics"):
        for task in results.layout.tasks:
            counts = content["tasks"][task.key]
            sources = counts.get("sources", {})
            for source, part in sources.items() if len(sources) > 1 else ():
                lines.append((f"{task.title}: {source}", _counts(part), task.key, source))
            lines.append((task.title, _counts(counts), task.key, ""))
        mixtures = [(name, part) for name, part in content["sets"].items() if "tasks" in part]
        for name, part in sorted(mixtures, key=lambda item: finite(item[1]["train"], 0)):
            title = "Data mixture" if len(mixtures) == 1 else f"Data mixture ({name})"
            lines.append((title, _counts(part), name, ""))
    fields = fields_of("data")
    rows = [
        row(fields, {"label": title, **counts}, ids={"set": key, "source": source})
        for title, counts, key, source in lines
    ]
    texts = prose("tables", "data", number=entry.number, **results.suites)
    return Table(entry.name, texts, fields, rows)


def _counts(counts: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers of rows, and of words as ``prompt_words_mean``, all checked to be numbers."""
    words = {
        f"{part}_words_{measure}": value
        for part in ("prompt", "answer")
        for measure, value in counts.get(part, {}).get("words", {}).items()
    }
    columns = [field.key for field in fields_of("data")[1:]]
    numbers = {key: value for key in columns if (value := {**counts, **words}.get(key)) is not None}
    for value in numbers.values():
        finite(value, 0)
    return numbers
