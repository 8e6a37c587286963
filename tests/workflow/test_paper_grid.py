"""The paper's study, planned from a fresh copy of the repository in which nothing was made yet."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from repository import copy_repository

from workflow_material import jobs


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("clone")
    copy_repository(target)
    return target


def planned(fresh: Path, *arguments: str) -> dict[str, int]:
    """Rule -> jobs of ``snakemake -n all``, typed as a user types it, without a hub to ask."""
    result = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "--quiet=rules", *arguments, "all"],
        cwd=fresh,
        env={**os.environ, "NO_COLOR": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": str(fresh / "hf")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return jobs(result.stdout + result.stderr)


def check_grid(plan: dict[str, int]) -> None:
    assert plan["sft"] == 31
    assert plan["merge"] == plan["recipe"] == 145
    assert plan["generate"] == plan["score"] == 181
    assert plan["layers"] == 31 and plan["merged_layers"] == 145
    # One for each strategy of each model.
    assert plan["winner"] == 17
    assert plan["updates"] == plan["snapshot"] == 5


def test_the_papers_study(fresh: Path) -> None:
    check_grid(planned(fresh))


def test_the_study_as_released(fresh: Path) -> None:
    preset = ["config/config.yaml", "config/presets/as-released.yaml"]
    check_grid(planned(fresh, "--configfile", *preset, "--cores", "1"))
