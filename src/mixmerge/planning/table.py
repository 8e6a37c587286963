"""The plan as text."""

from collections.abc import Iterable

from mixmerge.planning.disk import disk
from mixmerge.planning.dryrun import Planned
from mixmerge.planning.jobs import Job
from mixmerge.planning.schedule import CORES, MERGED, Schedule, schedule
from mixmerge.planning.stages import in_order

_NAMES = {MERGED: "merges on disk"}


def rendered(planned: Planned) -> str:
    """The plan of a run: a row a stage, then the totals."""
    if not planned.jobs:
        return "Nothing to do: all requested files are present and up to date."
    plan = schedule(planned.jobs, planned.limits)
    rows: list[tuple[str, ...]] = [("stage", "jobs", "GPU-hours", "CPU-hours", "wall time")]
    for stage in in_order({job.stage for job in planned.jobs}):
        positions = [n for n, job in enumerate(planned.jobs) if job.stage == stage]
        busy = _covered((plan.start[n], plan.end[n]) for n in positions)
        rows.append((stage, *_amounts([planned.jobs[n] for n in positions]), duration(busy)))
    rows.append(("total", *_amounts(planned.jobs), duration(plan.seconds)))
    use = disk(plan)
    lines = [
        f"{_limits(planned)}; hours are expected ones, without waiting in a queue",
        "",
        *_aligned(rows),
        "",
        f"peak disk      {_size(use.peak_mb)}, {duration(use.peak_at)} after the start"
        f" ({_largest(use.stages)}); {_size(use.final_mb)} stay",
        f"critical path  {duration(plan.critical_seconds)}, whatever the limits:",
        *(f"  {line}" for line in _path(plan)),
    ]
    gpus = any(job.gpus for job in planned.jobs)
    if gpus and CORES in planned.limits and "gpu" not in planned.limits:
        lines.append("note: nothing says how many GPUs this machine has: add --resources gpu=N")
    return "\n".join(lines)


def _amounts(jobs: list[Job]) -> tuple[str, str, str]:
    """Number of jobs, GPU-hours and CPU-hours."""
    gpu = sum(job.gpus * job.seconds for job in jobs) / 3600
    cpu = sum(job.threads * job.seconds for job in jobs) / 3600
    return str(len(jobs)), _hours(gpu), _hours(cpu)


def _hours(hours: float) -> str:
    """Hours, the fewer the more exact."""
    return "-" if hours == 0 else f"{hours:,.2f}" if hours < 10 else f"{hours:,.0f}"


def _covered(intervals: Iterable[tuple[float, float]]) -> float:
    """Seconds in which at least one of the intervals lies."""
    total, reached = 0.0, 0.0
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _limits(planned: Planned) -> str:
    """Where jobs would run, and how many at once."""
    place = "on this machine" if planned.executor == "local" else f"with {planned.executor}"
    bounds = ", ".join(f"{_NAMES.get(name, name)} {n}" for name, n in planned.limits.items())
    return f"{place}, at most at once: {bounds}" if bounds else f"{place}, without a limit"


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows as columns: the first to the left, the others to the right."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if n else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _path(plan: Schedule) -> list[str]:
    """The critical path, a job a line; jobs of no length are left out."""
    jobs = [plan.jobs[position] for position in plan.critical]
    return [f"{duration(job.seconds):>11}  {job.label}" for job in jobs if job.seconds >= 1]


def duration(seconds: float) -> str:
    """A length of time for people: ``35 s``, ``12 min``, ``4 h 05 min``, ``41 h``."""
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours < 100 else f"{round(seconds / 3600):,} h"


def _largest(stages: dict[str, int]) -> str:
    """The stages with most of the disk."""
    most = sorted(((size, stage) for stage, size in stages.items() if size), reverse=True)[:3]
    return ", ".join(f"{stage} {_size(size)}" for size, stage in most) or "nothing"


def _size(megabytes: int) -> str:
    """An amount of disk for people."""
    if megabytes < 1000:
        return f"{megabytes} MB"
    if megabytes < 1_000_000:
        return f"{megabytes / 1000:,.1f} GB"
    return f"{megabytes / 1_000_000:,.2f} TB"
