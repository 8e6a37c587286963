"""How long a run will still take: the plan's schedule over what is left, mended by what it saw."""

from collections import defaultdict
from dataclasses import dataclass

from mixmerge.resources.jobs import order
from mixmerge.resources.schedule import schedule
from snakemake_logger_plugin_mixmerge.board import Board, State
from snakemake_logger_plugin_mixmerge.expected import Expected


@dataclass(frozen=True)
class Left:
    """An estimate of the time left.

    Attributes:
        seconds: until the run ends.
        partial: whether some jobs that are still to come are not in it, because nothing is known
            about their length.
    """

    seconds: float
    partial: bool


def left(board: Board, expected: Expected | None, now: float) -> Left | None:
    """The time left, or None where nothing is known yet.

    Args:
        board: the run.
        expected: all jobs of the run with their graph; without it jobs are taken to be as long as
            those of the same rule, and as many to run side by side as do now.
        now: seconds of a steady clock.
    """
    if expected is None:
        return _by_rule(board, now)
    factors = _factors(board, now)
    blocked = _blocked(board, expected)
    jobs, durations = [], []
    for job in expected.jobs:
        found = board.started.get(job.number)
        if job.number in blocked or (found and found.state is State.DONE):
            continue
        length = job.seconds * factors.get(job.rule, 1.0)
        if found and found.state is State.RUNNING:
            length = max(length - (now - found.since), 0.05 * length)
        jobs.append(job)
        durations.append(length)
    return Left(schedule(jobs, expected.limits, durations).seconds, partial=False)


def _blocked(board: Board, expected: Expected) -> set[int]:
    """Numbers of the jobs that failed, and of those that cannot run because of them."""
    blocked = {found.job.number for found in board.in_state(State.FAILED)}
    if not blocked:
        return blocked
    lost = {n for n, job in enumerate(expected.jobs) if job.number in blocked}
    for position in order(expected.before):
        if not lost.isdisjoint(expected.before[position]):
            lost.add(position)
    return {expected.jobs[position].number for position in lost}


def _factors(board: Board, now: float) -> dict[str, float]:
    """Rule -> how much longer its jobs took than expected, or take already."""
    took: dict[str, float] = defaultdict(float)
    thought: dict[str, float] = defaultdict(float)
    for found in board.started.values():
        length = found.took
        if found.state is State.RUNNING and now - found.since > found.job.seconds:
            length = now - found.since
        if length is not None:
            took[found.job.rule] += length
            thought[found.job.rule] += found.job.seconds
    return {rule: took[rule] / thought[rule] for rule in took if thought[rule] > 0}


def _by_rule(board: Board, now: float) -> Left | None:
    """Remaining jobs of each rule, as long as the rule's jobs were or were expected to be."""
    known: dict[str, list[float]] = defaultdict(list)
    ended: dict[str, int] = defaultdict(int)
    spent = 0.0
    for found in board.started.values():
        length = found.job.seconds if found.took is None else found.took
        known[found.job.rule].append(length)
        if found.state in (State.DONE, State.FAILED):
            ended[found.job.rule] += 1
        elif found.state is State.RUNNING:
            spent += min(now - found.since, length)
    if not known:
        return None
    work, partial = -spent, False
    for rule, total in board.totals.items():
        if rule in known:
            mean = sum(known[rule]) / len(known[rule])
            work += (total - ended[rule]) * mean
        else:
            partial = True
    side_by_side = max(1, len(board.in_state(State.RUNNING)))
    return Left(max(0.0, work) / side_by_side, partial)
