"""Preflight on a machine (disk, GPUs, sandbox, software, nltk's data) and on a Slurm cluster."""

import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mixmerge.artifacts.manifest import write_manifest
from mixmerge.preflight import inputs, machine
from mixmerge.preflight.findings import Area
from mixmerge.resources.schedule import Job, Schedule

Config = dict[str, Any]
Examine = Callable[..., Area]
ROOT = Path(__file__).resolve().parents[2]


def planned(**rules: dict[str, int]) -> Schedule:
    """A plan with one job a rule, given its resources."""
    jobs = [Job(rule, {}, (), (), 1, 0, resources) for rule, resources in rules.items()]
    return Schedule(jobs, {})


def test_room_on_disk(config: Config, examine: Examine) -> None:
    free = os.statvfs(".").f_bavail * os.statvfs(".").f_frsize // 1_000_000

    def disk(megabytes: int) -> Area:
        return examine(machine.check_disk, config, planned(merge={"disk_mb": megabytes}))

    assert "GB free at" in disk(1).checked[0]
    [error] = disk(10**9).errors
    assert "results: results: peak 1,000,000.0 GB" in error and "merged=1" in error
    assert "make more room" in disk(int(free * 0.95)).warnings[0]
    assert "there is no plan" in examine(machine.check_disk, config, None).unchecked[0]
    config["results"] = "own.jsonl/results"
    assert "own.jsonl cannot be written to; name another directory" in disk(1).errors[0]


def test_models_too_large_for_a_gpu(config: Config, examine: Examine) -> None:
    config["hardware"] = {"device": "gpu", "gpu_memory_gb": 24}
    config["models"]["tied"]["parameters"] = 70_000_000_000
    config["models"]["untied"]["parameters"] = 100_000
    area = examine(machine.check_gpus, config, executor="slurm")
    [training], [generation] = area.warnings, area.errors
    assert "models.tied.sft, training set codegen: processes: 1 GPU of 24 GB may not" in training
    assert "models.tied: its weights take 140 GB" in generation and "24 GB" in generation
    assert "jobs run with slurm" in area.unchecked[0]


def test_gpus_of_this_machine(
    config: Config, examine: Examine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config["hardware"] = {"device": "gpu", "gpu_memory_gb": 80}
    config["sft"]["processes"] = 4
    for model in config["models"].values():
        model["parameters"] = 100_000
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("PATH", str(tmp_path / "programs"))

    def gpus() -> Area:
        # Whichever build of torch is installed here: jobs bring their own.
        return examine(machine.check_gpus, config, deployed=True)

    errors = gpus().errors
    assert len(errors) == 2
    assert "sft.processes: 4 GPUs for training set codegen, but this machine shows 2" in errors[0]
    config["sft"]["processes"] = 1
    assert not gpus().errors and "nvidia-smi does not say" in gpus().unchecked[0]
    driver = tmp_path / "programs/nvidia-smi"
    driver.parent.mkdir()
    # As it answers for two H100, and for two cards of 24 GB.
    driver.write_text("#!/bin/sh\necho 81559; echo 81559\n")
    driver.chmod(0o755)
    assert not gpus().errors and "2 GPUs of this machine, 86 GB each" in gpus().checked
    driver.write_text("#!/bin/sh\necho 24564; echo 24564\n")
    [error] = gpus().errors
    assert "hardware.gpu_memory_gb: 80, but this machine's GPUs have 26 GB; write 25" in error
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "hardware.device: 'gpu', but this machine shows none" in gpus().warnings[0]
    config["hardware"]["device"] = "cpu"
    assert not gpus().warnings


def test_the_sandbox_is_really_tried(
    config: Config, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    area = examine(machine.check_sandbox, config)
    assert not area.errors and any("works here" in text for text in area.checked)
    monkeypatch.setenv("JUDGEBOX_BACKEND", "docker")
    assert "JUDGEBOX_BACKEND=docker" in examine(machine.check_sandbox, config).errors[0]
    config["suites"]["other"] = {**config["suites"]["summaries"], "task": "codegen"}
    del config["suites"]["own"]
    area = examine(machine.check_sandbox, config)
    assert area.checked == ["no suite runs generated programs"]


def test_software_against_the_lock(config: Config, examine: Examine, tmp_path: Path) -> None:
    assert not examine(machine.check_software, config).errors
    lock = tmp_path / "envs/requirements.lock"
    lock.parent.mkdir()
    lock.write_text("numpy==0.0.1\nno-such-thing==1.0\nPyYAML==0.1 # both ways to spell it\n")
    area = examine(machine.check_software, config, repository=tmp_path)
    [error], [warning] = area.errors, area.warnings
    assert "no-such-thing==1.0 is not installed" in error and "make setup" in error
    assert "numpy" in warning and "(lock: 0.0.1)" in warning and "pyyaml" in warning
    lock.unlink()
    assert examine(machine.check_software, config, repository=tmp_path).unchecked


def test_data_for_meteor(
    config: Config, examine: Examine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """WordNet alone is not enough, and a machine without net should know that now."""

    def data() -> Area:
        return examine(inputs.check_nltk_data, config)

    assert data().checked == ["no suite is scored with METEOR"]
    config["suites"]["summaries"]["metrics"] = ["meteor"]
    shared = tmp_path / "shared"
    monkeypatch.setattr("nltk.data.path", [str(shared)])
    assert len(data().unchecked) == 2
    (shared / "corpora/wordnet").mkdir(parents=True)
    assert data().checked == [f"wordnet: {shared / 'corpora/wordnet'} (for summaries)"]
    assert data().unchecked[0].startswith("punkt_tab: not here; will be fetched from nltk's server")
    (shared / "tokenizers").mkdir()
    (shared / "tokenizers/punkt_tab.zip").write_text("broken")
    assert len(data().unchecked) == 1 and not data().errors
    with zipfile.ZipFile(shared / "tokenizers/punkt_tab.zip", "w") as file:
        file.writestr("punkt_tab/english/x", "x")
    assert not data().unchecked and len(data().checked) == 2

    words = Path("results/nltk_data/words")
    words.parent.mkdir(parents=True)
    words.write_text("ab")
    write_manifest(words.parent, "nltk_data")
    assert data().checked == ["results/nltk_data"]
    words.write_text("ac")
    assert "words: its SHA-256 is" in data().errors[0]


def test_a_check_that_fails_hides_no_other(script: dict[str, Any]) -> None:
    area = script["examine"]("data", lambda area: 1 / 0)
    assert "data: could not be checked (ZeroDivisionError: division by zero)" in area.errors[0]


SINFO = """\
cpu|up|infinite|64000|(null)
cpu|up|infinite|128000+|(null)
gpu|up|1-00:00:00|512000|gpu:h100:4(S:0-1)
short|up|30:00|64000|gpu:2,mps:200
old|drain|1:00:00|64000|(null)
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A login node: sinfo, which prints a file, and sbatch, which must not be called."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "answer").write_text(SINFO)
    (folder / "sinfo").write_text(f"#!/bin/sh\nexec /bin/cat {folder}/answer\n")
    (folder / "sbatch").write_text("#!/bin/sh\nexit 9\n")
    for name in ("sinfo", "sbatch"):
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def cluster(config: Config, examine: Examine, programs: Path) -> Callable[..., Area]:
    """The cluster's area for a plan with these jobs, under a profile like ours."""
    profile = {"executor": "slurm", "partition": "cpu", "gpu_partition": "gpu"}
    return lambda **rules: examine(machine.check_cluster, config, planned(**rules), **profile)


def test_jobs_against_the_partitions(cluster: Callable[..., Area]) -> None:
    area = cluster(
        sft={"runtime": 1440, "mem_mb": 512000, "gpu": 4},
        score={"runtime": 10**5, "mem_mb": 128000},
        snapshot={"runtime": 10**5, "mem_mb": 10**6},  # it runs on the login node
    )
    assert not area.errors and area.checked
    for most, words in (
        ({"runtime": 1441, "gpu": 1}, "hardware.longest_hours: rule sft .* set longest_hours: 24"),
        ({"runtime": 9, "gpu": 1, "mem_mb": 512001}, "512,001 MB .* has 512,000"),
        ({"runtime": 9, "gpu_count": 8}, "8 GPUs on a node, its nodes have 4"),
        ({"runtime": 9, "mem_mb": 128001}, "partition 'cpu'.* has 128,000"),
    ):
        [error] = cluster(sft=most).errors
        assert re.search(words, error)
    # Over enough nodes they fit.
    assert not cluster(sft={"runtime": 9, "gpu_count": 8, "nodes": 2}).errors


def test_partitions_that_are_not_there(cluster: Callable[..., Area], programs: Path) -> None:
    answer = "cpu|drain|infinite|64000|(null)\nbig|up|infinite|64000|(null)\n"
    (programs / "answer").write_text(answer)
    default, gpu = cluster().errors
    assert "slurm_partition: partition 'cpu' is not up" in default
    assert "gpu_job_slurm_partition: Slurm has no partition 'gpu'; it has big, cpu" in gpu
    (programs / "sinfo").write_text("#!/bin/sh\nexit 1\n")
    area = cluster()
    assert not area.errors and "sinfo gave no answer" in area.unchecked[0]
    (programs / "sbatch").unlink()
    assert "run on a login node" in cluster().errors[0]


def test_time_limits() -> None:
    limits = {"infinite": float("inf"), "30:00": 30, "90": 90, "2:00:00": 120}
    limits |= {"1-00:00:00": 1440, "2-12": 3600, "1-01:30": 1530}
    assert {limit: machine.minutes(limit) for limit in limits} == limits


def test_local_rules_are_those_of_the_workflow() -> None:
    found = set()
    for file in (ROOT / "rules").glob("*.smk"):
        for block in re.split(r"^rule ", file.read_text(), flags=re.MULTILINE)[1:]:
            if re.search(r"^ {4}localrule: True", block, re.MULTILINE):
                found.add(block.partition(":")[0])
    assert found - {"preflight", "verify"} == machine.LOCAL_RULES
