"""The plans of the shipped studies, nothing made yet: their jobs and what these ask for."""

import copy
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.workspace import ROOT, Workspace, planned_jobs

CASES = yaml.safe_load(Path(__file__).with_name("plans.yaml").read_text("utf-8"))

#: Jobs that run a model; all others get by with a processor.
GPU = {"sft", "generate", "pretrain"}
NAMES = {"mem_mb", "disk_mb", "kept_mb", "runtime", "expected_s"}


def planned(
    tmp_path: Path, config: str, *arguments: str, **environment: str
) -> list[dict[str, Any]]:
    """Each job of a dry run of nothing made yet, without a hub to ask."""
    for name in ("resources", "envs"):
        (tmp_path / name).symlink_to(ROOT / name)
    options = ["--configfile", str(ROOT / "config" / config), "--cores", "8", *arguments]
    home = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    return planned_jobs(tmp_path, *options, **home, **environment)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "counts"),
    CASES["grids"],
)
def test_the_grid_of_a_shipped_study(tmp_path: Path, config: str, counts: dict[str, int]) -> None:
    """Each job says what it needs; the demo's ask for no GPU even where there are some."""
    found = planned(tmp_path, config, "--", "all", CUDA_VISIBLE_DEVICES="0,1,2,3")
    rules = [job["rule"] for job in found]
    assert {rule: rules.count(rule) for rule in counts} == counts
    for job in found:
        resources = job["resources"]
        assert set(resources) >= NAMES, job
        assert ("gpu" in resources) == (job["rule"] in GPU and config != "demo.yaml"), job
        assert resources["mem_mb"] >= 600 and 0 < resources["kept_mb"] <= resources["disk_mb"]
        assert resources["runtime"] >= max(10, 1.5 * resources["expected_s"] / 60)
    if config == "config.yaml":
        by_name = {(job["rule"], *job["wildcards"].values()): job["resources"] for job in found}
        for model, task, hours in (
            ("qwen2.5-coder-1.5b", "codegen", 4),
            ("deepseek-coder-7b", "codesum", 20),
        ):
            sft = by_name["sft", model, f"sft-{task}-p100"]
            assert (sft["gpu"], sft["processes"], sft["expected_s"]) == (4, 4, hours * 3600)
        assert {r["gpu"] for (rule, *_), r in by_name.items() if rule == "generate"} == {1}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "gpus", "expected"),
    [
        ((), "0,1", {"gpu": 2}),  # a machine's own GPUs bound what its jobs may take at once
        (("--resources", "gpu=3"), "0,1", {"gpu": 3}),  # the user knows better
        (  # no GPUs: they run on the CPU, unbounded
            ("--config", "hardware={longest_hours: 5, sft_hours: {small: 8}}"),
            "",
            {"gpu": 4, "expected_s": 2 * 3600, "runtime": 185},
        ),
    ],
)
def test_machine_and_command_line_decide_what_a_job_may_take(
    tmp_path: Path, options: tuple[str, ...], gpus: str, expected: dict[str, int]
) -> None:
    target = "results/paper/checkpoints/qwen2.5-coder-1.5b/sft-codegen-p25/manifest.json"
    found = planned(tmp_path, "config.yaml", *options, "--", target, CUDA_VISIBLE_DEVICES=gpus)
    [sft] = [job["resources"] for job in found if job["rule"] == "sft"]
    assert {name: sft[name] for name in expected} == expected and sft["processes"] == 4


@pytest.fixture
def workspace(tmp_path: Path, shrunken: dict[str, Any]) -> Workspace:
    workspace = Workspace(tmp_path)
    workspace.write_config(shrunken)
    return workspace


@pytest.mark.slow
@pytest.mark.parametrize("target", ["all_tables", "all_figures"])
def test_targets_stand_alone(workspace: Workspace, target: str) -> None:
    found = workspace.planned(target)
    assert found["sft"] == 3
    assert ("figures" in found) == (target == "all_figures")
    assert ("tables" in found) == (target == "all_tables")


@pytest.mark.slow
def test_wordnet_and_rows_to_compare_with_only_where_they_are_used(
    workspace: Workspace, shrunken: dict[str, Any]
) -> None:
    target = "results/shrunken/scores/qwen2-small/mix-p100/manifest.json"
    rules = ("nltk_data", "hold_out", "score")
    found = workspace.planned("--", target)
    assert [found[rule] for rule in rules] == [1, 4, 1]
    config = copy.deepcopy(shrunken)
    for suite in config["suites"].values():
        if suite["kind"] == "summary":
            suite["metrics"] = ["bleu4", "rouge_l"]
    config["data"]["decontamination"] = {"enabled": False}
    workspace.write_config(config)
    found = workspace.planned("--", target)
    assert [found.get(rule) for rule in rules] == [None, 2, 1]


@pytest.mark.slow
def test_wildcards_are_closed(workspace: Workspace) -> None:
    missing = "results/shrunken/checkpoints/qwen2-small/ties-w0.31/manifest.json"
    result = workspace.snakemake("--dry-run", missing)
    assert result.returncode != 0
    assert "No rule to produce" in result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("device", "expected"), [("cpu", ""), ("gpu", "0,1")])
def test_jobs_see_no_gpu_where_the_device_is_the_cpu(
    workspace: Workspace,
    shrunken: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    expected: str,
) -> None:
    workspace.write_config({**shrunken, "hardware": {"device": device}})
    # Each job's bash runs this first, and at its end writes what its programs saw.
    seen, traps = workspace.path / "seen", workspace.path / "traps.sh"
    traps.write_text(f"trap 'echo \"<$CUDA_VISIBLE_DEVICES>\" >> {seen}' EXIT\n")
    monkeypatch.setenv("BASH_ENV", str(traps))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    done = workspace.snakemake("--", "results/shrunken/recipes/qwen2-small/ties-w0.3.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert seen.read_text().splitlines() == [f"<{expected}>"]


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
