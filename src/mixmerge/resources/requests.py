"""What each job asks the machine for (memory, run time, disk, GPUs), and in whose words.

A rule's estimate says what its jobs would take at the speeds that the configuration assumes
(`hardware`); where jobs of the rule have run already, their benchmark files overrule it.
"""

import csv
import re
from collections.abc import Callable, Mapping
from functools import cache
from inspect import signature
from math import ceil, isfinite
from pathlib import Path
from statistics import median
from typing import Any

from mixmerge.resources.estimates import Assumed, Estimates
from mixmerge.study.plan import Study

#: Rules whose jobs run on a GPU where `hardware.device` is one.
GPU_RULES = frozenset({"pretrain", "sft", "generate"})
#: Multiple of the expected time that a job gets where it was only assumed.
_DOUBTED = 3.0
#: The same where jobs of its rule, or the user, said it.
_TRUSTED = 1.5
#: Multiple of the most memory that jobs took, which is sampled.
_HEADROOM = 1.5
#: What each further attempt multiplies: a job that ran out of time, or of memory.
_MORE = {"runtime": 2.0, "mem_mb": 1.5}
#: Benchmark files read of a rule: enough for a median, and a job on a cluster plans itself anew on
#: a network file system.
_FILES = 128
#: MB that a job of these rules takes at least if it did its work; one that only restored what a
#: former run left imports nothing of weight, and its time says nothing.
_HEAVY = {"pretrain": 150, "sft": 150, "merge": 150, "generate": 150, "score": 100}
#: A default resource ``gpu_job_X`` of a profile is the resource X of the jobs that need GPUs.
_GPU_JOB = "gpu_job_"
#: Function of Snakemake's wildcards and the attempt.
Resource = Callable[[Any, int], Any]


class JobResources:
    """The resources of every rule's jobs."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self._rules = Estimates(study).rules
        #: Rule -> its wildcards, in the order of its benchmark's path.
        self.wildcards = {rule: tuple(signature(f).parameters) for rule, f in self._rules.items()}
        self._benchmarks = Path(study.path("benchmarks"))
        self._first = cache(self._first_attempt)
        self._speed = cache(self._achieved)

    def estimate(self, rule: str, wildcards: Any = None) -> dict[str, Any]:
        """What the first attempt of a job asks for, by Snakemake's wildcards or a mapping.

        ``runtime`` is in minutes, ``expected_s`` without safety factors, ``disk_mb`` with scratch;
        ``gpu`` stands also where no job runs on one.
        """
        values = wildcards if isinstance(wildcards, Mapping) else vars(wildcards or object)
        return self._first(rule, tuple(str(values[name]) for name in self.wildcards[rule]))

    def of(self, rule: str) -> dict[str, Resource]:
        """Resource -> function of wildcards and attempt, as Snakemake's `resources` takes them.

        Of a training run also how it is started, in the words of Snakemake's Slurm executor; on one
        node those but `processes` and `nodes` are absent (None).
        """
        names = ["mem_mb", "runtime", "disk_mb", "kept_mb", "expected_s"]
        if rule in GPU_RULES and self.study.config.hardware.device == "gpu":
            names.append("gpu")
        if rule == "sft":
            names += ["processes", "nodes", "mpi", "tasks", "tasks_per_gpu", "cpus_per_task"]
        return {name: self._resource(rule, name) for name in names}

    def _resource(self, rule: str, name: str) -> Resource:
        """A resource of each attempt: more memory and time, but no more time than there is."""
        longest = self.study.config.hardware.longest_hours if name == "runtime" else None

        def value(wildcards: Any, attempt: int) -> Any:
            amount = self.estimate(rule, wildcards)[name]
            if name in _MORE:
                amount = ceil(amount * _MORE[name] ** (attempt - 1))
            return min(amount, max(1, int(longest * 60))) if longest else amount

        return value

    def _first_attempt(self, rule: str, values: tuple[str, ...]) -> dict[str, Any]:
        assumed = self._rules[rule](*values)
        by_model = self.wildcards[rule][:1] == ("model",)
        speed = self._speed(rule, values[0] if by_model else None)
        seconds, memory = assumed.start + assumed.work, assumed.memory
        if speed is not None:
            start, factor, peak = speed
            seconds = start + factor * _work(assumed)
            memory = memory if peak is None else peak * _HEADROOM
        trust = _DOUBTED if speed is None and not assumed.by_user else _TRUSTED
        resources: dict[str, Any] = {
            # On a cluster two Snakemakes start in a job, before its own.
            "mem_mb": 500 + ceil(memory / 100) * 100,
            # A slow node imports for minutes what an idle one does in 25 s.
            "runtime": max(10, 5 + ceil(trust * seconds / 60)),
            "disk_mb": ceil(assumed.disk),
            "kept_mb": ceil(assumed.disk if assumed.kept is None else assumed.kept),
            "expected_s": max(1, round(seconds)),
            "gpu": 1,
        }
        if rule == "sft":
            sft = self.study.sft(*values)
            several = {
                "mpi": "srun",  # keeps the executor from starting the job by srun: the job does
                "tasks": sft.nodes,
                "tasks_per_gpu": 0,  # else `tasks` would be taken for the tasks of each GPU
                "cpus_per_task": sft.all_threads // sft.nodes,
            }
            resources |= several if sft.nodes > 1 else dict.fromkeys(several)
            resources |= {"gpu": sft.processes, "processes": sft.processes, "nodes": sft.nodes}
        return resources

    def _achieved(self, rule: str, model: str | None) -> tuple[float, float, float | None] | None:
        """What jobs of a rule achieved: those of the model, or else all; None where none ran.

        Seconds of start-up, seconds of the clock for each second of assumed work, and most MB of
        any: None where none was sampled (too short), or all are other models'.
        """
        place = self._benchmarks / rule / (model or "")
        single = place.with_name(f"{place.name}.tsv")
        files = [single] if single.is_file() else sorted(place.rglob("*.tsv"))
        runs = []
        for file in files[:: max(1, ceil(len(files) / _FILES))]:
            values = file.relative_to(self._benchmarks).with_suffix("").parts[1:]
            try:
                if self.wildcards[rule] == ("model", "variant"):
                    _ = self.study.variants[values[0]][values[1]]
                assumed = self._rules[rule](*values)
                [row] = csv.DictReader(file.read_text("utf-8").splitlines(), delimiter="\t")
                seconds, peak = float(row["s"]), row["max_rss"]
                memory = None if peak in ("-", "NA") else float(peak)
            # Of a job that the config lost since, half-written, or of another make.
            except (OSError, LookupError, ValueError, TypeError, AssertionError, csv.Error):
                continue
            if isfinite(seconds) and seconds > 0 and (memory or 0) >= _HEAVY.get(rule, 0):
                runs.append((assumed, seconds, memory))
        if not runs:
            others = self._speed(rule, None) if model else None
            return others and (*others[:2], None)
        start = min(min(a.start for a, *_ in runs), min(seconds for _, seconds, _ in runs) / 2)
        factor = median((seconds - start) / _work(assumed) for assumed, seconds, _ in runs)
        return start, factor, max((m for *_, m in runs if m is not None), default=None)


def _work(assumed: Assumed) -> float:
    # A share of the start-up counts, so that jobs of next to no work do not make the others' speed.
    return max(assumed.work, 0.2 * assumed.start, 0.1)


def default_resource(defaults: Mapping[str, Any] | None, name: str) -> Any:
    """A default resource as the profile words it, without quotes that keep it a string."""
    resource = (defaults or {}).get(name)
    value = getattr(resource, "raw", None) or getattr(resource, "value", resource)
    quoted = re.fullmatch(r"(['\"])(.*)\1", value) if isinstance(value, str) else None
    return quoted[2] if quoted else value


def in_cluster_words(
    resources: Mapping[str, Any], defaults: Mapping[str, Any] | None
) -> dict[str, Any]:
    """A rule's resources in a cluster's own words: partition, ``--gres``, GPU type, constraint.

    What is called ``gpu_job_X`` among the profile's default resources (as Snakemake holds them)
    becomes the resource X of a job with GPUs, instead of the default X; ``{gpu}`` in it stands for
    the number of the job's GPUs, ``{gpu_per_node}`` for those on each of its nodes.
    """
    names = [name for name in defaults or {} if name.startswith(_GPU_JOB)]
    words = {name.removeprefix(_GPU_JOB): default_resource(defaults, name) for name in names}
    if "gpu" not in resources or not words:
        return dict(resources)
    gpu, nodes = resources["gpu"], resources.get("nodes", lambda wildcards, attempt: 1)

    def resource(name: str, word: Any) -> Resource:
        def value(wildcards: Any, attempt: int) -> Any:
            count = gpu(wildcards, attempt)
            if not count:
                return default_resource(defaults, name)
            if not isinstance(word, str):
                return word
            each = -(-count // nodes(wildcards, attempt))
            return word.replace("{gpu}", str(count)).replace("{gpu_per_node}", str(each))

        return value

    translated = {**resources, **{name: resource(name, word) for name, word in words.items()}}
    if "gres" in words:
        # Slurm would add up the two; under another name for plans and limits that count GPUs.
        translated["gpu_count"] = translated.pop("gpu")
    return translated
