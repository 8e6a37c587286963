"""Table 1: fine-tuning hyperparameters by size class."""

from collections.abc import Callable, Mapping
from typing import Any

from mixmerge.report.entries import Entry
from mixmerge.report.layout import Layout, Run
from mixmerge.report.table import UNDEFINED, Cell, Field, Row, Table, label


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


#: Printed name -> field of `sft` and how its value is printed. AdamW is the one optimiser.
_SETTINGS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "Learning rate": ("learning_rate", _rate),
    "Effective batch": ("batch_size", _plain),
    "Gradient accumulation": ("gradient_accumulation", _plain),
    "Processes": ("processes", _plain),
    "Max. sequence length": ("max_length", _plain),
    "Epochs": ("epochs", _plain),
    "Max. steps": ("max_steps", _plain),
    "Warm-up ratio": ("warmup_ratio", _plain),
    "Schedule": ("schedule", _plain),
    "Weight decay": ("weight_decay", _plain),
    "Gradient clipping": ("max_grad_norm", _plain),
    "Precision": ("precision", _plain),
    "Packing": ("packing", _plain),
    "DeepSpeed ZeRO stage": ("zero_stage", _plain),
    "Trained": ("lora", _lora),
    "Published checkpoint": ("checkpoint", _plain),
}


def hyperparameters_table(layout: Layout, entry: Entry, parameters: Mapping[str, int]) -> Table:
    """Table 1: one column for each set of settings in a size class.

    Args:
        layout: holds every run's settings.
        entry: the table's name and number.
        parameters: model -> number of weights of its base checkpoint; models may be missing.
    """
    columns = _columns(layout)
    fields = [Field("setting", "Setting", align="left")]
    sizes = [layout.model(runs[0].model).size for runs in columns]
    for index, size in enumerate(sizes):
        several = f" ({sizes[:index].count(size) + 1})" if sizes.count(size) > 1 else ""
        fields.append(Field(size + several, size + several))
    members = [
        f"{field.header}: {_models(layout, runs)}"
        for field, runs in zip(fields[1:], columns, strict=True)
    ]
    rows = []
    if parameters:
        cells = [_parameters(layout, runs, parameters) for runs in columns]
        rows.append(Row((label("Parameters"), *cells)))
    for title, (name, show) in _SETTINGS.items():
        values = [runs[0].settings.get(name) for runs in columns]
        if all(value is None for value in values) and name != "lora":
            continue
        cells = [
            Cell(_raw(value), show(value) if value is not None or name == "lora" else UNDEFINED)
            for value in values
        ]
        rows.append(Row((label(title), *cells)))
    rows.append(Row((label("Optimiser"), *(label("AdamW") for _ in columns))))
    return Table(
        name=entry.name,
        title=f"{entry.number}. Fine-tuning hyperparameters by size class.",
        fields=tuple(fields),
        rows=tuple(rows),
        notes=(
            f"{'. '.join(members)}.",
            "Effective batch: examples (packed rows where packing) an optimiser step, over "
            "processes and accumulation steps.",
            "Merges: "
            + "; ".join(f"{entry.title}: {entry.recipe}" for entry in layout.strategies)
            + "."
            if layout.strategies
            else "No merges.",
        ),
    )


def _columns(layout: Layout) -> list[list[Run]]:
    """Runs with equal settings in one size class, together; classes in the order of the models."""
    columns: list[list[Run]] = []
    for size in dict.fromkeys(model.size for model in layout.models):
        found: list[list[Run]] = []
        for run in layout.runs:
            if layout.model(run.model).size != size:
                continue
            equal = next((runs for runs in found if runs[0].settings == run.settings), None)
            if equal is None:
                found.append([run])
            else:
                equal.append(run)
        columns += found
    return columns


def _models(layout: Layout, runs: list[Run]) -> str:
    """Which runs a column is about: models, and training sets unless it is all of them."""
    sets = {run.training_set for run in layout.runs}
    by_model: dict[str, list[str]] = {}
    for run in runs:
        by_model.setdefault(run.model, []).append(run.training_set)
    groups: dict[tuple[str, ...], list[str]] = {}
    for model, trained in by_model.items():
        groups.setdefault(tuple(trained), []).append(layout.model(model).title)
    parts = []
    for names, models in groups.items():
        suffix = "" if set(names) == sets else f": {', '.join(names)}"
        parts.append(", ".join(models) + suffix)
    return "; ".join(parts)


def _parameters(layout: Layout, runs: list[Run], parameters: Mapping[str, int]) -> Cell:
    keys = dict.fromkeys(run.model for run in runs if run.model in parameters)
    counts = [parameters[key] for key in keys]
    return Cell(
        "; ".join(str(count) for count in counts), ", ".join(human(count) for count in counts)
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
