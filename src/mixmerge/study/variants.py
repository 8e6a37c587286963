"""One name for every checkpoint: ``{model}/{variant}``, built from the config, never parsed."""

from dataclasses import dataclass
from typing import Literal

from mixmerge.config.study import MIX, StudyConfig
from mixmerge.merge.settings import Ratio


@dataclass(frozen=True)
class Variant:
    """One checkpoint of a model: how it is made, and the name all its files carry."""

    name: str
    """Such as ``base``, ``sft-codegen-p100``, ``mix-p100``, ``ties-w0.3``, ``karcher``."""

    kind: Literal["base", "sft", "mix", "merge"]
    """Which stage makes it."""

    task: str | None = None
    """The specialist's task."""

    percent: int | None = None
    """Share of the training set, for specialists and mixtures."""

    strategy: str | None = None
    """The merge strategy's key."""

    weights: dict[str, float] | None = None
    """Task -> weight of its specialist; None for methods without weights."""


def task_weights(ratio: Ratio, tasks: list[str]) -> dict[str, float]:
    """Spell out a ratio as one weight a task.

    Args:
        ratio: a weight for each task, or w of two tasks (the second gets 1 - w).
        tasks: the tasks merged, in the config's order.
    """
    if isinstance(ratio, dict):
        return {task: float(ratio[task]) for task in tasks}
    # Rounded because 1 - 0.9 is 0.09999999999999998, and recipes are read by people.
    return dict(zip(tasks, (float(ratio), round(1 - ratio, 12)), strict=True))


def weight_label(weights: dict[str, float]) -> str:
    """The part of a variant's name that stands for its weights: ``w0.3`` or ``w0.2-0.3-0.5``.

    Two weights that sum to 1 are named by the first; all others are written out.
    """
    values = list(weights.values())
    if len(values) == 2 and abs(sum(values) - 1) < 1e-9:
        values = values[:1]
    return "w" + "-".join(f"{value:g}" for value in values)


def sft_name(task: str, percent: int) -> str:
    """Name of a specialist's checkpoint."""
    return f"sft-{task}-p{percent}"


def variants(config: StudyConfig, model: str) -> list[Variant]:
    """All checkpoints of one model: base, specialists, mixtures, then merges in config order."""
    found = [Variant("base", "base")]
    for task in config.tasks:
        for percent in config.scales(model):
            found.append(Variant(sft_name(task, percent), "sft", task=task, percent=percent))
    for percent in sorted(set(config.mixture.scale)):
        found.append(Variant(f"{MIX}-p{percent}", "mix", percent=percent))
    for key, ratios in config.sweep(model).items():
        tasks = config.strategies[key].tasks or list(config.tasks)
        if ratios is None:
            found.append(Variant(key, "merge", strategy=key))
            continue
        for ratio in ratios:
            weights = task_weights(ratio, tasks)
            name = f"{key}-{weight_label(weights)}"
            if all(variant.name != name for variant in found):
                found.append(Variant(name, "merge", strategy=key, weights=weights))
    return found
