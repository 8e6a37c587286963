"""What jobs ask Snakemake for, by dry runs of the paper's study and the demo."""

from pathlib import Path
from typing import Any

import pytest

from fixtures.workspace import ROOT, Workspace, planned_jobs

pytestmark = pytest.mark.slow

#: Jobs that run a model; all others get by with a processor.
GPU = {"sft", "generate", "pretrain"}
NAMES = {"mem_mb", "disk_mb", "kept_mb", "runtime", "expected_s"}


def planned(
    tmp_path: Path, config: str, *arguments: str, **environment: str
) -> list[dict[str, Any]]:
    """Each job of a dry run of nothing made yet."""
    for name in ("resources", "envs"):
        (tmp_path / name).symlink_to(ROOT / name)
    file = str(ROOT / "config" / config)
    return planned_jobs(tmp_path, "--configfile", file, "--cores", "8", *arguments, **environment)


def test_the_papers_jobs(tmp_path: Path) -> None:
    jobs = planned(tmp_path, "config.yaml", "--", "all")
    assert len(jobs) > 900
    for job in jobs:
        resources = job["resources"]
        assert set(resources) >= NAMES, job
        assert ("gpu" in resources) == (job["rule"] in GPU), job
        assert resources["mem_mb"] >= 600
        assert resources["runtime"] >= 10
    by_name = {(j["rule"], *j["wildcards"].values()): j["resources"] for j in jobs}
    small = by_name["sft", "qwen2.5-coder-1.5b", "sft-codegen-p100"]
    assert (small["gpu"], small["processes"], small["expected_s"]) == (4, 4, 4 * 3600)
    large = by_name["sft", "deepseek-coder-7b", "sft-codesum-p100"]
    assert (large["gpu"], large["expected_s"]) == (4, 20 * 3600)
    assert {r["gpu"] for (rule, *_), r in by_name.items() if rule == "generate"} == {1}


def test_the_demos_jobs_ask_for_no_gpu_even_where_there_are_some(tmp_path: Path) -> None:
    jobs = planned(tmp_path, "demo.yaml", "--", "all", CUDA_VISIBLE_DEVICES="0,1")
    assert {job["rule"] for job in jobs} >= GPU
    for job in jobs:
        assert set(job["resources"]) >= NAMES
        assert "gpu" not in job["resources"]


@pytest.mark.parametrize(
    ("given", "gpus", "expected"),
    [
        ((), "0,1", 2),  # a machine's own GPUs bound what its jobs may take at once
        ((), "", 4),  # none: they run on the CPU, unbounded
        (("--resources", "gpu=3"), "0,1", 3),  # the user knows better
    ],
)
def test_visible_gpus_bound_local_jobs(
    tmp_path: Path, given: tuple[str, ...], gpus: str, expected: int
) -> None:
    target = "results/paper/checkpoints/qwen2.5-coder-1.5b/sft-codegen-p25/manifest.json"
    jobs = planned(tmp_path, "config.yaml", *given, "--", target, CUDA_VISIBLE_DEVICES=gpus)
    (sft,) = (job["resources"] for job in jobs if job["rule"] == "sft")
    assert (sft["gpu"], sft["processes"]) == (expected, 4)


def test_hardware_from_the_command_line(tmp_path: Path) -> None:
    target = "results/paper/checkpoints/qwen2.5-coder-1.5b/mix-p100/manifest.json"
    change = "hardware={longest_hours: 5, sft_hours: {small: 8}}"
    jobs = planned(tmp_path, "config.yaml", "--config", change, "--", target)
    (sft,) = (job["resources"] for job in jobs if job["rule"] == "sft")
    assert (sft["expected_s"], sft["runtime"]) == (16 * 3600, 5 * 60)


def test_other_hardware_and_more_workers_rerun_nothing(
    finished: Workspace, shrunken: dict[str, Any], tmp_path: Path
) -> None:
    study = finished.copy_to(tmp_path / "study")
    assert study.planned("all") == {}
    changed = {
        **shrunken,
        "hardware": {"device": "gpu", "gpu_memory_gb": 16, "training_tflops": 1, "disk_mb_s": 1},
        "code_scoring": {"workers": 3},
    }
    study.write_config(changed)
    assert study.planned("all") == {}
    # The same change where it does matter.
    study.write_config({**changed, "code_scoring": {"time_limit_factor": 5.0}})
    assert "score" in study.planned("all")


@pytest.mark.parametrize(("device", "expected"), [("cpu", ""), ("gpu", "0,1")])
def test_jobs_see_no_gpu_where_the_device_is_the_cpu(
    demo_config: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    expected: str,
) -> None:
    study = Workspace(tmp_path)
    study.write_config({**demo_config, "hardware": {"device": device}})
    # Each job's bash runs this first, and at its end writes what its programs saw.
    traps = tmp_path / "traps.sh"
    traps.write_text(f"trap 'echo \"<$CUDA_VISIBLE_DEVICES>\" >> {tmp_path}/seen' EXIT\n")
    monkeypatch.setenv("BASH_ENV", str(traps))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    done = study.snakemake("--", "results/demo/recipes/qwen2-small/dare-w0.3.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "seen").read_text().splitlines() == [f"<{expected}>"]
