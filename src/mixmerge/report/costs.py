"""What a mixture costs, and what a merge does: accelerator and processor hours.

Times are wall-clock seconds of Snakemake's benchmark files; how many GPUs or threads a job held is
in the provenance of what it made. A job on GPU counts in GPU-hours (seconds x GPUs), one on CPU in
core-hours (seconds x threads): the two are never added.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixmerge.artifacts import record
from mixmerge.artifacts.manifest import PROVENANCE
from mixmerge.core.io import read_json
from mixmerge.report.handed import handed, number
from mixmerge.report.layout import Layout, Model, Variant
from mixmerge.report.scores import scores_path
from mixmerge.report.timing import read_seconds

_HOUR = 3600

#: Rule -> folder of what its jobs make.
_FOLDERS = {
    "sft": "checkpoints",
    "merge": "checkpoints",
    "generate": "completions",
    "score": "scores",
}

#: Costs that differ by less than this share of the larger are called the same: times are noisy.
_SAME = 0.05

#: Keys of the two bills that are no strategy's.
MIXTURE, ALL = "mixture", "all"


@dataclass(frozen=True)
class Cost:
    """Work of some jobs."""

    gpu_hours: float = 0.0
    """GPU-hours of the jobs that ran on GPU."""

    core_hours: float = 0.0
    """Core-hours of the jobs that ran on CPU."""

    unknown: int = 0
    """Jobs of which time or device is not known."""

    resumed: int = 0
    """Jobs that took over from an interrupted one, whose time is not counted."""

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.gpu_hours + other.gpu_hours,
            self.core_hours + other.core_hours,
            self.unknown + other.unknown,
            self.resumed + other.resumed,
        )

    def share(self, part: float) -> "Cost":
        """A part of this work, such as what one suite took of a job for several."""
        return Cost(self.gpu_hours * part, self.core_hours * part, self.unknown, self.resumed)

    @property
    def known(self) -> bool:
        """Whether every job's time and device are known."""
        return not self.unknown


@dataclass(frozen=True)
class Bill:
    """What one way to a multi-task model costs."""

    key: str
    """``mixture``, a strategy's key, or ``all`` for the strategies together."""

    training: Cost
    """Fine-tuning: the mixture, or the specialists that are merged."""

    merging: Cost
    """Every merge of the sweep."""

    selection: Cost
    """Generation and scoring on the suites that choose among the merges."""

    merges: int
    """Number of merges."""

    specialists: int
    """Number of specialists that are merged."""

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
    if not (one.known and other.known):
        return None
    a, b = one.gpu_hours, other.gpu_hours
    if not (a or b):
        a, b = one.core_hours, other.core_hours
    if abs(a - b) <= _SAME * max(a, b):
        return None if one.resumed or other.resumed else 0
    if (one if a < b else other).resumed:
        return None
    return -1 if a < b else 1


def read_bills(
    layout: Layout, model: Model, results: Path, shelf: Path | None = None
) -> list[Bill]:
    """What the mixture, each strategy and all strategies together cost.

    A strategy with a single merge has nothing to choose, so nothing is evaluated for it; all
    strategies together are evaluated merge by merge, as the study did.

    Args:
        layout: the study.
        model: one of its models.
        results: the study's directory; benchmarks that are not there make a cost unknown.
        shelf: directory of completions and scores, if it is another.
    """
    books = _Books(layout, model, results, shelf or results)
    bills = [Bill(MIXTURE, books.training(model.mixture), Cost(), Cost(), 0, 0)]
    for strategy in layout.strategies:
        merges = layout.merges(model, strategy.key)
        if merges:
            tasks = strategy.tasks or list(model.specialists)
            bills.append(books.bill(strategy.key, merges, tasks))
    if len(bills) > 2:
        merged = {task for s in layout.strategies for task in s.tasks or model.specialists}
        bills.append(books.bill(ALL, layout.merges(model), merged))
    return bills


class _Books:
    """Costs of one model's jobs."""

    def __init__(self, layout: Layout, model: Model, results: Path, shelf: Path) -> None:
        self.layout = layout
        self.model = model
        self.results = results
        self.shelf = shelf
        self.deciding = {suite.key for suite in layout.suites if suite.role == layout.select}

    def bill(self, key: str, merges: Sequence[Variant], tasks: Iterable[str]) -> Bill:
        specialists = {self.model.specialists[task] for task in tasks}
        return Bill(
            key,
            training=_sum(self.training(name) for name in sorted(specialists)),
            merging=_sum(self.merging(variant.name) for variant in merges),
            selection=_sum(self.selection(variant.name) for variant in merges)
            if len(merges) > 1
            else Cost(),
            merges=len(merges),
            specialists=len(specialists),
        )

    def training(self, variant: str) -> Cost:
        settings = self._settings("checkpoints", variant)
        processes = int(settings.get("processes", 1))
        cores = processes * int(settings.get("threads", 1))
        found = self._cost("sft", variant, settings.get("device"), processes, cores)
        return found + Cost(resumed=1) if settings.get("resumed") else found

    def merging(self, variant: str) -> Cost:
        settings = self._settings("checkpoints", variant)
        return self._cost("merge", variant, settings.get("device"), 1, settings.get("threads", 1))

    def selection(self, variant: str) -> Cost:
        """The deciding suites' part of generating and scoring, which do all suites in one job."""
        settings = self._settings("completions", variant)
        threads = settings.get("decoding", {}).get("threads", 1)
        generation = self._cost("generate", variant, settings.get("device"), 1, threads)
        workers = self._settings("scores", variant).get("code", {}).get("workers", 1)
        scoring = self._cost("score", variant, "cpu", 1, workers)
        path = scores_path(self.shelf, self.model.key, variant)
        suites = read_json(path)
        with handed(path, "score"):
            items = {key: number(entry["n"], 1) for key, entry in suites.items()}
            tokens = {
                key: items[key] * number(entry["completion_tokens"], 0)
                for key, entry in suites.items()
            }
        return generation.share(self._part(tokens)) + scoring.share(self._part(items))

    def _part(self, sizes: Mapping[str, float]) -> float:
        whole = sum(sizes.values())
        return sum(sizes[key] for key in self.deciding & set(sizes)) / whole if whole else 0.0

    def _settings(self, folder: str, variant: str) -> dict[str, Any]:
        """What a job was told and where it ran; empty where its provenance is not there."""
        path = self._place(folder, variant) / PROVENANCE
        if not path.exists():
            return {}
        content = read_json(path)
        with handed(path, f"whose output {path.parent} is"):
            return dict(content["settings"])

    def _place(self, folder: str, variant: str) -> Path:
        root = self.results if folder == "checkpoints" else self.shelf
        return root / folder / self.model.key / variant

    def _cost(self, rule: str, variant: str, device: str | None, gpus: int, cores: int) -> Cost:
        path = self.results / "benchmarks" / rule / self.model.key / f"{variant}.tsv"
        seconds = read_seconds(path)
        if seconds is None or device not in ("cuda", "cpu"):
            return Cost(unknown=1)
        # A job whose result stood already ended at once: its benchmark is not of the work.
        seconds = max(seconds, record.seconds(self._place(_FOLDERS[rule], variant)) or 0.0)
        if device == "cuda":
            return Cost(gpu_hours=seconds * gpus / _HOUR)
        return Cost(core_hours=seconds * cores / _HOUR)


def _sum(costs: Iterable[Cost]) -> Cost:
    return sum(costs, Cost())
