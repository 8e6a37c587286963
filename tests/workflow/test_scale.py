"""A large study costs its plan as much a job as a small one does, and no more."""

import pstats
from pathlib import Path

import pytest
import scale
import yaml
from repository import ROOT, copy_repository

from fixtures.workspace import jobs

pytestmark = pytest.mark.slow

RATIOS = 3
MODELS = (2, 4, 6)


class Plan:
    """A dry run of a generated study under Python's profiler."""

    def __init__(self, folder: Path, models: int) -> None:
        (folder / "scale.yaml").write_text(yaml.safe_dump(scale.config(models, RATIOS)))
        cost = scale.plan(folder, folder / "profile")
        self.total = cost.jobs
        self.jobs = jobs((folder / "output").read_text())
        calls = {
            place: count
            for place, (_, count, *_) in pstats.Stats(str(folder / "profile")).stats.items()
        }
        self.calls = sum(calls.values())
        # Snakemake's logger plugin is imported from the repository, the rest from its copy.
        sources = tuple(
            f"{root / part}/" for root in (folder, ROOT) for part in ("src", "packages", "tools")
        )
        self.ours = sum(
            count
            for (file, _, _), count in calls.items()
            if file.endswith(".smk") or file.startswith(sources)
        )


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> list[Plan]:
    folder = tmp_path_factory.mktemp("scale")
    copy_repository(folder)
    return [Plan(folder, models) for models in MODELS]


def test_the_plan_holds_every_job(plans: list[Plan]) -> None:
    for models, plan in zip(MODELS, plans, strict=True):
        merges = models * 4 * RATIOS
        assert plan.jobs["merge"] == plan.jobs["recipe"] == merges
        assert plan.jobs["sft"] == 3 * models
        # Base, two specialists and the mixture, and the merges.
        assert plan.jobs["generate"] == plan.jobs["score"] == 4 * models + merges
        assert plan.jobs["snapshot"] == plan.jobs["uncertainty"] == models
        assert plan.jobs["tables"] == 1


@pytest.mark.parametrize("whose", ["ours", "calls"])
def test_no_job_costs_more_in_a_larger_study(plans: list[Plan], whose: str) -> None:
    """Calls a further job, from the second plan to the third as from the first to the second.

    Were each job's part to look through all others, the calls a job would grow with their number.
    """
    small, middle, large = plans

    def calls_a_job(one: Plan, other: Plan) -> float:
        return (getattr(other, whose) - getattr(one, whose)) / (other.total - one.total)

    assert calls_a_job(middle, large) < 1.15 * calls_a_job(small, middle)


def test_our_own_part_of_a_job_stays_small(plans: list[Plan]) -> None:
    small, _, large = plans
    further = large.total - small.total
    ours, all_calls = large.ours - small.ours, large.calls - small.calls
    print(f"{ours / further:.0f} calls of ours a job, {all_calls / further:.0f} in all")
    assert ours < 0.05 * all_calls
