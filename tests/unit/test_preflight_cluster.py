"""Preflight of a cluster: what Slurm says of itself against what the jobs will ask for."""

import re
from pathlib import Path
from typing import Any

import pytest

import preflight_material as material
from mixmerge.preflight import cluster
from mixmerge.preflight.finding import Area
from mixmerge.resources.gpus import GpuRequest
from preflight_material import context, only, planned

Config = dict[str, Any]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(tmp_path)
    return material.sound(tmp_path)


SINFO = """\
cpu|up|infinite|64000|(null)
cpu|up|infinite|128000+|(null)
gpu|up|1-00:00:00|512000|gpu:h100:4(S:0-1)
short|up|30:00|64000|gpu:2,mps:200
old|drain|1:00:00|64000|(null)
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A login node: sinfo, which prints a file, and sbatch, which must not be called."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "answer").write_text(SINFO)
    (programs / "sinfo").write_text(f"#!/bin/sh\nexec cat {programs}/answer\n")
    (programs / "sbatch").write_text("#!/bin/sh\nexit 9\n")
    for name in ("sinfo", "sbatch"):
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return programs


def on_slurm(config: Config, **most: dict[str, int]) -> Area:
    """The cluster's area for a plan with these largest jobs, under a profile like ours."""
    words = {"slurm_partition": "cpu", "gpu_job_slurm_partition": "gpu"}
    empty = dict.fromkeys(("runtime", "mem_mb", "gpu", "gpu_count", "nodes"), 0)
    rules = {rule: empty | asked for rule, asked in most.items()}
    return cluster.check(
        context(
            config,
            executor="slurm",
            words=words,
            dialect=GpuRequest(words),
            planned=planned(rules=rules),
        )
    )


def test_jobs_within_the_partitions(config: Config, slurm: Path) -> None:
    area = on_slurm(
        config,
        sft={"runtime": 1440, "mem_mb": 512000, "gpu": 4},
        score={"runtime": 10**5, "mem_mb": 128000},
        # It runs on the login node.
        snapshot={"runtime": 10**5, "mem_mb": 10**6},
    )
    assert not area.findings and area.result == "ok"


@pytest.mark.parametrize(
    ("most", "words"),
    [
        ({"runtime": 1441, "gpu": 1}, ["hardware.longest_hours: rule sft will ask", "hours: 24"]),
        ({"runtime": 9, "gpu": 1, "mem_mb": 512001}, ["512,001 MB", "has 512,000"]),
        ({"runtime": 9, "gpu_count": 8}, ["8 GPUs on a node, its nodes have 4"]),
        ({"runtime": 9, "mem_mb": 128001}, ["partition 'cpu'", "has 128,000"]),
    ],
)
def test_jobs_that_no_node_would_take(
    config: Config, slurm: Path, most: dict[str, int], words: list[str]
) -> None:
    found = only(on_slurm(config, sft=most))
    for word in words:
        assert word in found
    # Over enough nodes they fit.
    if "gpu_count" in most:
        assert not on_slurm(config, sft={**most, "nodes": 2}).findings


def test_partitions_that_are_not_there(config: Config, slurm: Path) -> None:
    (slurm / "answer").write_text("cpu|drain|infinite|64000|(null)\nbig|up|infinite|64000|(null)\n")
    texts = [finding.text for finding in on_slurm(config).findings]
    assert len(texts) == 2
    assert "slurm_partition: partition 'cpu' is not up" in texts[0]
    assert "gpu_job_slurm_partition: Slurm has no partition 'gpu'; it has big, cpu" in texts[1]


def test_a_slurm_that_does_not_answer(config: Config, slurm: Path) -> None:
    (slurm / "sinfo").write_text("#!/bin/sh\nexit 1\n")
    area = on_slurm(config)
    assert not area.findings and "sinfo gave no answer" in area.unchecked[0]
    (slurm / "sbatch").unlink()
    if not any(Path(folder, "sbatch").exists() for folder in ("/usr/bin", "/bin")):
        assert "run on a login node" in only(on_slurm(config))


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("infinite", None),
        ("30:00", 30),
        ("90", 90),
        ("2:00:00", 120),
        ("1-00:00:00", 1440),
        ("2-12", 3600),
        ("1-01:30", 1530),
    ],
)
def test_time_limits(limit: str, expected: int | None) -> None:
    assert cluster.minutes(limit) == expected


def test_local_rules_are_those_of_the_workflow() -> None:
    found = set()
    for file in (material.ROOT / "rules").glob("*.smk"):
        for block in re.split(r"^rule ", file.read_text(), flags=re.MULTILINE)[1:]:
            if re.search(r"^ {4}localrule: True", block, re.MULTILINE):
                found.add(block.partition(":")[0])
    assert found - {"preflight", "verify"} == cluster.LOCAL
