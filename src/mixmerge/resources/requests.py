"""What each job asks the machine for: memory, run time, disk, GPUs.

A rule's estimate says what its jobs would take at the speeds that the configuration assumes
(`hardware`); where jobs of the rule have run already, what they achieved overrules it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

from mixmerge.data.settings import MIX
from mixmerge.resources.checkpoint_estimates import Assumed
from mixmerge.resources.estimates import RULES, Estimates
from mixmerge.resources.sizes import Sizes
from mixmerge.resources.throughput import Speed, Throughput
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
        measured: whether jobs of its rule that ran before say so.
    """

    seconds: float
    gpu: int
    mem_mb: int
    disk_mb: int
    kept_mb: int
    runtime: int
    measured: bool


class JobResources:
    """The resources of every rule's jobs.

    Attributes:
        study: the plan.
        sizes: how much there is to do.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self.sizes = Sizes(study)
        self._estimates = Estimates(self.sizes)
        self._throughput = Throughput(Path(study.path("benchmarks")))
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
        return self._estimate(rule, tuple(str(values[name]) for name in RULES[rule]))

    def of(self, rule: str) -> dict[str, Callable[..., Any]]:
        """Resource -> function of wildcards and attempt, as Snakemake's `resources` takes them.

        ``mem_mb``, ``disk_mb``, ``kept_mb`` (what stays when the job is over), ``runtime`` in
        minutes, ``expected_s`` in seconds and without safety factors; ``gpu`` for jobs on GPUs
        only. Of a training run also ``processes``, and what Slurm must know of one that is spread
        over several nodes.
        """

        def function(value: Callable[[Estimate, int], int]) -> Callable[..., int]:
            return lambda wildcards, attempt: value(self.estimate(rule, wildcards), attempt)

        resources: dict[str, Callable[..., Any]] = {
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

    def processes(self, model: str, variant: str) -> int:
        """Processes of a training run."""
        task = self.study.variants[model][variant].task
        return self.study.config.sft_settings(model, task or MIX).processes

    def _launch(self) -> dict[str, Callable[..., Any]]:
        """How a training run is started, by the names that Snakemake's Slurm executor reads.

        Those of a run on one node are absent (None), but for `nodes`. `mpi` keeps the executor from
        starting the job by srun: the job does that itself, one task a node.
        """
        study = self.study

        def only_spread(value: Callable[[int, int], Any]) -> Callable[..., Any]:
            def resource(wildcards: Any) -> Any:
                nodes = study.sft_nodes(wildcards.model, wildcards.variant)
                threads = study.sft_threads(wildcards.model, wildcards.variant)
                return None if nodes == 1 else value(nodes, threads)

            return resource

        return {
            "processes": lambda wildcards: self.processes(wildcards.model, wildcards.variant),
            "nodes": lambda wildcards: study.sft_nodes(wildcards.model, wildcards.variant),
            "mpi": only_spread(lambda nodes, threads: "srun"),
            "tasks": only_spread(lambda nodes, threads: nodes),
            # Else `tasks` would be taken for the tasks of each GPU.
            "tasks_per_gpu": only_spread(lambda nodes, threads: 0),
            "cpus_per_task": only_spread(lambda nodes, threads: threads // nodes),
        }

    def _minutes(self, first: int, attempt: int) -> int:
        """Run time of an attempt: more each time, but no more than a job may have."""
        minutes = ceil(first * _MORE_TIME ** (attempt - 1))
        longest = self.study.config.hardware.longest_hours
        return minutes if longest is None else min(minutes, max(1, int(longest * 60)))

    def _assume(self, rule: str, values: tuple[str, ...]) -> Assumed | None:
        """What a finished job was assumed to take; None for one that is none of the study's.

        Benchmarks may be left over from a model or a ratio that the configuration lost since.
        """
        try:
            if RULES[rule] == ("model", "variant"):
                model, variant = values
                _ = self.study.variants[model][variant]
            assumed: Assumed = getattr(self._estimates, rule)(*values)
        except (KeyError, ValueError, TypeError, AssertionError, StopIteration):
            return None
        return assumed

    def _achieved(self, rule: str, model: str | None) -> Speed | None:
        return self._throughput.speed(rule, model, lambda values: self._assume(rule, values))

    def _estimated(self, rule: str, values: tuple[str, ...]) -> Estimate:
        assumed: Assumed = getattr(self._estimates, rule)(*values)
        speed = self._speed(rule, dict(zip(RULES[rule], values, strict=True)).get("model"))
        seconds = assumed.seconds if speed is None else speed.seconds(assumed)
        memory = assumed.memory
        if speed is not None and speed.memory is not None:
            memory = speed.memory * _HEADROOM
        trust = _TRUSTED if assumed.by_user or speed is not None else _DOUBTED
        kept = assumed.disk if assumed.kept is None else assumed.kept
        return Estimate(
            seconds=seconds,
            gpu=assumed.gpu,
            mem_mb=_FLOOR + ceil(memory / 100) * 100,
            disk_mb=ceil(assumed.disk),
            kept_mb=ceil(kept),
            runtime=max(_LEAST_MINUTES, 5 + ceil(trust * seconds / 60)),
            measured=speed is not None,
        )
