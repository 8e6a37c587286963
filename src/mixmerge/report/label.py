"""Printed names of checkpoints."""

from mixmerge.report.layout import Layout, Model, Variant


def ratio(layout: Layout, variant: Variant) -> str:
    """A merge's weights in the order of the tasks, such as ``0.3 / 0.7``; empty without weights."""
    weights = variant.weights or {}
    # Not in the order of the mapping: JSON may have been written with its keys sorted.
    return " / ".join(f"{weights[task.key]:g}" for task in layout.tasks if task.key in weights)


def method(layout: Layout, variant: Variant) -> str:
    """Name of a checkpoint without ratio or percentage: what lines in figures are called."""
    if variant.kind == "base":
        return "Base"
    if variant.kind == "mix":
        return "Data mixture"
    if variant.kind == "sft":
        return f"{layout.task(str(variant.task)).title} specialist"
    return next(entry.title for entry in layout.strategies if entry.key == variant.strategy)


def full(layout: Layout, model: Model, variant: Variant) -> str:
    """Name of a checkpoint in tables: a merge with its ratio, and a percentage where it matters."""
    name = method(layout, variant)
    if variant.kind == "merge" and variant.weights:
        return f"{name} ({ratio(layout, variant)})"
    usual = {*model.specialists.values(), model.mixture}
    if variant.kind in ("sft", "mix") and variant.name not in usual:
        return f"{name}, {variant.percent} %"
    return name
