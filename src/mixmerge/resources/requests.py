"""What each job asks the machine for: memory, run time, disk, GPUs.

A rule's estimate says what its jobs would take at the speeds that the configuration assumes
(`hardware`); where jobs of the rule have run already, their benchmark files overrule it.
"""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from inspect import signature
from math import ceil, isfinite
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from mixmerge.resources.estimates import Assumed, Estimates
from mixmerge.resources.sizes import Sizes
from mixmerge.study.plan import Study

#: Rules whose jobs run on a GPU where `hardware.device` is one.
GPU_RULES = frozenset({"pretrain", "sft", "generate"})

#: MB that a job takes before its own: on a cluster two Snakemakes start in it.
_FLOOR = 500

#: Minutes a job gets at least: a slow node imports for minutes what an idle one does in 25 s.
_LEAST_MINUTES = 10

#: Multiple of the expected time that a job gets: where it was only assumed, and where jobs of its
#: rule, or the user, said it.
_DOUBTED, _TRUSTED = 3.0, 1.5

#: Multiple of the most memory that jobs took; it is sampled, so peaks go unseen.
_HEADROOM = 1.5

#: What each further attempt multiplies: a job that ran out of time, or of memory.
_MORE_TIME, _MORE_MEMORY = 2.0, 1.5

#: Benchmark files read of a rule: enough for a median, and a job on a cluster plans itself anew on
#: a network file system.
_FILES = 128

#: MB that a job of these rules takes at least if it did its work; one that only restored what a
#: former run left imports nothing of weight, and its time says nothing.
_HEAVY = {"pretrain": 150, "sft": 150, "merge": 150, "generate": 150, "score": 100}

#: Share of a job's start-up that counts as work, so that jobs of next to none do not make the
#: speed of those that have some.
_LEAST_WORK = 0.2


@dataclass(frozen=True)
class Estimate:
    """What one job is expected to take (no safety factor in it), and what it may take at most.

    Attributes:
        seconds: expected run time.
        gpu: GPUs of the whole job, 0 for none.
        mem_mb: MB of main memory that the first attempt asks for.
        disk_mb: MB that it writes, scratch included.
        kept_mb: MB of them that stay when it is over.
        runtime: minutes that the first attempt asks for.
    """

    seconds: float
    gpu: int
    mem_mb: int
    disk_mb: int
    kept_mb: int
    runtime: int


class Speed(NamedTuple):
    """What a rule's finished jobs achieved."""

    start: float
    """Seconds of start-up."""
    factor: float
    """Seconds of the clock for each second of assumed work."""
    memory: float | None
    """Most MB that any of them took; None where all were of other models."""


class JobResources:
    """The resources of every rule's jobs.

    Attributes:
        study: the plan.
        wildcards: rule -> its wildcards, in the order of its benchmark's path.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self._rules = Estimates(Sizes(study)).rules
        self.wildcards = {rule: tuple(signature(f).parameters) for rule, f in self._rules.items()}
        self._benchmarks = Path(study.path("benchmarks"))
        self._estimate = cache(self._estimated)
        self._speed = cache(self._achieved)

    def estimate(self, rule: str, wildcards: Any = None) -> Estimate:
        """What one job is expected to take.

        Args:
            rule: a rule's name.
            wildcards: Snakemake's, or a mapping; None for a rule without any.

        Raises:
            KeyError: an unknown rule, or a wildcard that is missing.
        """
        values = wildcards if isinstance(wildcards, Mapping) else vars(wildcards or object)
        return self._estimate(rule, tuple(str(values[name]) for name in self.wildcards[rule]))

    def of(self, rule: str) -> dict[str, Callable[[Any, int], Any]]:
        """Resource -> function of wildcards and attempt, as Snakemake's `resources` takes them.

        ``mem_mb``, ``disk_mb``, ``kept_mb`` (what stays when the job is over), ``runtime`` in
        minutes, ``expected_s`` in seconds and without safety factors; ``gpu`` for jobs on GPUs
        only. Of a training run also ``processes``, and what Slurm must know of one that is spread
        over several nodes.
        """

        def function(value: Callable[[Estimate, int], int]) -> Callable[[Any, int], int]:
            return lambda wildcards, attempt: value(self.estimate(rule, wildcards), attempt)

        resources: dict[str, Callable[[Any, int], Any]] = {
            "mem_mb": function(lambda job, n: ceil(job.mem_mb * _MORE_MEMORY ** (n - 1))),
            "runtime": function(lambda job, n: self._minutes(job.runtime, n)),
            "disk_mb": function(lambda job, n: job.disk_mb),
            "kept_mb": function(lambda job, n: job.kept_mb),
            "expected_s": function(lambda job, n: max(1, round(job.seconds))),
        }
        if rule in GPU_RULES and self.study.config.hardware.device == "gpu":
            resources["gpu"] = function(lambda job, n: job.gpu)
        if rule == "sft":
            resources |= self._launch()
        return resources

    def _launch(self) -> dict[str, Callable[[Any, int], Any]]:
        """How a training run is started, by the names that Snakemake's Slurm executor reads.

        Those of a run on one node are absent (None), but for `nodes`. `mpi` keeps the executor from
        starting the job by srun: the job does that itself, one task a node.
        """

        def function(value: Callable[[Any], Any], always: bool) -> Callable[[Any, int], Any]:
            def resource(wildcards: Any, attempt: int) -> Any:
                sft = self.study.sft(wildcards.model, wildcards.variant)
                return value(sft) if always or sft.nodes > 1 else None

            return resource

        return {
            "processes": function(lambda sft: sft.processes, True),
            "nodes": function(lambda sft: sft.nodes, True),
            "mpi": function(lambda sft: "srun", False),
            "tasks": function(lambda sft: sft.nodes, False),
            # Else `tasks` would be taken for the tasks of each GPU.
            "tasks_per_gpu": function(lambda sft: 0, False),
            "cpus_per_task": function(lambda sft: sft.all_threads // sft.nodes, False),
        }

    def _minutes(self, first: int, attempt: int) -> int:
        """Run time of an attempt: more each time, but no more than a job may have."""
        minutes = ceil(first * _MORE_TIME ** (attempt - 1))
        longest = self.study.config.hardware.longest_hours
        return minutes if longest is None else min(minutes, max(1, int(longest * 60)))

    def _estimated(self, rule: str, values: tuple[str, ...]) -> Estimate:
        assumed = self._rules[rule](*values)
        names = self.wildcards[rule]
        speed = self._speed(rule, values[0] if names[:1] == ("model",) else None)
        seconds, memory = assumed.start + assumed.work, assumed.memory
        if speed is not None:
            seconds = speed.start + speed.factor * _work(assumed)
            memory = memory if speed.memory is None else speed.memory * _HEADROOM
        trust = _DOUBTED if speed is None and not assumed.by_user else _TRUSTED
        return Estimate(
            seconds=seconds,
            gpu=assumed.gpu,
            mem_mb=_FLOOR + ceil(memory / 100) * 100,
            disk_mb=ceil(assumed.disk),
            kept_mb=ceil(assumed.disk if assumed.kept is None else assumed.kept),
            runtime=max(_LEAST_MINUTES, 5 + ceil(trust * seconds / 60)),
        )

    def _achieved(self, rule: str, model: str | None) -> Speed | None:
        """What jobs of a rule achieved: those of the model, or else all; None where none ran."""
        place = self._benchmarks / rule / (model or "")
        single = place.with_name(f"{place.name}.tsv")
        files = [single] if single.is_file() else sorted(place.rglob("*.tsv"))
        runs = []
        for file in files[:: max(1, ceil(len(files) / _FILES))]:
            assumed = self._assume(rule, file)
            measured = assumed and _read(file, _HEAVY.get(rule, 0))
            if assumed and measured:
                runs.append((assumed, *measured))
        if not runs:
            others = self._speed(rule, None) if model else None
            return others and others._replace(memory=None)
        start = min(min(a.start for a, *_ in runs), min(seconds for _, seconds, _ in runs) / 2)
        factor = median((seconds - start) / _work(assumed) for assumed, seconds, _ in runs)
        return Speed(start, factor, max((m for *_, m in runs if m is not None), default=None))

    def _assume(self, rule: str, file: Path) -> Assumed | None:
        """What a finished job was assumed to take; None for one that is none of the study's.

        Benchmarks may be left over from a model or a ratio that the configuration lost since.
        """
        values = file.relative_to(self._benchmarks).with_suffix("").parts[1:]
        try:
            if self.wildcards[rule] == ("model", "variant"):
                _ = self.study.variants[values[0]][values[1]]
            return self._rules[rule](*values)
        except (LookupError, ValueError, TypeError, AssertionError):
            return None


def _work(assumed: Assumed) -> float:
    return max(assumed.work, _LEAST_WORK * assumed.start, 0.1)


def _read(file: Path, heavy: float) -> tuple[float, float | None] | None:
    """Seconds and peak MB (None: too short to sample) of a job, from Snakemake's benchmark of it.

    None for a file that is half-written or of another make, and a job that was less than heavy.
    """
    try:
        [row] = csv.DictReader(file.read_text(encoding="utf-8").splitlines(), delimiter="\t")
        seconds = float(row["s"])
        memory = None if row["max_rss"] in ("-", "NA") else float(row["max_rss"])
    except (OSError, KeyError, TypeError, ValueError, csv.Error):
        return None
    usable = isfinite(seconds) and seconds > 0 and (memory or 0) >= heavy
    return (seconds, memory) if usable else None
