"""What holds for every rule, without running one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from workflow_material import ROOT, Workspace


@pytest.fixture
def workspace(tmp_path: Path, demo_config: dict) -> Workspace:
    workspace = Workspace(tmp_path)
    workspace.write_config(demo_config)
    return workspace


def test_the_demo_plans_the_papers_grid(workspace: Workspace) -> None:
    planned = workspace.planned("all")
    assert planned["pretrain"] == 2
    assert planned["sft"] == 14
    assert planned["merge"] == planned["recipe"] == 24
    assert planned["generate"] == planned["score"] == 40
    assert planned["layers"] == 14 and planned["merged_layers"] == 24
    assert planned["winner"] == 8
    assert planned["updates"] == 2


@pytest.mark.parametrize("target", ["all_tables", "all_figures", "all_checkpoints"])
def test_targets_stand_alone(workspace: Workspace, target: str) -> None:
    planned = workspace.planned(target)
    assert planned["sft"] == 14
    assert ("figures" in planned) == (target == "all_figures")
    assert ("tables" in planned) == (target == "all_tables")


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
            if "output:" not in rule and "shell:" not in rule:  # a target that runs nothing
                continue
            wanted = ["log:", "resources:", "**needs(", "message:", "params:", "code="]
            if name != "rule timing":  # it gathers the others' benchmarks
                wanted.append("benchmark:")
            for directive in wanted:
                assert directive in rule, f"{file.name}: {name} has no {directive}"
    assert len((ROOT / "Snakefile").read_text().splitlines()) < 80


def test_lint_and_format_are_clean(workspace: Workspace) -> None:
    lint = workspace.snakemake("--lint")
    assert lint.returncode == 0, lint.stdout + lint.stderr
    command = [sys.executable, "-m", "snakefmt", "--check", "Snakefile", "rules"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
