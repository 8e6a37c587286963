"""DeepSpeed on CPU, for real: every stage, two processes, kills and resumptions.

Each run is the rule's own script in a process of its own, as Snakemake starts it.
"""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mixmerge.core.io import read_json
from mixmerge.sft.resume import last_complete, step_of

long = pytest.mark.long
TWO: dict[str, Any] = {"processes": 2, "gradient_accumulation": 1}


def same(first: Path, second: Path) -> None:
    for name in ("model.safetensors", "manifest.json", "training.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def losses(out: Path, which: str) -> list[float]:
    return [entry["loss"] for entry in read_json(out / "training.json")[which]]


@pytest.mark.parametrize(
    "stage", [pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=long)]
)
def test_two_processes_killed_and_resumed_end_with_the_same_bytes(
    run: Callable[..., Any], stage: int
) -> None:
    settings = {**TWO, "save_steps": 2, "zero_stage": stage}
    calm, rough = run(f"calm-{stage}", **settings), run(f"rough-{stage}", **settings)
    assert rough.interrupt(signal.SIGKILL, rough.saved, to="group") == -signal.SIGKILL
    assert not rough.out.exists()
    # What a kill in the middle of a save leaves behind.
    half = rough.scratch / "trainer" / "checkpoint-99"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    rough.finish()
    assert "resuming after step" in rough.log.read_text()
    same(rough.out, calm.finish())


@long
def test_all_stages_and_two_processes_learn_what_one_process_learns(
    run: Callable[..., Any],
) -> None:
    """One process a stage, PATH empty: nothing may need gcc, ninja or any other program."""
    reference = run("reference").finish()
    theirs = load_file(reference / "model.safetensors")
    for stage in (0, 1, 2, 3):
        bare = run(f"stage-{stage}", zero_stage=stage)
        bare.environment |= {"PATH": "/nonexistent"}
        out = bare.finish()
        assert losses(out, "train") == pytest.approx(losses(reference, "train"), abs=1e-4)
        for name, tensor in load_file(out / "model.safetensors").items():
            torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=2e-3)
    # The effective batch is the same, and its loss a mean over all its tokens.
    two = run("two", **TWO).finish()
    for which in ("train", "validation"):
        assert losses(two, which) == pytest.approx(losses(reference, which), abs=1e-4)


@long
def test_random_state_is_restored_at_the_end_of_an_epoch(run: Callable[..., Any]) -> None:
    """LoRA's dropout draws in each step; the first save falls on the end of the first epoch."""
    settings = {"lora": {"rank": 4, "dropout": 0.2}, "precision": "bf16"}
    calm, rough = run("calm-lora", **settings), run("rough-lora", **settings)
    rough.interrupt(signal.SIGKILL, rough.saved, to="group")
    same(rough.finish(), calm.finish())


@long
def test_a_rank_s_mistake_is_told_once_without_a_traceback(run: Callable[..., Any]) -> None:
    diverged = run("diverged", **TWO, learning_rate=1e30, warmup_ratio=0.0)
    assert diverged.start().wait(timeout=300) == 1
    text = diverged.log.read_text()
    assert text.count("error: training loss is") == 1
    assert "Traceback" not in text
    diverged.wait_for_workers()


@long
def test_two_processes_save_together(run: Callable[..., Any]) -> None:
    """Only the launcher gets the signal; what ranks hear themselves is in the unit tests."""
    settings = {**TWO, "zero_stage": 2, "epochs": 8.0}
    rough = run("rough-2", **settings)
    assert rough.interrupt(signal.SIGUSR1, rough.stepped) == 75, rough.log.read_text()[-3000:]
    text = rough.log.read_text()
    assert "training stopped by SIGUSR1, saved after step" in text
    assert "Traceback" not in text and "error" not in text.lower()
    assert not rough.out.exists()
    saved = last_complete(rough.scratch / "trainer")
    assert saved is not None
    assert 0 < step_of(saved) < read_json(saved / "trainer_state.json")["max_steps"]
    rough.finish()
    assert f"resuming after step {step_of(saved)}" in rough.log.read_text()
    same(rough.out, run("calm-2-long", **settings).finish())


@long
def test_two_processes_end_at_once_while_they_load(run: Callable[..., Any]) -> None:
    loading = run("loading", **TWO)
    assert loading.interrupt(signal.SIGTERM, lambda: len(loading.workers()) == 2) == 75
    assert "Traceback" not in loading.log.read_text()
    assert last_complete(loading.scratch / "trainer") is None


@long
def test_a_lost_rank_takes_the_others_with_it(run: Callable[..., Any]) -> None:
    """SIGKILL, as by the kernel's out-of-memory killer; SIGTERM alone no longer ends a rank."""
    lost = run("lost", **TWO, epochs=500.0)
    assert lost.interrupt(signal.SIGKILL, lost.stepped, to="rank") == 1
    assert "ended with exit code -9" in lost.log.read_text()
