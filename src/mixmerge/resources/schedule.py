"""When each planned job would run, under a profile's limits, and how much disk that takes."""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass

from mixmerge.resources.jobs import Job, consumers, order, producers, readers

#: Limits that are no resources of a rule: jobs at once, and cores where jobs run on this machine.
JOBS, CORES = "jobs", "cores"

#: A resource that a job holds until its temporary outputs are gone: the scheduler's bound on how
#: many merged checkpoints are on disk at once.
MERGED = "merged"

#: How many merged checkpoints may exist where no ``--resources merged=N`` says so.
MOST_MERGED = 8


@dataclass(frozen=True)
class Schedule:
    """Start and end of each job, in seconds from the run's start; positions as in ``jobs``.

    Attributes:
        jobs: the jobs.
        before: position -> positions of the jobs it reads from.
        after: position -> positions of the jobs that read from it.
        start: when each starts.
        end: when each ends.
        critical: positions along the longest path through the graph, in order: what no number of
            machines makes shorter.
    """

    jobs: list[Job]
    before: list[list[int]]
    after: list[list[int]]
    start: list[float]
    end: list[float]
    critical: list[int]

    @property
    def seconds(self) -> float:
        """Wall time of the whole run."""
        return max(self.end, default=0.0)

    @property
    def critical_seconds(self) -> float:
        """Length of the critical path."""
        return sum(self.jobs[position].seconds for position in self.critical)


def schedule(
    jobs: list[Job], limits: Mapping[str, int], durations: list[float] | None = None
) -> Schedule:
    """List scheduling: whenever something ends, start what is ready and fits, best first.

    Best is the higher priority, then the longer way to the end (Graham's list scheduling by
    critical path). Snakemake's own scheduler is greedy too, but breaks ties in another way.

    Args:
        jobs: the jobs, whose files make the graph.
        limits: amounts by name of resource; ``jobs`` and ``cores`` as well. What is not named is
            not bounded. A job that asks for more than there is gets what there is, as Snakemake
            scales it down.
        durations: seconds of each job; by default what the jobs expect.
    """
    seconds = [job.seconds for job in jobs] if durations is None else durations
    before = producers(jobs)
    after = consumers(before)
    way = _ways(seconds, before, after)
    needs = [_needs(job, limits, [jobs[n] for n in before[p]]) for p, job in enumerate(jobs)]
    free = dict(limits)
    read = readers(jobs, after)
    unread = {position: len(found) for position, found in read.items()}
    made: dict[int, list[int]] = {}
    for position, found in read.items():
        for reader in found:
            made.setdefault(reader, []).append(position)
    waiting = [len(earlier) for earlier in before]
    # Jobs of equal needs wait in one heap: where its best does not fit, none of it does.
    ready: dict[tuple[tuple[str, int], ...], list[tuple[int, float, int]]] = {}

    def add(position: int) -> None:
        entry = (-jobs[position].priority, -way[position], position)
        heapq.heappush(ready.setdefault(needs[position], []), entry)

    for position, count in enumerate(waiting):
        if count == 0:
            add(position)
    start, end = [0.0] * len(jobs), [0.0] * len(jobs)
    running: list[tuple[float, int]] = []
    now = 0.0
    while True:
        while fitting := [
            (heap[0], need)
            for need, heap in ready.items()
            if heap and all(free[name] >= amount for name, amount in need)
        ]:
            (_, _, position), need = min(fitting)
            heapq.heappop(ready[need])
            for name, amount in need:
                free[name] -= amount
            start[position], end[position] = now, now + seconds[position]
            heapq.heappush(running, (end[position], position))
        if not running:
            stuck = [(heap[0], need) for need, heap in ready.items() if heap]
            if not stuck:
                break
            # Only merged checkpoints are held by what has ended: the scheduler gives one up too.
            (_, _, position), need = min(stuck)
            heapq.heappop(ready[need])
            needs[position] = tuple(entry for entry in need if entry[0] != MERGED)
            heapq.heappush(ready.setdefault(needs[position], []), (0, 0.0, position))
            continue
        now = running[0][0]
        while running and running[0][0] <= now:
            _, position = heapq.heappop(running)
            kept = unread.get(position, 0) > 0
            for name, amount in needs[position]:
                free[name] += amount if name != MERGED or not kept else 0
            for maker in made.get(position, ()):
                unread[maker] -= 1
                if unread[maker] == 0 and MERGED in free:
                    free[MERGED] += dict(needs[maker]).get(MERGED, 0)
            for later in after[position]:
                waiting[later] -= 1
                if waiting[later] == 0:
                    add(later)
    return Schedule(jobs, before, after, start, end, _critical(way, before, after))


def _needs(job: Job, limits: Mapping[str, int], earlier: list[Job]) -> tuple[tuple[str, int], ...]:
    """What a job takes of the bounded resources."""
    wanted = {JOBS: 1, CORES: job.threads, **job.resources}
    if any(other.temporary and other.resources.get(MERGED) for other in earlier):
        # It reads a merged checkpoint that is not there yet, or else would make one for itself.
        wanted[MERGED] = 0
    found = ((name, min(wanted.get(name, 0), limit)) for name, limit in limits.items())
    return tuple((name, amount) for name, amount in found if amount > 0)


def _ways(seconds: list[float], before: list[list[int]], after: list[list[int]]) -> list[float]:
    """Seconds from each job's start to the end along the longest path."""
    ways = list(seconds)
    for position in reversed(order(before)):
        ways[position] += max((ways[later] for later in after[position]), default=0.0)
    return ways


def _critical(ways: list[float], before: list[list[int]], after: list[list[int]]) -> list[int]:
    """The longest path: from the job with the longest way on, always to the longest way left."""
    path: list[int] = []
    candidates = [position for position, earlier in enumerate(before) if not earlier]
    while candidates:
        path.append(max(candidates, key=lambda position: (ways[position], -position)))
        candidates = after[path[-1]]
    return path


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
