"""What a mixture costs, and what a merge does; timings by rule.

A job on GPU counts in GPU-hours (seconds x GPUs), one on CPU in core-hours: never added.
"""

import csv
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from functools import partial
from math import isfinite, nan
from pathlib import Path
from typing import Any, NamedTuple

from mixmerge.artifacts.manifest import PROVENANCE
from mixmerge.artifacts.record import recorded
from mixmerge.core.errors import UserError
from mixmerge.report.layout import Layout, Model, Variant
from mixmerge.report.render import Cell, Table, number, table
from mixmerge.report.results import SCORES, finite, validated_input

_SAMPLED = ("s", "max_rss", "cpu_time")  # in seconds, megabytes at the peak, seconds


class Cost(NamedTuple):
    """Work of some jobs."""

    gpu_hours: float = 0.0  # of the jobs that ran on GPU
    core_hours: float = 0.0  # of the jobs that ran on CPU
    unknown: int = 0  # jobs of which time or device is not known
    resumed: int = 0  # jobs that took over from an interrupted one, whose time is not counted

    def __str__(self) -> str:
        """The cost in words, GPU-hours and core-hours apart."""
        if self.unknown:
            return "an unknown time"
        parts = [f"{amount(self.gpu_hours)} GPU-hours"] if self.gpu_hours else []
        if self.core_hours or not parts:
            parts.append(f"{amount(self.core_hours)} core-hours")
        return ("at least " if self.resumed else "") + " and ".join(parts)

    def cell(self, unit: str) -> Cell | None:
        """The ``gpu_hours`` or ``core_hours`` in a table; None where the cost is not known."""
        text = ("≥ " if self.resumed else "") + amount(getattr(self, unit))
        return None if self.unknown else Cell(getattr(self, unit), text)


def amount(value: float) -> str:
    """Hours with three digits that count, none of them pretended."""
    digits = sum(value < limit for limit in (100, 10, 1))
    return "< 0.001" if 0 < value < 0.0005 else number(value, digits)


def total(costs: Iterable[Cost]) -> Cost:
    """The sum of costs."""
    return Cost(*map(sum, zip(Cost(), *costs, strict=True)))


class Bill(NamedTuple):
    """What one way to a multi-task model costs."""

    key: str  # ``mixture``, a strategy's key, or ``all`` for the strategies together
    title: str  # printed name
    merges: int  # number of merges
    specialists: int  # number of specialists that are merged
    training: Cost  # fine-tuning the mixture, or the specialists that are merged
    merging: Cost  # every merge of the sweep
    selection: Cost  # generation and scoring on the suites that choose among the merges
    total: Cost  # from the base model on
    marginal: Cost  # with the specialists at hand; the mixture still has to be trained


def cheaper(first: Cost, second: Cost) -> int | None:
    """Which cost is the lower: -1 the first, 1 the second, 0 about the same, None not known.

    GPU-hours decide where there are any. A cost with resumed jobs is a lower bound.
    """
    a, b = first.gpu_hours, second.gpu_hours
    if not (a or b):
        a, b = first.core_hours, second.core_hours
    order = 0 if abs(a - b) <= 0.05 * max(a, b) else -1 if a < b else 1  # times are noisy
    unsure = {-1: first.resumed, 0: first.resumed or second.resumed, 1: second.resumed}[order]
    if first.unknown or second.unknown or unsure:
        return None
    return order


def read_bills(layout: Layout, model: Model, root: Path, shelf: Path) -> list[Bill]:
    """What the mixture, each strategy and, last, all together cost; ``shelf`` holds the scores."""
    deciding = {suite.key for suite in layout.suites if suite.role == layout.select}
    cost = partial(_cost, root, shelf, model.key)

    def selection(variant: str) -> Cost:
        """The deciding suites' part of generating (by tokens) and scoring (by items)."""
        path = shelf / "scores" / model.key / variant / SCORES
        with validated_input(path, "score") as content:
            items = {key: finite(entry, "n", 1) for key, entry in content.items()}
            tokens = {k: items[k] * finite(v, "completion_tokens", 0) for k, v in content.items()}
        costs = []
        for rule, sizes in (("generate", tokens), ("score", items)):
            part = sum(size for key, size in sizes.items() if key in deciding)
            costs.append(cost(rule, variant, part / (sum(sizes.values()) or 1)))
        return total(costs)

    def bill(key: str, title: str, trained: Collection[str], merges: Sequence[Variant]) -> Bill:
        names = [variant.name for variant in merges]
        training = total(cost("sft", name) for name in sorted(trained))
        merging = total(cost("merge", name) for name in names)
        choosing = total(map(selection, names if len(names) > 1 else []))
        parts = training, merging, choosing
        marginal = total(parts[1:]) if merges else training
        merged = len(trained) if merges else 0
        return Bill(key, title, len(names), merged, *parts, total(parts), marginal)

    bills = [bill("mixture", "Data mixture", [model.mixture], [])]
    every: set[str] = set()
    for strategy in layout.strategies:
        specialists = {model.specialists[task] for task in strategy.tasks or model.specialists}
        every |= specialists
        if merges := layout.merges(model, strategy.key):
            bills.append(bill(strategy.key, strategy.title, specialists, merges))
    if len(bills) > 2:
        bills.append(bill("all", "All strategies", every, layout.merges(model)))
    return bills


def _cost(root: Path, shelf: Path, model: str, rule: str, variant: str, part: float = 1.0) -> Cost:
    """What a part of a rule's job took; unknown where its benchmark or its device is."""
    kind = {"generate": "completions", "score": "scores"}.get(rule, "checkpoints")
    made = (root if kind == "checkpoints" else shelf) / kind / model / variant
    settings: dict[str, Any] = {}
    if (path := made / PROVENANCE).exists():
        with validated_input(path, f"whose output {made} is") as content:
            settings = dict(content["settings"])
    processes = int(settings.get("processes", 1)) if rule == "sft" else 1
    cores = {
        "score": settings.get("code", {}).get("workers", 1),
        "generate": settings.get("decoding", {}).get("threads", 1),
    }.get(rule, processes * int(settings.get("threads", 1)))
    device = "cpu" if rule == "score" else settings.get("device")
    resumed = int(bool(rule == "sft" and settings.get("resumed")))
    path = root / "benchmarks" / rule / model / f"{variant}.tsv"
    if not path.exists() or device not in ("cuda", "cpu"):
        return Cost(unknown=1, resumed=resumed)
    # A job whose result stood already ended at once: its benchmark is not of the work.
    record = recorded(made) or {"seconds": 0.0}
    seconds = max(sum(job["s"] for job in read_benchmark(path)), record["seconds"])
    if device == "cuda":
        return Cost(gpu_hours=seconds * processes / 3600 * part, resumed=resumed)
    return Cost(core_hours=seconds * cores / 3600 * part, resumed=resumed)


def read_benchmark(path: Path) -> list[dict[str, float]]:
    """Read `_SAMPLED` of each run of a job, NaN where it was too short for Snakemake to sample."""
    jobs: list[dict[str, float]] = []
    with path.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file, delimiter="\t"):
            jobs.append(dict.fromkeys(_SAMPLED, nan))
            for key in _SAMPLED:
                with suppress(ValueError):  # Snakemake writes ``-`` or ``NA``
                    jobs[-1][key] = float(line.get(key) or "")
    if not jobs or not all(isfinite(job["s"]) for job in jobs):
        raise UserError(f"{path}: no column 's' with seconds; no benchmark of Snakemake. Delete it")
    return jobs


def timing_table(directory: Path) -> Table:
    """Where the time went, from ``{rule}.tsv`` and ``{rule}/**/*.tsv``: a line a rule, a total."""
    jobs: dict[str, list[dict[str, float]]] = {}
    for path in sorted(directory.rglob("*.tsv")):
        rule = path.relative_to(directory).parts[0].removesuffix(".tsv")
        jobs.setdefault(rule, []).extend(read_benchmark(path))
    if not jobs:
        raise UserError(f"{directory}: holds no benchmark of any job; run the study first")
    every = [job for part in jobs.values() for job in part]
    parts = sorted(jobs.items(), key=lambda item: (-sum(job["s"] for job in item[1]), item[0]))
    records = [
        {key: [job[key] for job in part if isfinite(job[key])] for key in _SAMPLED}
        | {"rule": rule, "whole": sum(job["s"] for job in every)}
        for rule, part in [*parts, ("total", every)]
    ]
    return table("timing", "tables.timing", records)
