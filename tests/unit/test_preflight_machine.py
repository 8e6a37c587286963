"""Preflight on a machine: disk, GPUs, sandbox, software."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import preflight_material as material
from mixmerge.preflight import machine, plan, software
from mixmerge.preflight.command import look
from preflight_material import context, only, planned

Config = dict[str, Any]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(tmp_path)
    return material.sound(tmp_path)


def test_room_on_disk(config: Config) -> None:
    assert "GB free at" in machine.disk(context(config, planned=planned())).checked[0]
    found = only(machine.disk(context(config, planned=planned(peak_mb=10**9))))
    assert "results: results: peak 1,000,000.0 GB" in found and "merged=1" in found
    free = os.statvfs(".").f_bavail * os.statvfs(".").f_frsize // 1_000_000
    near = machine.disk(context(config, planned=planned(peak_mb=int(free * 0.95))))
    assert "make more room" in only(near, "warning")
    assert "there is no plan" in machine.disk(context(config)).unchecked[0]


def test_results_that_cannot_be_written(config: Config) -> None:
    config["results"] = "own.jsonl/results"
    found = only(machine.disk(context(config, planned=planned())))
    assert "own.jsonl cannot be written to; name another directory" in found


def test_models_too_large_for_a_gpu(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    config["hardware"] = {"device": "gpu", "gpu_memory_gb": 24}
    config["models"]["tied"]["parameters"] = 70_000_000_000
    config["models"]["untied"]["parameters"] = 100_000
    area = machine.gpu(replace(context(config), executor="slurm"))
    assert [finding.level for finding in area.findings] == ["warning", "error"]
    training, generation = (finding.text for finding in area.findings)
    assert "models.tied.sft, training set codegen: processes: 1 GPU of 24 GB may not" in training
    assert "models.tied: its weights take 140 GB" in generation and "24 GB" in generation
    assert "jobs run with slurm" in area.unchecked[0]


def test_gpus_of_this_machine(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    config["hardware"] = {"device": "gpu"}
    config["sft"]["processes"] = 4
    for model in config["models"].values():
        model["parameters"] = 100_000
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    # Whichever build of torch is installed here: jobs bring their own.
    area = machine.gpu(replace(context(config), deployed=True))
    assert [finding.level for finding in area.findings] == ["error", "error"]
    assert "sft.processes: 4 GPUs for training set codegen, but this machine shows 2" in (
        area.findings[0].text
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = only(machine.gpu(context(config)), "warning")
    assert "hardware.device: 'gpu', but this machine shows none" in found
    config["hardware"]["device"] = "cpu"
    assert machine.gpu(context(config)).result == "ok"


def test_memory_of_the_gpus_that_are_here(
    config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The driver's word against the config's, from which training's estimates follow."""
    config["hardware"] = {"device": "gpu", "gpu_memory_gb": 80}
    for model in config["models"].values():
        model["parameters"] = 100_000
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("PATH", str(tmp_path / "programs"))
    area = machine.gpu(replace(context(config), deployed=True))
    assert not area.findings and "nvidia-smi does not say" in area.unchecked[0]
    driver = tmp_path / "programs/nvidia-smi"
    driver.parent.mkdir()
    # As it answers for two H100, and for two cards of 24 GB.
    driver.write_text("#!/bin/sh\necho 81559; echo 81559\n")
    driver.chmod(0o755)
    area = machine.gpu(replace(context(config), deployed=True))
    assert not area.findings and "2 GPUs of this machine, 86 GB each" in area.checked
    driver.write_text("#!/bin/sh\necho 24564; echo 24564\n")
    found = only(machine.gpu(replace(context(config), deployed=True)))
    assert "hardware.gpu_memory_gb: 80, but this machine's GPUs have 26 GB; write 25" in found


def test_a_busy_machine_is_no_error(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan that takes too long says nothing of the study."""
    monkeypatch.setattr(plan, "_PATIENCE", 0.01)
    planning = plan.Planning(["-n"], material.ROOT / "src", Path.cwd())
    areas = {area.name: area for area in look(context(config), [], planning)}
    assert not areas["plan"].findings and "less busy" in areas["plan"].unchecked[0]


def test_the_sandbox_is_really_tried(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    area = machine.sandbox(context(config))
    assert not area.findings and any("works here" in text for text in area.checked)
    monkeypatch.setenv("JUDGEBOX_BACKEND", "docker")
    assert "JUDGEBOX_BACKEND=docker" in only(machine.sandbox(context(config)))
    del config["suites"]["own"]
    config["tasks"]["codegen"]["title"] = "x"
    config["suites"]["other"] = {**config["suites"]["summaries"], "task": "codegen"}
    assert machine.sandbox(context(config)).checked == ["no suite runs generated programs"]


def test_software_against_the_lock(config: Config, tmp_path: Path) -> None:
    assert software.check(context(config)).result in ("ok", "1 warning")
    (tmp_path / "envs").mkdir()
    lock = tmp_path / "envs/requirements.lock"
    lock.write_text("numpy==0.0.1\nno-such-thing==1.0\nPyYAML==0.1 # both ways to spell it\n")
    area = software.check(replace(context(config), repository=tmp_path))
    error, warning = (finding.text for finding in area.findings)
    assert "no-such-thing==1.0 is not installed" in error and "make setup" in error
    assert "numpy" in warning and "(lock: 0.0.1)" in warning and "pyyaml" in warning
    lock.unlink()
    assert software.check(replace(context(config), repository=tmp_path)).result == "not checked"


def test_nothing_heavy_is_imported(config: Config, tmp_path: Path) -> None:
    """A whole preflight but for the plan, in a process of its own."""
    (tmp_path / "config.json").write_text(json.dumps(config))
    program = (
        "import json, sys; sys.path[:0] = sys.argv[1:]; import preflight_material as m\n"
        "areas = m.looked(json.load(open('config.json')))\n"
        "assert not m.errors(areas), m.errors(areas)\n"
        "heavy = {'torch', 'transformers', 'mergekit', 'trl', 'datasets', 'nltk', 'pandas'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    paths = [str(material.ROOT / "tests"), str(material.ROOT / "src")]
    done = subprocess.run(
        [sys.executable, "-c", program, *paths], capture_output=True, text=True, check=False
    )
    assert done.stdout == "[]\n", done.stdout + done.stderr
