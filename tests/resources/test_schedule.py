"""A plan: list scheduling, critical path, disk, and its text."""

import random
from collections.abc import Iterable
from dataclasses import replace

import pytest

from mixmerge.resources.plan import rendered
from mixmerge.resources.schedule import CORES, JOBS, MERGED, Job, Schedule, job_from


def job(
    name: str, seconds: int, reads: Iterable[str] = (), temporary: bool = False, **resources: int
) -> Job:
    return Job(
        rule=name,
        wildcards={},
        inputs=tuple(reads),
        outputs=(name,),
        threads=resources.pop("threads", 1),
        priority=resources.pop("priority", 0),
        resources={"expected_s": seconds, **resources},
        temporary=frozenset({name} if temporary else ()),
    )


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [
        ({}, 115),  # the critical path
        ({JOBS: 2}, 115),
        ({JOBS: 1}, 135),  # one after the other
        ({"gpu": 4}, 135),
        ({"gpu": 2}, 135),  # a job that asks for more than there is gets what there is
        ({CORES: 8}, 115),
    ],
)
def test_wall_time_under_limits(limits: dict[str, int], seconds: float) -> None:
    diamond = [
        job("data", 10),
        job("long", 100, ["data"], gpu=4),
        job("short", 20, ["data"], gpu=4),
        job("end", 5, ["long", "short"]),
    ]
    plan = Schedule(diamond, limits)
    assert plan.seconds == seconds
    assert plan.critical_seconds == 115
    assert [plan.jobs[n].rule for n in plan.critical] == ["data", "long", "end"]


def test_priority_goes_before_length() -> None:
    plan = Schedule([job("long", 100), job("urgent", 10, priority=5)], {JOBS: 1})
    assert plan.start == [10, 0]


def test_run_time_limit_stands_in_where_nothing_is_expected() -> None:
    record = {
        "rule_name": "sft",
        "wildcards": {"model": "m"},
        "input": ["s3://b/x (retrieve from storage)", "a.txt"],
        "output": ["out (1).txt"],
        "threads": 2,
        "priority": "highest",
        "resources": {"runtime": 3, "slurm_partition": "gpu"},
    }
    found = job_from(record)
    assert found.seconds == 180
    assert found.inputs == ("s3://b/x", "a.txt")
    assert found.priority > 1000
    assert "slurm_partition" not in found.resources


def test_random_graphs_keep_order_limits_and_grahams_bound() -> None:
    draw = random.Random(7)
    for _ in range(20):
        jobs = [
            job(
                f"j{n}",
                draw.randint(1, 30),
                [f"j{m}" for m in range(n) if draw.random() < 0.1],
                threads=draw.randint(1, 3),
            )
            for n in range(40)
        ]
        cores = draw.randint(1, 6)
        plan = Schedule(jobs, {CORES: cores})
        for n, earlier in plan.before.items():
            assert all(plan.end[m] <= plan.start[n] for m in earlier)
        for moment in plan.start:
            running = [j for n, j in enumerate(jobs) if plan.start[n] <= moment < plan.end[n]]
            assert sum(min(j.threads, cores) for j in running) <= cores
        work = sum(min(j.threads, cores) * j.seconds for j in jobs)
        assert plan.seconds >= max(plan.critical_seconds, work / cores)
        # No moment is idle while something waits that fits: nothing is longer than one by one.
        assert plan.seconds <= sum(j.seconds for j in jobs)


def merges(count: int) -> list[Job]:
    """Each a merge, then a generation that reads it; the merges are temporary."""
    return [
        entry
        for n in range(count)
        for entry in (
            job(f"m{n}", 10, temporary=True, merged=1, disk_mb=100, kept_mb=100),
            job(f"g{n}", 50, [f"m{n}"], disk_mb=1, kept_mb=1),
        )
    ]


def test_merged_weights_hold_their_place_until_they_are_read() -> None:
    assert Schedule(merges(6), {}).seconds == 60
    bounded = Schedule(merges(6), {MERGED: 2})
    assert bounded.seconds == 180
    assert bounded.peak_mb == pytest.approx(2 * 100 + 6, abs=4)
    # Alone a reader would merge for itself, and before the run nobody knows that it need not.
    readers = [job(f"l{n}", 5, [f"m{n}"], merged=1) for n in range(3)]
    plan = Schedule(merges(3) + readers, {MERGED: 1})
    assert plan.seconds == 180 and min(plan.end) > 0


def test_more_merges_than_places_that_nobody_reads_do_not_stop_the_plan() -> None:
    jobs = [job(name, 10, temporary=True, merged=1) for name in "ad"]
    jobs += [job("b", 10, ["a", "d"]), job("c", 10, ["b", "d"])]
    assert all(Schedule(jobs, {MERGED: 1}).end)


def test_disk_counts_scratch_while_a_job_runs_and_frees_what_is_temporary() -> None:
    everything = Schedule(merges(6), {})
    assert (everything.peak_mb, everything.final_mb) == (606, 6)
    scratch = Schedule([job("train", 10, disk_mb=500, kept_mb=30)], {})
    assert (scratch.peak_mb, scratch.final_mb) == (500, 30)


def training(model: str) -> Job:
    found = job("sft", 4 * 3600, gpu=4, disk_mb=90_000, kept_mb=3000, threads=4)
    return replace(found, wildcards={"model": model, "variant": "mix-p100"})


def test_text_of_a_plan() -> None:
    text = rendered(Schedule([training("m")], {CORES: 8}))
    rows = [line.split() for line in text.splitlines()]
    assert ["train", "1", "16", "16", "4", "h", "00", "min"] in rows
    assert "peak disk      90.0 GB, 0 s after the start (train 90.0 GB); 3.0 GB stay" in text
    assert "4 h 00 min  sft m mix-p100" in text
    assert "--resources gpu=N" in text  # nothing says how many GPUs this machine has
    assert rendered(Schedule([], {})).startswith("Nothing to do")
