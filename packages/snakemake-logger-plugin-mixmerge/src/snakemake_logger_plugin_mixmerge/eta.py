"""Estimate of the time that a run still takes.

A run lasts at least as long as its longest chain of jobs, and as its work over what bounds it
(cores, jobs at once, GPUs); greedy scheduling comes close to the larger of the two. How long a job
takes is known once others of its rule have run; before that from its resources, where a Snakefile
calls `expect`: ``expected_s`` seconds, else ``runtime`` minutes.
"""

import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any

from snakemake_logger_plugin_mixmerge.board import Board, State, is_target


@dataclass(frozen=True)
class Expected:
    """A job of the run that has perhaps not started yet: Snakemake tells loggers of others only.

    Attributes:
        rule: the rule's name.
        seconds: how long it may take.
        before: numbers of the jobs that it reads from.
        needs: how much it takes of what bounds the run.
    """

    rule: str
    seconds: float
    before: list[int] = field(default_factory=list)
    needs: Mapping[str, int] = field(default_factory=dict)


#: The jobs of this process's run by number, each after those it reads from; and its bounds.
_jobs: dict[int, Expected] = {}
_limits: dict[str, int] = {}


def expect(workflow: Any) -> None:
    """Take the jobs of a run that starts; Snakefiles call it under ``onstart:``.

    Args:
        workflow: Snakemake's ``workflow``, as Snakefiles know it.
    """
    dag, found = workflow.dag, {}
    for job in dag.needrun_jobs():
        resources = {name: n for name, n in job.resources.items() if isinstance(n, int)}
        seconds = float(resources.get("expected_s", 60 * resources.get("runtime", 0)))
        before = [other.jobid for other in dag.dependencies[job] if dag.needrun(other)]
        needs = {**resources, "_cores": job.threads, "_nodes": 1}
        if not is_target(job.rule.name):
            found[job.jobid] = Expected(job.rule.name, seconds, before, needs)
    order = TopologicalSorter({number: job.before for number, job in found.items()})
    _jobs.clear()
    _jobs.update((number, found[number]) for number in order.static_order() if number in found)
    _limits.clear()
    unused = "_nodes" if workflow.local_exec else "_cores"
    for name, amount in workflow.global_resources.items():
        value = getattr(amount, "value", amount)
        if isinstance(value, int) and 0 < value < sys.maxsize and name != unused:
            _limits[name] = value


def time_left(board: Board, now: float) -> tuple[float, bool] | None:
    """Seconds until the run ends, and whether some jobs are not in them; None where unknown.

    Args:
        board: the run.
        now: seconds of a steady clock.
    """
    took: dict[str, list[float]] = defaultdict(list)
    for job in board.jobs.values():
        if job.took is not None:
            took[job.rule].append(job.took)
    means = {rule: sum(lengths) / len(lengths) for rule, lengths in took.items()}
    if not _jobs:
        return _by_rule(board, means, now)
    finished: dict[int, float] = {}
    work: dict[str, float] = defaultdict(float)
    for number, expected in _jobs.items():
        started = board.jobs.get(number)
        state = started.state if started else None
        if state is State.FAILED or any(
            one in _jobs and one not in finished for one in expected.before
        ):
            continue  # it failed, or what it reads from did
        length = means.get(expected.rule, expected.seconds)
        if state is State.DONE:
            length = 0.0
        elif started:
            length = max(length - (now - started.since), 0.05 * length)
        finished[number] = length + max((finished.get(n, 0.0) for n in expected.before), default=0)
        for name in _limits.keys() & expected.needs.keys():
            work[name] += min(expected.needs[name], _limits[name]) * length
    return max(
        [*finished.values(), *(work[name] / _limits[name] for name in work)], default=0
    ), False


def _by_rule(board: Board, means: Mapping[str, float], now: float) -> tuple[float, bool] | None:
    """Jobs as long as others of their rule were, as many side by side as now."""
    if not means:
        return None
    running = board.in_state(State.RUNNING)
    remaining = dict(board.totals)
    for job in board.jobs.values():
        if job.state in (State.DONE, State.FAILED):
            remaining[job.rule] -= 1
    seconds = sum(count * means[rule] for rule, count in remaining.items() if rule in means)
    seconds -= sum(min(now - job.since, means.get(job.rule, 0.0)) for job in running)
    partial = any(count for rule, count in remaining.items() if rule not in means)
    return max(0.0, seconds) / max(1, len(running)), partial
