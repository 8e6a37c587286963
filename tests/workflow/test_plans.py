"""The plans of the shipped studies, from a copy in which nothing was made yet; rules' hygiene."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from repository import copy_repository

from fixtures.workspace import ROOT, Workspace, jobs


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("clone")
    copy_repository(target)
    return target


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "counts"),
    [
        (
            "",  # the paper's study: sft, merges, then a winner for each strategy of each model
            {"sft": 31, "layers": 31, "merge": 145, "recipe": 145, "merged_layers": 145}
            | {"generate": 181, "score": 181, "winner": 17, "updates": 5, "snapshot": 5},
        ),
        (
            "--configfile config/config.yaml config/presets/as-released.yaml --",
            {"sft": 31, "merge": 145, "generate": 181, "score": 181, "winner": 17},
        ),
        (
            "--configfile config/demo.yaml --",
            {"pretrain": 2, "sft": 14, "layers": 14, "merge": 24, "recipe": 24, "generate": 40}
            | {"merged_layers": 24, "score": 40, "winner": 8, "updates": 2, "tables": 1},
        ),
        (
            "--configfile config/smollm2.yaml --",
            {"dequantise": 1, "fetch": 3, "sft": 7, "merge": 12, "generate": 20, "score": 20},
        ),
    ],
)
def test_the_grid_of_a_shipped_study(fresh: Path, arguments: str, counts: dict[str, int]) -> None:
    """As a user types it, without a hub to ask."""
    result = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "--quiet=rules", *arguments.split(), "all"],
        cwd=fresh,
        env={**os.environ, "NO_COLOR": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": str(fresh / "hf")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    planned = jobs(result.stdout + result.stderr)
    assert {rule: planned.get(rule) for rule in counts} == counts


@pytest.fixture
def workspace(tmp_path: Path, demo_config: dict) -> Workspace:
    workspace = Workspace(tmp_path)
    workspace.write_config(demo_config)
    return workspace


@pytest.mark.slow
@pytest.mark.parametrize("target", ["all_tables", "all_figures", "all_checkpoints"])
def test_targets_stand_alone(workspace: Workspace, target: str) -> None:
    planned = workspace.planned(target)
    assert planned["sft"] == 14
    assert ("figures" in planned) == (target == "all_figures")
    assert ("tables" in planned) == (target == "all_tables")


@pytest.mark.slow
def test_wildcards_are_closed(workspace: Workspace) -> None:
    result = workspace.snakemake(
        "--dry-run", "results/demo/checkpoints/qwen2-small/ties-w0.31/manifest.json"
    )
    assert result.returncode != 0
    assert "No rule to produce" in result.stdout + result.stderr


def test_every_rule_says_where_it_logs_what_it_needs_and_what_it_does() -> None:
    for file in sorted((ROOT / "rules").glob("*.smk")):
        text = file.read_text(encoding="utf-8")
        for rule in re.split(r"\n(?=rule \w+:)", text)[1:]:
            name = rule.split(":")[0]
            if "output:" not in rule:  # a target, or what only looks and prints (handover)
                continue
            wanted = ["log:", "resources:", "**needs(", "message:", "params:", "code="]
            if name != "rule timing":  # it gathers the others' benchmarks
                wanted.append("benchmark:")
            for directive in wanted:
                assert directive in rule, f"{file.name}: {name} has no {directive}"
    assert len((ROOT / "Snakefile").read_text().splitlines()) < 80


@pytest.mark.slow
def test_lint_and_format_are_clean(workspace: Workspace) -> None:
    lint = workspace.snakemake("--lint")
    assert lint.returncode == 0, lint.stdout + lint.stderr
    command = [sys.executable, "-m", "snakefmt", "--check", "Snakefile", "rules"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
