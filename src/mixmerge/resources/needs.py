"""What each job needs of the machine: memory, run time, disk, GPUs.

Each rule has a function that says what its jobs would take at the speeds the configuration assumes
(`hardware`); where jobs of the rule have run already, what they achieved overrules it.
"""

from collections.abc import Callable, Mapping
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

from mixmerge.data.settings import MIX
from mixmerge.resources import evaluating, merging, preparing, reporting, training
from mixmerge.resources.estimate import Assumed, Estimate
from mixmerge.resources.sizes import Sizes
from mixmerge.resources.throughput import Speed, Throughput
from mixmerge.study.plan import Study

#: Rule -> its wildcards in the order of its benchmark's path, and what its jobs take.
RULES: dict[str, tuple[tuple[str, ...], Callable[[Sizes, Mapping[str, str]], Assumed]]] = {
    "corpus": ((), preparing.corpus),
    "fetch": (("source",), preparing.fetch),
    "prepare": (("task",), preparing.prepare),
    "decontaminate": (("task",), preparing.decontaminate),
    "split": (("task",), preparing.split),
    "subset": (("task", "percent"), preparing.subset),
    "mix": (("percent",), preparing.mix),
    "statistics": ((), preparing.statistics),
    "hold_out": (("suite",), preparing.hold_out),
    "suite": (("suite",), preparing.suite),
    "ground_truth": (("suite",), preparing.ground_truth),
    "nltk_data": ((), preparing.nltk_data),
    "pretrain": (("model",), training.pretrain),
    "snapshot": (("model",), training.snapshot),
    "dequantise": (("model",), training.dequantise),
    "sft": (("model", "variant"), training.sft),
    "recipe": (("model", "variant"), merging.recipe),
    "merge": (("model", "variant"), merging.merge),
    "generate": (("model", "variant"), evaluating.generate),
    "score": (("model", "variant"), evaluating.score),
    "layers": (("model", "variant"), merging.layers),
    "merged_layers": (("model", "variant"), merging.merged_layers),
    "winner": (("model", "strategy"), merging.winner),
    "updates": (("model",), merging.updates),
    "uncertainty": (("model",), reporting.uncertainty),
    "tables": ((), reporting.tables),
    "figures": ((), reporting.figures),
    "verdict": ((), reporting.verdict),
    "timing": ((), reporting.timing),
}

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


class Needs:
    """The resources of every rule's jobs.

    Attributes:
        study: the plan.
        sizes: how much there is to do.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self.sizes = Sizes(study)
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
        names, _ = RULES[rule]
        given = wildcards if isinstance(wildcards, Mapping) else vars(wildcards or object)
        return self._estimate(rule, tuple(str(given[name]) for name in names))

    def of(self, rule: str) -> dict[str, Callable[..., Any]]:
        """Resource -> function of wildcards and attempt, as Snakemake's `resources` takes them.

        ``mem_mb``, ``disk_mb``, ``kept_mb`` (what stays when the job is over), ``runtime`` in
        minutes, ``expected_s`` in seconds and without safety factors; ``gpu`` for jobs on GPUs
        only, and ``processes`` of a training run.
        """

        def found(value: Callable[[Estimate, int], int]) -> Callable[..., int]:
            return lambda wildcards, attempt: value(self.estimate(rule, wildcards), attempt)

        resources: dict[str, Callable[..., Any]] = {
            "mem_mb": found(lambda job, attempt: ceil(job.mem_mb * _MORE_MEMORY ** (attempt - 1))),
            "runtime": found(lambda job, attempt: self._minutes(job.runtime, attempt)),
            "disk_mb": found(lambda job, attempt: job.disk_mb),
            "kept_mb": found(lambda job, attempt: job.kept_mb),
            "expected_s": found(lambda job, attempt: max(1, round(job.seconds))),
        }
        if rule in GPU_RULES and self.study.config.hardware.device == "gpu":
            resources["gpu"] = found(lambda job, attempt: job.gpu)
        if rule == "sft":
            resources["processes"] = lambda wildcards: self.processes(
                wildcards.model, wildcards.variant
            )
        return resources

    def processes(self, model: str, variant: str) -> int:
        """Processes of a training run."""
        task = self.study.variants[model][variant].task
        return self.study.config.sft_settings(model, task or MIX).processes

    def weights_mb(self, model: str) -> float:
        """MB of a merged checkpoint of a model."""
        bytes_a_weight = 4 if self.study.config.merging.dtype == "float32" else 2
        return self.sizes.weights_mb(model, bytes_a_weight)

    def _minutes(self, first: int, attempt: int) -> int:
        """Run time of an attempt: more each time, but no more than a job may have."""
        minutes = ceil(first * _MORE_TIME ** (attempt - 1))
        longest = self.study.config.hardware.longest_hours
        return minutes if longest is None else min(minutes, max(1, int(longest * 60)))

    def _assume(self, rule: str, values: tuple[str, ...]) -> Assumed | None:
        """What a job would take by its wildcards' values; None for one that is none of the study's.

        Benchmarks may be left over from a model or a ratio that the configuration lost since.
        """
        names, function = RULES[rule]
        if len(names) != len(values):
            return None
        wildcards = dict(zip(names, values, strict=True))
        try:
            if "variant" in wildcards:
                _ = self.study.variants[wildcards["model"]][wildcards["variant"]]
            return function(self.sizes, wildcards)
        except (KeyError, AssertionError, StopIteration):
            return None

    def _achieved(self, rule: str, model: str | None) -> Speed | None:
        wildcards = {} if model is None else {"model": model}
        return self._throughput.speed(rule, wildcards, lambda values: self._assume(rule, values))

    def _estimated(self, rule: str, values: tuple[str, ...]) -> Estimate:
        names, function = RULES[rule]
        wildcards = dict(zip(names, values, strict=True))
        assumed = function(self.sizes, wildcards)
        speed = self._speed(rule, wildcards.get("model"))
        seconds = assumed.seconds if speed is None else speed.seconds(assumed)
        memory = assumed.memory
        if speed is not None and speed.memory is not None:
            memory = speed.memory * _HEADROOM
        trust = _TRUSTED if assumed.given or speed is not None else _DOUBTED
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
