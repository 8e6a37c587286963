"""What a mixture costs, and what a merge does: accelerator and processor hours.

Times are wall-clock seconds of Snakemake's benchmark files; how many GPUs or threads a job held is
in the provenance of what it made. A job on GPU counts in GPU-hours (seconds x GPUs), one on CPU in
core-hours (seconds x threads): the two are never added.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from mixmerge.artifacts import record
from mixmerge.artifacts.manifest import PROVENANCE
from mixmerge.core.io import read_json
from mixmerge.report.render import amount, prose
from mixmerge.report.results import finite, scores_path, validated_input
from mixmerge.report.settings import Layout, Model, Variant
from mixmerge.report.table import UNDEFINED, Cell, Field, Row, Table, label
from mixmerge.report.timing_table import read_benchmark

_HOUR = 3600

#: Costs that differ by less than this share of the larger are called the same: times are noisy.
_SAME = 0.05

#: Keys of the two bills that are no strategy's.
MIXTURE, ALL = "mixture", "all"


@dataclass(frozen=True)
class Cost:
    """Work of some jobs."""

    gpu_hours: float = 0.0  # of the jobs that ran on GPU
    core_hours: float = 0.0  # of the jobs that ran on CPU
    unknown: int = 0  # jobs of which time or device is not known
    resumed: int = 0  # jobs that took over from an interrupted one, whose time is not counted

    def __add__(self, other: "Cost") -> "Cost":
        mine, others = vars(self), vars(other)
        return Cost(**{name: mine[name] + others[name] for name in mine})

    def share(self, part: float) -> "Cost":
        """A part of this work, such as what one suite took of a job for several."""
        return replace(self, gpu_hours=self.gpu_hours * part, core_hours=self.core_hours * part)

    def __str__(self) -> str:
        """The cost in words, GPU-hours and core-hours apart."""
        if self.unknown:
            return "an unknown time"
        parts = [f"{amount(self.gpu_hours)} GPU-hours"] if self.gpu_hours else []
        if self.core_hours or not parts:
            parts.append(f"{amount(self.core_hours)} core-hours")
        return ("at least " if self.resumed else "") + " and ".join(parts)

    def cell(self, unit: str) -> Cell:
        """Hours of one unit: ``gpu_hours`` or ``core_hours``."""
        if self.unknown:
            return Cell(None, UNDEFINED)
        value = float(getattr(self, unit))
        return Cell(value, ("≥ " if self.resumed else "") + amount(value))


class Bill(NamedTuple):
    """What one way to a multi-task model costs."""

    key: str  # ``mixture``, a strategy's key, or ``all`` for the strategies together
    training: Cost  # fine-tuning the mixture, or the specialists that are merged
    merging: Cost = Cost()  # every merge of the sweep
    selection: Cost = Cost()  # generation and scoring on the suites that choose among the merges
    merges: int = 0  # number of merges
    specialists: int = 0  # number of specialists that are merged

    @property
    def total(self) -> Cost:
        """From the base model on."""
        return self.training + self.merging + self.selection

    @property
    def marginal(self) -> Cost:
        """With the specialists at hand; the mixture still has to be trained."""
        return self.training if self.key == MIXTURE else self.merging + self.selection


def cheaper(one: Cost, other: Cost) -> int | None:
    """Which cost is the lower: -1 the first, 1 the second, 0 about the same, None not known.

    GPU-hours decide where there are any, core-hours where all work ran on CPU. Costs with resumed
    jobs are lower bounds, so that only the other side can be known to be the lower one.
    """
    if one.unknown or other.unknown:
        return None
    a, b = one.gpu_hours, other.gpu_hours
    if not (a or b):
        a, b = one.core_hours, other.core_hours
    if abs(a - b) <= _SAME * max(a, b):
        return None if one.resumed or other.resumed else 0
    if (one if a < b else other).resumed:
        return None
    return -1 if a < b else 1


def read_bills(layout: Layout, model: Model, root: Path, shelf: Path) -> list[Bill]:
    """What the mixture, each strategy and all strategies together cost.

    A strategy with a single merge has nothing to choose, so nothing is evaluated for it; all
    strategies together are evaluated merge by merge, as the study did.

    Args:
        layout: the study.
        model: one of its models.
        root: the study's directory; benchmarks that are not there make a cost unknown.
        shelf: directory of completions and scores.
    """
    jobs = _Jobs(layout, model, root, shelf)
    bills = [Bill(MIXTURE, jobs.training(model.mixture))]
    tasks = {s.key: s.tasks or list(model.specialists) for s in layout.strategies}
    for key in tasks:
        if merges := layout.merges(model, key):
            bills.append(jobs.bill(key, merges, tasks[key]))
    if len(bills) > 2:
        bills.append(
            jobs.bill(ALL, layout.merges(model), [t for own in tasks.values() for t in own])
        )
    return bills


class _Jobs:
    """Costs of one model's jobs."""

    def __init__(self, layout: Layout, model: Model, root: Path, shelf: Path) -> None:
        self.layout, self.model, self.root, self.shelf = layout, model, root, shelf

    def bill(self, key: str, merges: Sequence[Variant], tasks: Iterable[str]) -> Bill:
        specialists = sorted({self.model.specialists[task] for task in tasks})
        names = [variant.name for variant in merges]
        return Bill(
            key,
            training=sum(map(self.training, specialists), Cost()),
            merging=sum(map(self.merging, names), Cost()),
            selection=sum(map(self.selection, names if len(names) > 1 else []), Cost()),
            merges=len(names),
            specialists=len(specialists),
        )

    def training(self, variant: str) -> Cost:
        settings = self._settings("checkpoints", variant)
        processes = int(settings.get("processes", 1))
        cores = processes * int(settings.get("threads", 1))
        cost = self._cost("sft", "checkpoints", variant, settings.get("device"), processes, cores)
        return cost + Cost(resumed=1) if settings.get("resumed") else cost

    def merging(self, variant: str) -> Cost:
        settings = self._settings("checkpoints", variant)
        threads = settings.get("threads", 1)
        return self._cost("merge", "checkpoints", variant, settings.get("device"), 1, threads)

    def selection(self, variant: str) -> Cost:
        """The deciding suites' part of generating and scoring, which do all suites in one job."""
        settings = self._settings("completions", variant)
        threads = settings.get("decoding", {}).get("threads", 1)
        device = settings.get("device")
        generation = self._cost("generate", "completions", variant, device, 1, threads)
        workers = self._settings("scores", variant).get("code", {}).get("workers", 1)
        scoring = self._cost("score", "scores", variant, "cpu", 1, workers)
        path = scores_path(self.shelf, self.model.key, variant)
        content = read_json(path)
        with validated_input(path, "score"):
            items = {key: finite(entry["n"], 1) for key, entry in content.items()}
            tokens = {
                key: items[key] * finite(entry["completion_tokens"], 0)
                for key, entry in content.items()
            }
        return generation.share(self._part(tokens)) + scoring.share(self._part(items))

    def _part(self, sizes: dict[str, float]) -> float:
        """The deciding suites' part of all suites."""
        deciding = {s.key for s in self.layout.suites if s.role == self.layout.select}
        whole = sum(sizes.values())
        return sum(sizes[key] for key in deciding & set(sizes)) / whole if whole else 0.0

    def _folder(self, kind: str, variant: str) -> Path:
        root = self.root if kind == "checkpoints" else self.shelf
        return root / kind / self.model.key / variant

    def _settings(self, kind: str, variant: str) -> dict[str, Any]:
        """A job's settings and the device it ran on; empty where its provenance is not there."""
        path = self._folder(kind, variant) / PROVENANCE
        if not path.exists():
            return {}
        content = read_json(path)
        with validated_input(path, f"whose output {path.parent} is"):
            return dict(content["settings"])

    def _cost(
        self, rule: str, kind: str, variant: str, device: str | None, gpus: int, cores: int
    ) -> Cost:
        path = self.root / "benchmarks" / rule / self.model.key / f"{variant}.tsv"
        if not path.exists() or device not in ("cuda", "cpu"):
            return Cost(unknown=1)
        # A job whose result stood already ended at once: its benchmark is not of the work.
        made = record.seconds(self._folder(kind, variant)) or 0.0
        seconds = max(sum(read_benchmark(path)["s"].tolist()), made)
        if device == "cuda":
            return Cost(gpu_hours=seconds * gpus / _HOUR)
        return Cost(core_hours=seconds * cores / _HOUR)


def costs_table(layout: Layout, bills: Sequence[tuple[Model, Bill]]) -> Table:
    """RQ1: what the mixture, each strategy, and all strategies together cost."""
    costs = [bill.total for _, bill in bills]
    gpu = any(cost.gpu_hours for cost in costs)
    units = [*([("gpu_hours", "GPU-hours")] if gpu else []), ("core_hours", "Core-hours")]
    parts = {
        "training": "training",
        "merging": "merging",
        "selection": "choosing",
        "total": "total",
        "marginal": "specialists at hand",
    }
    names = {MIXTURE: "Data mixture", ALL: "All strategies"}
    names = {**{s.key: s.title for s in layout.strategies}, **names}
    rows = [
        Row(
            [
                label(names[bill.key]),
                Cell(bill.merges, str(bill.merges)),
                *(getattr(bill, part).cell(unit) for unit, _ in units for part in parts),
            ],
            model.title,
            {"model": model.key, "key": bill.key},
        )
        for model, bill in bills
    ]
    fields = [Field("approach", "Approach", align="left"), Field("merges", "Merges")]
    for unit, title in units:
        fields += [Field(f"{part}_{unit}", head, group=title) for part, head in parts.items()]
    resumed, unknown = any(c.resumed for c in costs), any(c.unknown for c in costs)
    title, *notes = prose(
        "verdict", "costs", layout=layout, gpu=gpu, resumed=resumed, unknown=unknown
    )
    return Table("verdict-costs", title, fields, rows, "Model", notes)
