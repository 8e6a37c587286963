"""Planned jobs as Snakemake's dry run names them, their stages, and who reads what they make."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

#: Stage -> its rules, both in the order in which they run.
STAGES = {
    "data": (
        *("corpus", "fetch", "nltk_data", "prepare", "hold_out", "decontaminate", "split"),
        *("subset", "mix", "statistics", "suite", "ground_truth"),
    ),
    "train": ("pretrain", "snapshot", "dequantise", "sft"),
    "merge": ("recipe", "merge", "winner"),
    "generate": ("generate",),
    "score": ("score",),
    "weights": ("layers", "merged_layers", "updates"),
    "report": ("uncertainty", "tables", "figures", "verdict", "timing"),
}

_STAGE_OF = {rule: stage for stage, rules in STAGES.items() for rule in rules}


def stage_of(rule: str) -> str:
    """The stage of a rule; a rule that is in none is a stage of its own."""
    return _STAGE_OF.get(rule, rule)


def is_target(rule: str) -> bool:
    """Whether a rule only names what to make (``all``, ``all_tables``) and does nothing itself."""
    return rule == "all" or rule.startswith("all_")


def in_order(stages: set[str]) -> list[str]:
    """Stages in the order of a study, then others by name."""
    known = [stage for stage in STAGES if stage in stages]
    return known + sorted(stages.difference(STAGES))


@dataclass(frozen=True, slots=True)
class Job:
    """One job of a run.

    Attributes:
        number: Snakemake's number of the job.
        rule: the rule's name.
        wildcards: their names and values.
        inputs: files read, in Snakemake's spelling.
        outputs: files written.
        temporary: those of them that go when nothing needs them any more.
        threads: CPU cores it takes.
        priority: the rule's priority; higher runs earlier.
        resources: by name; only numbers.
    """

    number: int
    rule: str
    wildcards: Mapping[str, str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    threads: int
    priority: int
    resources: Mapping[str, int]
    temporary: frozenset[str] = frozenset()

    @property
    def stage(self) -> str:
        """The stage the rule belongs to."""
        return stage_of(self.rule)

    @property
    def seconds(self) -> float:
        """Expected run time; the time limit where the rule says nothing better."""
        expected = self.resources.get("expected_s")
        return float(60 * self.resources.get("runtime", 0) if expected is None else expected)

    @property
    def gpus(self) -> int:
        """GPUs of the whole job."""
        # Where a profile words them as a gres, the Slurm plugin must find no `gpu` beside it.
        return self.resources.get("gpu", 0) or self.resources.get("gpu_count", 0)

    @property
    def disk_mb(self) -> int:
        """MB that the job needs on disk while it runs."""
        return self.resources.get("disk_mb", 0)

    @property
    def kept_mb(self) -> int:
        """MB of its outputs, which stay when it has ended."""
        return self.resources.get("kept_mb", self.disk_mb)

    @property
    def label(self) -> str:
        """The job for people: ``sft qwen-small sft-codegen-p100``."""
        return " ".join([self.rule, *map(str, self.wildcards.values())])


def job_from(record: Mapping[str, Any], temporary: Iterable[str] = ()) -> Job:
    """A job from Snakemake's own account of it (its ``job_info`` event).

    Args:
        record: the event's fields; ``resources`` is a mapping.
        temporary: those of its outputs that are removed in the run.
    """
    numbers = {
        name: value
        for name, value in record["resources"].items()
        if isinstance(value, int) and not isinstance(value, bool)
    }
    priority = record["priority"]
    return Job(
        number=record["jobid"],
        rule=record["rule_name"],
        wildcards=record["wildcards"],
        inputs=tuple(map(plain, record["input"])),
        outputs=tuple(map(plain, record["output"])),
        threads=record["threads"],
        # Snakemake writes the greatest one, of targets given with --prioritize, as a word.
        priority=priority if isinstance(priority, int) else 1_000_000,
        resources=numbers,
        temporary=frozenset(temporary),
    )


def plain(file: str) -> str:
    """A file without Snakemake's remark, such as `` (send to storage)``."""
    return file.partition(" (")[0] if file.endswith(")") else file


def producers(jobs: list[Job]) -> list[list[int]]:
    """Position of each job -> positions of the jobs whose outputs it reads, each once."""
    made = {file: position for position, job in enumerate(jobs) for file in job.outputs}
    return [
        sorted({made[file] for file in job.inputs if file in made} - {position})
        for position, job in enumerate(jobs)
    ]


def consumers(before: list[list[int]]) -> list[list[int]]:
    """The same graph read the other way: who reads what a job makes."""
    after: list[list[int]] = [[] for _ in before]
    for position, earlier in enumerate(before):
        for other in earlier:
            after[other].append(position)
    return after


def order(before: list[list[int]]) -> list[int]:
    """Positions such that every job comes after those it reads from."""
    return list(TopologicalSorter(dict(enumerate(before))).static_order())


def readers(jobs: list[Job], after: list[list[int]]) -> dict[int, list[int]]:
    """Position of each job with temporary outputs -> positions of the jobs that read those."""
    return {
        position: [
            later for later in after[position] if not job.temporary.isdisjoint(jobs[later].inputs)
        ]
        for position, job in enumerate(jobs)
        if job.temporary
    }
