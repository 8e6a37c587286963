"""When each planned job would run under a profile's limits, and how much disk that takes."""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

#: Limits that are no resources of a rule: jobs at once, and cores where jobs run on this machine.
JOBS, CORES = "jobs", "cores"

#: A resource that a job holds until its temporary outputs are gone: the scheduler's bound on how
#: many merged checkpoints are on disk at once, and the bound where ``--resources`` names none.
MERGED, MOST_MERGED = "merged", 8

#: Stage -> its rules, both in the order in which they run. A rule in none is a stage of its own.
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


@dataclass(frozen=True)
class Job:
    """One job of a run; of its outputs ``temporary`` ones go when nothing needs them any more."""

    rule: str
    wildcards: Mapping[str, str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    threads: int
    priority: int
    resources: Mapping[str, int]  # those that are numbers
    temporary: frozenset[str] = frozenset()

    @property
    def stage(self) -> str:
        """The stage the rule belongs to."""
        return next((stage for stage, rules in STAGES.items() if self.rule in rules), self.rule)

    @property
    def seconds(self) -> float:
        """Expected run time; the time limit where the rule says nothing better."""
        return float(self.resources.get("expected_s", 60 * self.resources.get("runtime", 0)))

    @property
    def gpus(self) -> int:
        """GPUs of the whole job; ``gpu_count`` where a profile words them as a gres."""
        return self.resources.get("gpu", 0) or self.resources.get("gpu_count", 0)


def job_from(record: Mapping[str, Any], removed: Iterable[str] = ()) -> Job:
    """A job from Snakemake's own account of it (its ``job_info`` event), and what is temporary."""

    def files(kind: str) -> tuple[str, ...]:
        # Without Snakemake's remark, such as ` (send to storage)`.
        return tuple(f.partition(" (")[0] if f.endswith(")") else f for f in record[kind])

    priority = record["priority"]
    return Job(
        rule=record["rule_name"],
        wildcards=record["wildcards"],
        inputs=files("input"),
        outputs=files("output"),
        threads=record["threads"],
        # Snakemake writes the greatest one, of targets given with --prioritize, as a word.
        priority=priority if isinstance(priority, int) else 1_000_000,
        resources={name: n for name, n in record["resources"].items() if type(n) is int},
        temporary=frozenset(removed).intersection(record["output"]),
    )


class Schedule:
    """A run that has not started: whenever something ends, what is ready and fits starts.

    First the higher priority, then the longer way to the end (Graham's list scheduling by critical
    path). A job that asks for more than a limit gets that much, as Snakemake scales it down. A
    running job takes its ``disk_mb``, of one that ended ``kept_mb`` stay, and what is temporary
    goes when the last planned job that reads it has ended.

    Attributes:
        before: position of each job -> positions of the jobs it reads from.
        start, end: of each job by position, in seconds from the run's start.
        critical: the longest path through the graph, in order, which no machines make shorter.
        peak_mb, peak_at, peak_stages: most MB of disk that the run has in use at once, when that
            is (as ``start``), and stage -> MB of its jobs then.
        final_mb: MB that the run leaves.
    """

    def __init__(self, jobs: list[Job], limits: dict[str, int], executor: str = "local") -> None:
        self.jobs, self.limits, self.executor = jobs, limits, executor
        made = {file: position for position, job in enumerate(jobs) for file in job.outputs}
        self.before = {
            position: {made[file] for file in job.inputs if file in made} - {position}
            for position, job in enumerate(jobs)
        }
        self._after: dict[int, list[int]] = {position: [] for position in self.before}
        for position, earlier in self.before.items():
            for other in earlier:
                self._after[other].append(position)
        #: Seconds from each job's start to the end along the longest path.
        self._way = [job.seconds for job in jobs]
        for position in reversed(list(TopologicalSorter(self.before).static_order())):
            later = (self._way[other] for other in self._after[position])
            self._way[position] += max(later, default=0.0)
        self.critical: list[int] = []
        candidates = [position for position, earlier in self.before.items() if not earlier]
        while candidates:
            self.critical.append(max(candidates, key=lambda p: (self._way[p], -p)))
            candidates = self._after[self.critical[-1]]
        self.start, self.end = [0.0] * len(jobs), [0.0] * len(jobs)
        self.peak_mb, self.peak_at, self.peak_stages = 0, 0.0, dict[str, int]()
        self._run()
        self.seconds = max(self.end, default=0.0)
        self.critical_seconds = sum(jobs[position].seconds for position in self.critical)

    def _run(self) -> None:
        """Fill in start and end of each job, and the disk that all take."""
        jobs, free, now = self.jobs, defaultdict(int, self.limits), 0.0
        stages = [job.stage for job in jobs]
        used = [job.resources.get("disk_mb", 0) for job in jobs]
        kept = [job.resources.get("kept_mb", used[n]) for n, job in enumerate(jobs)]
        self.final_mb = sum(size for size, job in zip(kept, jobs, strict=True) if not job.temporary)
        disk = dict.fromkeys(stages, 0)
        needs: list[tuple[tuple[str, int], ...]] = []
        for position, job in enumerate(jobs):
            wanted = {JOBS: 1, CORES: job.threads, **job.resources}
            makers = [jobs[maker] for maker in self.before[position]]
            if any(maker.temporary and maker.resources.get(MERGED) for maker in makers):
                # Alone it makes a merged checkpoint for itself; here it reads one.
                wanted[MERGED] = 0
            amounts = ((name, min(wanted.get(name, 0), most)) for name, most in self.limits.items())
            needs.append(tuple((name, amount) for name, amount in amounts if amount > 0))
        # Position of a job -> those of the jobs that must end before its temporary outputs go.
        unread = {
            position: {p for p in self._after[position] if job.temporary & {*jobs[p].inputs}}
            or {position}
            for position, job in enumerate(jobs)
        }
        # Jobs of equal needs wait in one heap: where its best does not fit, none of it does.
        ready = defaultdict[Any, list[tuple[int, float, int]]](list)
        running: list[tuple[float, int]] = []
        graph = TopologicalSorter(self.before)
        graph.prepare()
        while graph.is_active():
            for position in graph.get_ready():
                entry = (-jobs[position].priority, -self._way[position], position)
                heapq.heappush(ready[needs[position]], entry)
            while fitting := [
                (heap[0], need)
                for need, heap in ready.items()
                if heap and all(free[name] >= amount for name, amount in need)
            ]:
                (_, _, position), need = min(fitting)
                heapq.heappop(ready[need])
                for name, amount in need:
                    free[name] -= amount
                disk[stages[position]] += used[position]
                self.start[position], self.end[position] = now, now + jobs[position].seconds
                heapq.heappush(running, (self.end[position], position))
            if (in_use := sum(disk.values())) > self.peak_mb:
                self.peak_mb, self.peak_at = in_use, now
                self.peak_stages = {stage: size for stage, size in disk.items() if size}
            if not running:
                # What has ended holds merged checkpoints: the scheduler gives one up, too.
                (_, _, position), need = min((heap[0], n) for n, heap in ready.items() if heap)
                heapq.heappop(ready[need])
                needs[position] = tuple(entry for entry in need if entry[0] != MERGED)
                heapq.heappush(ready[needs[position]], (0, 0.0, position))
                continue
            now = running[0][0]
            while running and running[0][0] <= now:
                _, position = heapq.heappop(running)
                graph.done(position)
                disk[stages[position]] += kept[position] - used[position]
                for name, amount in needs[position]:
                    free[name] += amount if name != MERGED else 0
                for maker in (position, *self.before[position]):
                    # The last reader of a job's outputs, or a job whose outputs nobody reads.
                    if unread[maker] == {position}:
                        free[MERGED] += dict(needs[maker]).get(MERGED, 0)
                        disk[stages[maker]] -= kept[maker] if jobs[maker].temporary else 0
                    unread[maker].discard(position)
