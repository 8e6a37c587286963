"""The state of a run: its started jobs, and counts by stage."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    """What a job that was started is doing."""

    QUEUED = "queued"  # handed to a cluster, which does not say when it begins
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass
class Job:
    """A job that Snakemake has started, or handed to a cluster.

    Attributes:
        rule: the rule's name.
        wildcards: their names and values.
        outputs: its outputs.
        threads: cores that it takes.
        log: its log files, the rule's first.
        state: what it is doing.
        since: when it came into this state, seconds of a steady clock.
        took: seconds it ran, once it is done.
    """

    rule: str
    wildcards: Mapping[str, str]
    outputs: list[str]
    threads: int
    log: list[str]
    state: State
    since: float
    took: float | None = None

    @property
    def name(self) -> str:
        """The job for people: ``sft (model=tiny, variant=base)``."""
        values = ", ".join(f"{name}={value}" for name, value in self.wildcards.items())
        return f"{self.rule} ({values})" if values else self.rule


@dataclass
class Counts:
    """Jobs of a stage by state."""

    total: int = 0
    done: int = 0
    running: int = 0
    queued: int = 0
    failed: int = 0

    @property
    def to_come(self) -> int:
        """Jobs not started yet."""
        return max(0, self.total - self.done - self.running - self.queued - self.failed)


@dataclass
class Board:
    """The state of a run.

    Attributes:
        stages: stage -> its rules, in the order in which they are shown.
        totals: rule -> number of its jobs in this run.
        jobs: Snakemake's number -> started job.
        remote: whether jobs go to a cluster.
    """

    stages: Mapping[str, list[str]] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    jobs: dict[int, Job] = field(default_factory=dict)
    remote: bool = False

    def move(self, number: int, state: State, now: float) -> None:
        """Put a started job into another state; unknown numbers are those of targets."""
        job = self.jobs.get(number)
        if job is None or job.state is state:
            return
        if state is State.DONE:
            job.took = now - job.since
        job.state, job.since = state, now

    def in_state(self, state: State) -> list[Job]:
        """The jobs in a state, in the order in which they started."""
        return [job for job in self.jobs.values() if job.state is state]

    def counts(self) -> dict[str, Counts]:
        """Stage -> its counts; a rule that no stage has is a stage of its own."""
        stage_of = {rule: stage for stage, rules in self.stages.items() for rule in rules}
        found = {stage: Counts() for stage in self.stages}
        for rule, total in self.totals.items():
            found.setdefault(stage_of.get(rule, rule), Counts()).total += total
        for job in self.jobs.values():
            counts = found.setdefault(stage_of.get(job.rule, job.rule), Counts())
            setattr(counts, job.state, getattr(counts, job.state) + 1)
        return {stage: counts for stage, counts in found.items() if counts != Counts()}

    def total(self) -> Counts:
        """The counts of the whole run."""
        names = ("total", "done", "running", "queued", "failed")
        counts = list(self.counts().values())
        return Counts(*(sum(getattr(one, name) for one in counts) for name in names))


def is_target(rule: str) -> bool:
    """Whether a rule only names what to make, as ``all`` and ``all_tables`` do."""
    return rule == "all" or rule.startswith("all_")
