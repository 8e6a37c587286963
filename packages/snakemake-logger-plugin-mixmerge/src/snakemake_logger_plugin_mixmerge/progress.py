"""The time that a run still takes: its longest chain of jobs, or its work over what bounds it.

The bounds are cores, jobs at once, GPUs; greedy scheduling comes close to the larger of the two.
"""

import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Job:
    """A started job, by Snakemake's record of that; times are seconds of a steady clock."""

    name: str
    rule: str
    state: str  # queued (on a cluster, which does not say when it begins), running, done, failed
    since: float
    took: float | None = None
    record: dict[str, Any] = field(default_factory=dict)
    failure: str = ""
    is_told: bool = False


#: The jobs of this process's run by number, each after those it reads from: rule, seconds that it
#: may take, jobs that it reads from, resources; and the run's bounds.
_jobs: dict[int, tuple[str, float, list[int], dict[str, int]]] = {}
_limits: dict[str, int] = {}
#: Rules of which a former run left benchmark files, by which jobs' resources can be told.
_measured: set[str] = set()


def expect(workflow: Any) -> None:
    """Take the jobs of a run that starts; Snakefiles call it with ``workflow`` under ``onstart:``.

    One takes ``expected_s`` seconds, else ``runtime`` minutes, by the measure of its rule's jobs.
    """
    dag = workflow.dag
    for known in (_jobs, _limits, _measured):
        known.clear()
    _measured.update(j.rule.name for j in dag.jobs if j.benchmark and Path(j.benchmark).exists())
    for job in (job for level in dag.toposorted() for job in level):
        if dag.needrun(job) and not is_target(job.rule.name):
            resources = {name: n for name, n in job.resources.items() if isinstance(n, int)}
            seconds = float(resources.get("expected_s", 60 * resources.get("runtime", 0)) or 1)
            before = [other.jobid for other in dag.dependencies[job] if dag.needrun(other)]
            needs = {**resources, "_cores": job.threads, "_nodes": 1}
            _jobs[job.jobid] = (job.rule.name, seconds, before, needs)
    unused = "_nodes" if workflow.local_exec else "_cores"
    bounds = {name: getattr(n, "value", n) for name, n in workflow.global_resources.items()}
    for name, bound in bounds.items():
        if isinstance(bound, int) and 0 < bound < sys.maxsize and name != unused:
            _limits[name] = bound


def is_target(rule: str) -> bool:
    """Whether a rule only names what to make, as ``all`` and ``all_tables`` do."""
    return rule == "all" or rule.startswith("all_")


def time_left(started: dict[int, Job], total: int, begun: float, now: float) -> tuple[float, bool]:
    """Seconds until a run of ``total`` jobs ends (0: unknown), and whether they are a guess.

    A guess rests for the most part on jobs of rules of which none was ever measured. Started jobs
    go by Snakemake's number; ``begun`` and ``now`` are seconds of a steady clock.
    """
    done = {number: job.took for number, job in started.items() if job.took is not None}
    if not _jobs:  # no Snakefile called `expect`: as fast as it went
        return (now - begun) * (total - len(done)) / len(done) if done else 0.0, False
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])  # of a rule: took, expected
    for number in done.keys() & _jobs.keys():
        rule, seconds, *_ = _jobs[number]
        sums[rule] = [sums[rule][0] + done[number], sums[rule][1] + seconds]
    finished: dict[int, float] = {}
    work: dict[str, float] = defaultdict(float)
    surplus = 0.0  # of guessed seconds over measured ones
    for number, (rule, seconds, before, needs) in _jobs.items():
        job = started.get(number, Job("", rule, "queued", now))
        if job.state == "failed" or any(n in _jobs and n not in finished for n in before):
            continue  # it failed, or what it reads from did
        length = seconds * (sums[rule][0] / sums[rule][1]) if rule in sums else seconds
        length = max(length - (now - job.since), 0.05 * length) if job.state != "done" else 0.0
        finished[number] = length + max((finished.get(n, 0.0) for n in before), default=0.0)
        for name in _limits.keys() & needs.keys():
            work[name] += min(needs[name], _limits[name]) * length
        surplus += -length if rule in sums or rule in _measured else length
    left = max([*finished.values(), *(work[name] / _limits[name] for name in work)], default=0.0)
    return left, surplus > 0


def duration(seconds: float) -> str:
    """A length of time for people: ``35 s``, ``12 min``, ``4 h 05 min``, ``278 h``."""
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours >= 100:
        return f"{round(seconds / 3600):,} h"
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"
