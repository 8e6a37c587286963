"""Training in two processes on two Slurm nodes: the bytes of two processes on one, also if stopped.

What training starts from is made on this machine; only rule sft runs in Slurm.
"""

import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from clone import Clone, clone
from lab import Lab

from fixtures.workspace import Workspace

pytestmark = pytest.mark.long

MODEL, VARIANT = "qwen2-small", "sft-codegen-p100"
CHECKPOINT = f"checkpoints/{MODEL}/{VARIANT}"


TARGET = f"results/shrunken/{CHECKPOINT}/manifest.json"


def study(folder: Path, base: dict[str, Any], lab: Lab | None, nodes: int) -> Clone:
    """A study that trains in two processes on one node or two."""
    sft = {**base["sft"], "processes": 2, "nodes": nodes, "zero_stage": 2}
    return clone(folder, {**base, "hardware": {"device": "gpu"}, "sft": sft}, lab)


@pytest.fixture(scope="module")
def here(
    tmp_path_factory: pytest.TempPathFactory, finished: Workspace, shrunken: dict[str, Any]
) -> Clone:
    """Two processes on this machine, without Slurm, from the data and the base of `finished`."""
    made = study(tmp_path_factory.mktemp("two") / "here", shrunken, None, nodes=1)
    for folder in ("results", ".snakemake"):
        shutil.copytree(finished.path / folder, made.path / folder)
    made.snakemake("--cores", "2", TARGET)
    return made


def log(made: Clone) -> str:
    file = made.results / f"logs/sft/{MODEL}/{VARIANT}.log"
    return file.read_text(encoding="utf-8") if file.exists() else ""


def test_two_nodes_train_what_one_does_and_stop_when_asked(
    here: Clone, shrunken: dict[str, Any], lab: Lab, tmp_path: Path
) -> None:
    there = study(tmp_path / "there", shrunken, lab, nodes=2)
    for folder in ("results", ".snakemake"):
        shutil.copytree(here.path / folder, there.path / folder)
    shutil.rmtree(there.results / CHECKPOINT)
    shutil.rmtree(there.results / "logs/sft")
    driver = there.start("--profile", "slurm", TARGET)
    try:
        until = time.monotonic() + 300
        while not re.search(r"train: .*\b[1-9]\d*/", log(there)):
            assert time.monotonic() < until, log(there)
            assert driver.poll() is None, driver.communicate()[0] + log(there)
            time.sleep(0.05)
        (job,) = (job for job in lab.queue() if "rule_sft" in job["comment"])
        assert job["node"] == "n[1-2]"
        lab.call("scancel", "--signal=TERM", job["id"])
        while "training stopped by" not in log(there):
            assert time.monotonic() < until, log(there)
            time.sleep(0.02)
        stopped = log(there)
        output, _ = driver.communicate(timeout=400)
    finally:
        driver.kill()
    assert driver.returncode == 0, output
    assert "exit code 75" in stopped and "Traceback" not in stopped
    step = re.search(r"saved after step (\d+)", stopped)
    assert step and f"resuming after step {step[1]}" in log(there)
    assert not re.search(r"training stopped|no Slurm job of as many", log(there))
    for name in ("model.safetensors", "manifest.json", "training.json"):
        one, two = (made.results / CHECKPOINT / name for made in (here, there))
        assert one.read_bytes() == two.read_bytes(), name
    runs = [row for row in lab.records(there.path) if re.fullmatch(r"\d+", row["JobIDRaw"])]
    mine = [row for row in runs if "rule_sft" in row["Comment"]]
    assert len(mine) == 2
    for row in mine:
        assert row["NodeList"] == "n[1-2]" and "node=2" in row["AllocTRES"]
        assert "gres/gpu=2" in row["AllocTRES"]
