"""DeepSpeed on CPU, for real: every stage, two processes, kills and resumptions.

Each run is the rule's own script in a process of its own, as Snakemake starts it.
"""

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import sft_material as material
from mixmerge.core.io import read_json
from sft_run import Run, weights

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return material.write_study(tmp_path_factory.mktemp("zero"))


@pytest.mark.parametrize("stage", [2, 3])
def test_two_processes_killed_and_resumed_end_with_the_same_bytes(
    root: Path, study: Path, stage: int
) -> None:
    settings: dict[str, Any] = {"processes": 2, "gradient_accumulation": 1, "save_steps": 2}
    calm = Run(root, study, f"calm-{stage}", zero_stage=stage, **settings)
    rough = Run(root, study, f"rough-{stage}", zero_stage=stage, **settings)
    assert rough.interrupt(signal.SIGKILL, rough.saved) == -signal.SIGKILL
    assert not rough.out.exists()
    # What a kill in the middle of a save leaves behind.
    half = rough.scratch / "trainer" / "checkpoint-99"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    rough.finish()
    assert "resuming after step" in rough.log.read_text()
    calm.finish()
    assert weights(rough.out) == weights(calm.out)
    for name in ("manifest.json", "training.json"):
        assert (rough.out / name).read_bytes() == (calm.out / name).read_bytes()


@pytest.fixture(scope="module")
def reference(root: Path, study: Path) -> Path:
    """One process without DeepSpeed."""
    return Run(root, study, "reference").finish()


def losses(out: Path, which: str) -> list[float]:
    return [entry["loss"] for entry in read_json(out / "training.json")[which]]


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_stages_agree_where_no_compiler_is(
    root: Path, study: Path, reference: Path, stage: int
) -> None:
    """One process, PATH empty: nothing may need gcc, ninja or any other program."""
    run = Run(root, study, f"stage-{stage}", zero_stage=stage)
    run.environment |= {"PATH": "/nonexistent"}
    out = run.finish()
    assert losses(out, "train") == pytest.approx(losses(reference, "train"), abs=1e-4)
    mine, theirs = (load_file(d / "model.safetensors") for d in (out, reference))
    for name, tensor in theirs.items():
        torch.testing.assert_close(mine[name], tensor, rtol=0, atol=2e-3)


def test_two_processes_learn_what_one_learns(root: Path, study: Path, reference: Path) -> None:
    """The effective batch is the same, and its loss a mean over all its tokens."""
    two = Run(root, study, "two", processes=2, gradient_accumulation=1).finish()
    for which in ("train", "validation"):
        assert losses(two, which) == pytest.approx(losses(reference, which), abs=1e-4)


def test_random_state_is_restored_at_the_end_of_an_epoch(root: Path, study: Path) -> None:
    """LoRA's dropout draws in each step; the first save falls on the end of the first epoch."""
    settings = {"lora": {"rank": 4, "dropout": 0.2}, "precision": "bf16"}
    calm = Run(root, study, "calm-lora", **settings)
    rough = Run(root, study, "rough-lora", **settings)
    rough.interrupt(signal.SIGKILL, rough.saved)
    rough.finish()
    calm.finish()
    assert weights(rough.out) == weights(calm.out)


def test_a_rank_s_mistake_is_told_once_without_a_traceback(root: Path, study: Path) -> None:
    run = Run(
        root, study, "diverged", processes=2, gradient_accumulation=1, learning_rate=1e30,
        warmup_ratio=0.0,
    )  # fmt: skip
    assert run.start().wait(timeout=120) == 1
    text = run.log.read_text()
    assert text.count("error: training loss is") == 1
    assert "Traceback" not in text
    run.wait_for_workers()
