"""How much disk a run needs at its worst moment."""

from dataclasses import dataclass

from mixmerge.planning.jobs import readers
from mixmerge.planning.schedule import Schedule


@dataclass(frozen=True)
class Disk:
    """Disk over a run, beside what lies there already.

    Attributes:
        peak_mb: most MB in use at once, scratch of running jobs included.
        peak_at: seconds from the run's start to that moment.
        final_mb: MB that the run leaves.
        stages: stage -> MB of its jobs at the peak.
    """

    peak_mb: int
    peak_at: float
    final_mb: int
    stages: dict[str, int]


def disk(plan: Schedule) -> Disk:
    """Disk in use over a schedule.

    A running job takes its ``disk_mb``; of a job that ended its outputs stay. What is temporary
    goes when the last planned job that reads it has ended.

    Args:
        plan: the schedule.
    """
    changes: list[tuple[float, int, str]] = []
    final = 0
    read = readers(plan.jobs, plan.after)
    for position, job in enumerate(plan.jobs):
        changes.append((plan.start[position], job.disk_mb, job.stage))
        changes.append((plan.end[position], job.kept_mb - job.disk_mb, job.stage))
        if not job.temporary:
            final += job.kept_mb
            continue
        # Beside temporary weights a job leaves a manifest, whose size does not count.
        last = max((plan.end[later] for later in read[position]), default=plan.end[position])
        changes.append((last, -job.kept_mb, job.stage))
    peak, now = Disk(0, 0.0, final, {}), 0
    stages: dict[str, int] = dict.fromkeys((job.stage for job in plan.jobs), 0)
    # What ends at a moment leaves before what starts then comes: Snakemake does it in this order.
    for moment, change, stage in sorted(changes):
        now += change
        stages[stage] += change
        if now > peak.peak_mb:
            peak = Disk(now, moment, final, dict(stages))
    return peak
