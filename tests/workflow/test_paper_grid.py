"""The paper's study, planned from a fresh copy of the repository in which nothing was made yet."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workflow_material import ROOT, jobs

PARTS = ("Snakefile", "rules", "profiles", "config", "src", "workflow", "resources", "envs")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("clone")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, target / part, ignore=ignored)
        else:
            shutil.copyfile(source, target / part)
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
    assert plan["layers"] == 176
    assert plan["updates"] == plan["snapshot"] == 5


def test_the_papers_study(fresh: Path) -> None:
    check_grid(planned(fresh))


def test_the_study_as_released(fresh: Path) -> None:
    preset = ["config/config.yaml", "config/presets/as-released.yaml"]
    check_grid(planned(fresh, "--configfile", *preset, "--cores", "1"))
