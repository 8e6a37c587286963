"""What a mixture costs, and what a merge does, in accelerator and processor hours; timings by rule.

Times are wall-clock seconds of Snakemake's benchmark files; how many GPUs or threads a job held is
in the provenance of what it made. A job on GPU counts in GPU-hours (seconds x GPUs), one on CPU in
core-hours (seconds x threads): the two are never added.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from math import isfinite, nan
from pathlib import Path
from typing import Any, NamedTuple

from mixmerge.artifacts.manifest import PROVENANCE
from mixmerge.artifacts.record import recorded
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json
from mixmerge.report.layout import Layout, Model, Variant
from mixmerge.report.render import Cell, Table, fields_of, number, table
from mixmerge.report.results import finite, scores_path, validated_input

#: Costs that differ by less than this share of the larger are called the same: times are noisy.
_SAME = 0.05

#: Of Snakemake's benchmarks: seconds, megabytes at the peak, seconds of CPU time.
_SAMPLED = ("s", "max_rss", "cpu_time")


class Cost(NamedTuple):
    """Work of some jobs."""

    gpu_hours: float = 0.0  # of the jobs that ran on GPU
    core_hours: float = 0.0  # of the jobs that ran on CPU
    unknown: int = 0  # jobs of which time or device is not known
    resumed: int = 0  # jobs that took over from an interrupted one, whose time is not counted

    def share(self, part: float) -> "Cost":
        """A part of this work, such as what one suite took of a job for several."""
        return Cost(self.gpu_hours * part, self.core_hours * part, self.unknown, self.resumed)

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
        hours = getattr(self, unit)
        text = ("≥ " if self.resumed else "") + amount(hours)
        return None if self.unknown else Cell(hours, text)


def amount(value: float) -> str:
    """Hours with three digits that count, none of them pretended."""
    if 0 < value < 0.0005:
        return "< 0.001"
    return number(value, 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3)


def total(costs: Iterable[Cost]) -> Cost:
    """The sum of costs."""
    return Cost(*map(sum, zip(Cost(), *costs, strict=True)))


class Bill(NamedTuple):
    """What one way to a multi-task model costs."""

    key: str  # ``mixture``, a strategy's key, or ``all`` for the strategies together
    title: str  # printed name
    training: Cost  # fine-tuning the mixture, or the specialists that are merged
    merging: Cost = Cost()  # every merge of the sweep
    selection: Cost = Cost()  # generation and scoring on the suites that choose among the merges
    merges: int = 0  # number of merges
    specialists: int = 0  # number of specialists that are merged

    @property
    def total(self) -> Cost:
        """From the base model on."""
        return total((self.training, self.merging, self.selection))

    @property
    def marginal(self) -> Cost:
        """With the specialists at hand; the mixture still has to be trained."""
        return total((self.merging, self.selection)) if self.specialists else self.training


def cheaper(first: Cost, second: Cost) -> int | None:
    """Which cost is the lower: -1 the first, 1 the second, 0 about the same, None not known.

    GPU-hours decide where there are any, core-hours where all work ran on CPU. Costs with resumed
    jobs are lower bounds, so that only the other side can be known to be the lower one.
    """
    if first.unknown or second.unknown:
        return None
    a, b = first.gpu_hours, second.gpu_hours
    if not (a or b):
        a, b = first.core_hours, second.core_hours
    if abs(a - b) <= _SAME * max(a, b):
        return None if first.resumed or second.resumed else 0
    if (first if a < b else second).resumed:
        return None
    return -1 if a < b else 1


def read_bills(layout: Layout, model: Model, root: Path, shelf: Path) -> list[Bill]:
    """What the mixture, each strategy and, last, all strategies together cost.

    A strategy with a single merge has nothing to choose, so nothing is evaluated for it; all
    strategies together are evaluated merge by merge, as the study did. Benchmarks that are not
    below the study's root make a cost unknown; on the shelf are completions and scores.
    """
    deciding = {suite.key for suite in layout.suites if suite.role == layout.select}
    cost = partial(_cost, root, shelf, model.key)

    def selection(variant: str) -> Cost:
        """The deciding suites' part of generating (by tokens) and scoring (by items)."""
        path = scores_path(shelf, model.key, variant)
        content = read_json(path)
        with validated_input(path, "score"):
            items = {key: finite(entry["n"], 1) for key, entry in content.items()}
            tokens = {k: items[k] * finite(v["completion_tokens"], 0) for k, v in content.items()}
        costs = []
        for rule, sizes in (("generate", tokens), ("score", items)):
            part = sum(size for key, size in sizes.items() if key in deciding)
            costs.append(cost(rule, variant).share(part / (sum(sizes.values()) or 1)))
        return total(costs)

    def bill(key: str, title: str, merges: Sequence[Variant], tasks: Iterable[str]) -> Bill:
        specialists = sorted({model.specialists[task] for task in tasks})
        names = [variant.name for variant in merges]
        training = total(cost("sft", name) for name in specialists)
        merging = total(cost("merge", name) for name in names)
        choosing = total(map(selection, names if len(names) > 1 else []))
        return Bill(key, title, training, merging, choosing, len(names), len(specialists))

    bills, every = [Bill("mixture", "Data mixture", cost("sft", model.mixture))], set()
    for strategy in layout.strategies:
        tasks = strategy.tasks or list(model.specialists)
        every.update(tasks)
        if merges := layout.merges(model, strategy.key):
            bills.append(bill(strategy.key, strategy.title, merges, tasks))
    if len(bills) > 2:
        bills.append(bill("all", "All strategies", layout.merges(model), every))
    return bills


def _cost(root: Path, shelf: Path, model: str, rule: str, variant: str) -> Cost:
    """What a rule's job took; unknown where its benchmark or its device is."""
    kind = {"generate": "completions", "score": "scores"}.get(rule, "checkpoints")
    made = (root if kind == "checkpoints" else shelf) / kind / model / variant
    settings: dict[str, Any] = {}
    if (path := made / PROVENANCE).exists():
        content = read_json(path)
        with validated_input(path, f"whose output {path.parent} is"):
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
        return Cost(gpu_hours=seconds * processes / 3600, resumed=resumed)
    return Cost(core_hours=seconds * cores / 3600, resumed=resumed)


def costs_table(layout: Layout, lines: Sequence[Mapping[str, Any]]) -> Table:
    """RQ1: what the mixture, each strategy, and all strategies together cost."""
    costs = [line["line"].total for line in lines]
    gpu = any(cost.gpu_hours for cost in costs)
    known = {key: any(getattr(cost, key) for cost in costs) for key in ("resumed", "unknown")}
    fields = [field for field in fields_of("costs") if gpu or field.group != "GPU-hours"]
    words = {"layout": layout, "gpu": gpu, **known}
    return table("verdict-costs", "verdict.costs", lines, "Model", fields, **words)


def read_benchmark(path: Path) -> list[dict[str, float]]:
    """Read `_SAMPLED` of each run of a job, NaN where it was too short for Snakemake to sample.

    Raises UserError where the file is no benchmark of Snakemake's.
    """
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file, delimiter="\t"))
    jobs = [{key: _number(line.get(key)) for key in _SAMPLED} for line in lines]
    if not jobs or not all(isfinite(job["s"]) for job in jobs):
        raise UserError(
            f"{path}: no column 's' with seconds; not a benchmark of Snakemake. Delete it"
        )
    return jobs


def _number(text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:  # Snakemake writes ``-`` or ``NA``
        return nan
    return value if isfinite(value) else nan


def timing_table(directory: Path) -> Table:
    """Where the time went: one line a rule, by falling total time, and a total.

    Read from ``{rule}.tsv`` or ``{rule}/**/*.tsv``; raises UserError where there is none.
    """
    jobs: dict[str, list[dict[str, float]]] = {}
    for path in sorted(directory.rglob("*.tsv")):
        rule = path.relative_to(directory).parts[0].removesuffix(".tsv")
        jobs.setdefault(rule, []).extend(read_benchmark(path))
    if not jobs:
        raise UserError(f"{directory}: holds no benchmark of any job; run the study first")
    every = [job for part in jobs.values() for job in part]
    spent = {rule: sum(job["s"] for job in part) for rule, part in jobs.items()}
    order = sorted(jobs, key=lambda rule: (-spent[rule], rule))
    records = [
        {key: [job[key] for job in part if isfinite(job[key])] for key in _SAMPLED}
        | {"rule": rule, "whole": sum(job["s"] for job in every)}
        for rule, part in [*((rule, jobs[rule]) for rule in order), ("total", every)]
    ]
    return table("timing", "tables.timing", records)
