"""Tables 1 and 2: hyperparameters by size class, and what became of each task's rows."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import MANIFEST
from mixmerge.core.io import read_json
from mixmerge.report.entries import Entry
from mixmerge.report.render import prose
from mixmerge.report.results import Results, finite, validated_input
from mixmerge.report.settings import Layout, Run
from mixmerge.report.table import UNDEFINED, Cell, Field, Row, Table, label, number_cell


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return _rate(value) if 0 < abs(value) < 1e-3 else f"{value:g}"
    return str(value)


def _rate(value: Any) -> str:
    mantissa, exponent = f"{value:e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}".replace("-", "−")


def _lora(value: Any) -> str:
    if value is None:
        return "all weights"
    return f"LoRA r {value['rank']}, alpha {value['alpha']:g}"


#: Field of `sft` -> printed name. AdamW is the one optimiser.
_SETTINGS = {
    "learning_rate": "Learning rate",
    "batch_size": "Effective batch",
    "gradient_accumulation": "Gradient accumulation",
    "processes": "Processes",
    "max_length": "Max. sequence length",
    "epochs": "Epochs",
    "max_steps": "Max. steps",
    "warmup_ratio": "Warm-up ratio",
    "schedule": "Schedule",
    "weight_decay": "Weight decay",
    "max_grad_norm": "Gradient clipping",
    "precision": "Precision",
    "packing": "Packing",
    "zero_stage": "DeepSpeed ZeRO stage",
    "lora": "Trained",
    "checkpoint": "Published checkpoint",
}

#: Counts of rows, and lengths in words: key in `statistics.json` -> printed head.
_COUNTS = {
    "read": "Read",
    "empty": "Empty",
    "duplicates": "Duplicates",
    "contaminated": "In suites",
    "rows": "Kept",
    "train": "Train",
    "validation": "Validation",
}
_LENGTHS = {"prompt": "Words a prompt", "answer": "Words an answer"}


def hyperparameters_table(layout: Layout, entry: Entry, root: Path) -> Table:
    """Table 1: one column for each set of settings in a size class.

    Args:
        layout: holds every run's settings.
        entry: the table's name and number.
        root: the study's directory; manifests of base checkpoints tell their numbers of weights.
    """
    parameters = _read_parameters(layout, root)
    groups = _equal_runs(layout)
    sizes = [layout.model(runs[0].model).size for runs in groups]
    heads = [
        size + (f" ({sizes[:at].count(size) + 1})" if sizes.count(size) > 1 else "")
        for at, size in enumerate(sizes)
    ]
    rows = []
    if parameters:
        cells = []
        for runs in groups:
            models = dict.fromkeys(run.model for run in runs if run.model in parameters)
            counts = [parameters[key] for key in models]
            cells.append(Cell("; ".join(map(str, counts)), ", ".join(map(human, counts))))
        rows.append(Row([label("Parameters"), *cells]))
    for name, title in _SETTINGS.items():
        values = [runs[0].settings.get(name) for runs in groups]
        show: Callable[[Any], str] = {"learning_rate": _rate, "lora": _lora}.get(name, _plain)
        if name == "lora" or any(value is not None for value in values):
            cells = [
                Cell(_raw(value), UNDEFINED if value is None and name != "lora" else show(value))
                for value in values
            ]
            rows.append(Row([label(title), *cells]))
    rows.append(Row([label("Optimiser"), *(label("AdamW") for _ in groups)]))
    members = [
        f"{head}: {_members(layout, runs)}" for head, runs in zip(heads, groups, strict=True)
    ]
    title, *notes = prose(
        "tables", "hyperparameters", number=entry.number, members=members, layout=layout
    )
    fields = [Field("setting", "Setting", align="left"), *(Field(head, head) for head in heads)]
    return Table(entry.name, title, fields, rows, notes=notes)


def data_table(results: Results, entry: Entry, root: Path) -> Table:
    """Table 2: one line a task, one each of its sources where it has several, and the mixtures.

    Args:
        results: give titles of the tasks and sizes of the suites.
        entry: the table's name and number.
        root: the study's directory; ``data/statistics.json`` is read.
    """
    path = root / "data" / "statistics.json"
    content, rows = read_json(path), []
    with validated_input(path, "statistics"):
        for task in results.layout.tasks:
            counts = content["tasks"][task.key]
            sources = counts.get("sources", {})
            if len(sources) > 1:
                for source, part in sources.items():
                    rows.append(_counts(f"{task.title}: {source}", part, task.key, source))
            rows.append(_counts(task.title, counts, task.key))
        mixtures = [(name, part) for name, part in content["sets"].items() if "tasks" in part]
        for name, part in sorted(mixtures, key=lambda item: finite(item[1]["train"], 0)):
            title = "Data mixture" if len(mixtures) == 1 else f"Data mixture ({name})"
            rows.append(_counts(title, part, name))
    fields = [Field("label", "Data", align="left")]
    fields += [Field(key, head, group="Rows") for key, head in _COUNTS.items()]
    for key, head in _LENGTHS.items():
        fields += [Field(f"{key}_words_{part}", part, group=head) for part in ("mean", "p95")]
    title, *notes = prose("tables", "data", number=entry.number, **suite_sizes(results))
    return Table(entry.name, title, fields, rows, notes=notes)


def suite_sizes(results: Results) -> dict[str, Any]:
    """The suites and the numbers of their items, for notes."""
    layout, frame = results.layout, results.suites
    sizes = {
        suite.key: sorted({int(n) for n in frame.loc[frame["suite"] == suite.key, "items"]})
        for suite in layout.suites
    }
    return {"suites": layout.suites, "sizes": sizes}


def _counts(title: str, counts: Mapping[str, Any], key: str, source: str = "") -> Row:
    cells = [label(title)]
    for name in _COUNTS:
        if (count := counts.get(name)) is not None:
            finite(count, 0)
        cells.append(Cell(count, UNDEFINED if count is None else f"{count:,}"))
    for name in _LENGTHS:
        words = counts.get(name, {}).get("words", {})
        for measure, digits in (("mean", 1), ("p95", 0)):
            if (value := words.get(measure)) is not None:
                finite(value, 0)
            cells.append(number_cell(value, digits))
    return Row(cells, ids={"set": key, "source": source})


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


def _equal_runs(layout: Layout) -> list[list[Run]]:
    """Runs with equal settings in one size class, together; classes in the order of the models."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for size in dict.fromkeys(model.size for model in layout.models):
        for run in layout.runs:
            if layout.model(run.model).size == size:
                key = (size, json.dumps(run.settings, sort_keys=True))
                groups.setdefault(key, []).append(run)
    return list(groups.values())


def _members(layout: Layout, runs: list[Run]) -> str:
    """Which runs a column is about: models, and training sets unless it is all of them."""
    sets = list(dict.fromkeys(run.training_set for run in layout.runs))
    groups: dict[tuple[str, ...], list[str]] = {}
    for key in dict.fromkeys(run.model for run in runs):
        trained = tuple(run.training_set for run in runs if run.model == key)
        groups.setdefault(trained, []).append(layout.model(key).title)
    return "; ".join(
        ", ".join(models) + ("" if set(trained) == set(sets) else f": {', '.join(trained)}")
        for trained, models in groups.items()
    )


def human(count: int) -> str:
    """A large count with three digits: ``1.54 B``, ``2.31 M``."""
    for unit, size in (("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)


def _raw(value: Any) -> float | int | str | None:
    if isinstance(value, dict):
        return "; ".join(f"{key} {entry}" for key, entry in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, float | int | str) else None
