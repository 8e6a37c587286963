"""The plan's text, and its warning about GPUs that are too small."""

from pathlib import Path

import pytest
import yaml

from mixmerge.resources.jobs import Job
from mixmerge.resources.plan import Planned, duration, misfits, rendered
from mixmerge.resources.schedule import CORES, JOBS


def training(model: str) -> Job:
    return Job(
        number=1,
        rule="sft",
        wildcards={"model": model, "variant": "mix-p100"},
        inputs=(),
        outputs=("out",),
        threads=4,
        priority=0,
        resources={"expected_s": 4 * 3600, "gpu": 4, "disk_mb": 90_000, "kept_mb": 3000},
    )


@pytest.mark.parametrize(("memory", "warnings"), [(80, 0), (16, 1)])
def test_one_line_for_a_model_that_does_not_fit(root: Path, memory: int, warnings: int) -> None:
    config = yaml.safe_load((root / "config/config.yaml").read_text(encoding="utf-8"))
    config["hardware"]["gpu_memory_gb"] = memory
    model = "qwen2.5-coder-1.5b"
    found = misfits(Planned([training(model)], {JOBS: 3}, "slurm", config))
    assert len(found) == warnings
    assert all(line.startswith(f"models.{model}: ") and f"{memory} GB" in line for line in found)


def test_text_of_a_plan() -> None:
    text = rendered(Planned([training("m")], {CORES: 8}, "local", {}))
    rows = [line.split() for line in text.splitlines()]
    assert ["train", "1", "16", "16", "4", "h", "00", "min"] in rows
    assert "peak disk      90.0 GB, 0 s after the start (train 90.0 GB); 3.0 GB stay" in text
    assert "4 h 00 min  sft m mix-p100" in text
    assert "--resources gpu=N" in text  # nothing says how many GPUs this machine has
    assert rendered(Planned([], {}, "local", {})).startswith("Nothing to do")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.6, "1 min"),
        (3599, "1 h 00 min"),
        (14_700, "4 h 05 min"),
        (1e6, "278 h"),
    ],
)
def test_lengths_of_time(seconds: float, text: str) -> None:
    assert duration(seconds) == text
