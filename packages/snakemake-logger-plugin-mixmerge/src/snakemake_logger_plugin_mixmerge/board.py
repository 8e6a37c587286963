"""Where a run stands: each started job's state, and counts by stage."""

from dataclasses import dataclass, field
from enum import StrEnum

from mixmerge.resources.jobs import Job, in_order, is_target, stage_of


class State(StrEnum):
    """What a job that was started is doing."""

    QUEUED = "queued"  # handed to a cluster; whether it runs there is not known or not yet so
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass
class Started:
    """A job that Snakemake has started, or handed to a cluster.

    Attributes:
        job: what is known of it.
        state: what it is doing.
        since: when it came into this state, seconds of a steady clock.
        log: its log files.
        attempt: 1, then one more with each time it is tried again.
        took: seconds it ran, where that was seen.
    """

    job: Job
    state: State
    since: float
    log: list[str]
    attempt: int = 1
    took: float | None = None


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
        totals: rule -> number of its jobs in this run.
        started: Snakemake's number -> job.
    """

    totals: dict[str, int] = field(default_factory=dict)
    started: dict[int, Started] = field(default_factory=dict)

    def expect(self, totals: dict[str, int]) -> None:
        """Take Snakemake's table of jobs by rule."""
        self.totals = {
            rule: count for rule, count in totals.items() if rule != "total" and not is_target(rule)
        }

    def start(self, job: Job, state: State, now: float, log: list[str]) -> None:
        """A job starts, for the first time or again."""
        if is_target(job.rule):
            return
        before = self.started.get(job.number)
        attempt = before.attempt + 1 if before else 1
        self.started[job.number] = Started(job, state, now, log, attempt)

    def move(self, number: int, state: State, now: float) -> None:
        """A started job comes into another state; unknown numbers are those of targets."""
        found = self.started.get(number)
        if found is None or found.state is state:
            return
        if state is State.DONE and found.state is State.RUNNING:
            found.took = now - found.since
        found.state, found.since = state, now

    def in_state(self, state: State) -> list[Started]:
        """The jobs in a state, in the order in which they started."""
        return [found for found in self.started.values() if found.state is state]

    def counts(self) -> dict[str, Counts]:
        """Stage -> its counts, in the order of a study."""
        rules = set(self.totals) | {found.job.rule for found in self.started.values()}
        by_stage = {stage: Counts() for stage in in_order({stage_of(rule) for rule in rules})}
        for rule, count in self.totals.items():
            by_stage[stage_of(rule)].total += count
        for found in self.started.values():
            stage = by_stage[found.job.stage]
            setattr(stage, found.state, getattr(stage, found.state) + 1)
        return by_stage

    def total(self) -> Counts:
        """The counts of the whole run."""
        stages = list(self.counts().values())
        return Counts(*(sum(getattr(stage, name) for stage in stages) for name in _FIELDS))


_FIELDS = ("total", "done", "running", "queued", "failed")
