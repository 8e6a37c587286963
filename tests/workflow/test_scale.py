"""A large study costs its plan as much a job as a small one does, and no more."""

import pstats
from itertools import pairwise
from pathlib import Path

import pytest
import scale
import yaml
from repository import ROOT, copy_repository


def further(folder: Path, models: tuple[int, ...]) -> list[tuple[float, float]]:
    """Calls of ours and of all, for each further job from one number of models to the next.

    By dry runs of a generated study under Python's profiler.
    """
    copy_repository(folder)
    # Snakemake's logger plugin is imported from the repository, the rest from its copy.
    parts = ("src", "packages", "tools")
    sources = tuple(f"{root / part}/" for root in (folder, ROOT) for part in parts)
    plans = []
    for number in models:
        (folder / "scale.yaml").write_text(yaml.safe_dump(scale.config(number, ratios=3)))
        jobs = scale.plan(folder, folder / "profile").jobs
        stats = pstats.Stats(str(folder / "profile")).stats
        calls = {place: count for place, (_, count, *_) in stats.items()}
        ours = [n for p, n in calls.items() if p[0].endswith(".smk") or p[0].startswith(sources)]
        plans.append((jobs, sum(ours), sum(calls.values())))
    steps = [[b - a for a, b in zip(*pair, strict=True)] for pair in pairwise(plans)]
    return [(ours / jobs, calls / jobs) for jobs, ours, calls in steps]


@pytest.mark.slow
def test_no_job_costs_more_in_a_larger_study_and_our_part_of_it_stays_small(
    tmp_path: Path,
) -> None:
    """Were each job's part to look through all others, the calls a job would grow with them."""
    first, second = further(tmp_path, (2, 4, 6))
    print(f"{second[0]:.0f} calls of ours a job, {second[1]:.0f} in all")
    assert second[0] < 1.15 * first[0] and second[1] < 1.15 * first[1]
    assert second[0] < 0.05 * second[1]
