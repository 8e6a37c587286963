"""DeepSpeed on CPU in two processes, for real: stages, kills and resumptions, mistakes.

Each run is the rule's own script in a process of its own, as Snakemake starts it.
"""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mixmerge.artifacts.manifest import write_manifest
from mixmerge.core.io import read_json
from mixmerge.sft.job import Job
from mixmerge.sft.stage import fine_tune
from model_table.tiny import write_model

pytestmark = pytest.mark.long
TWO: dict[str, Any] = {"processes": 2, "gradient_accumulation": 1}
SAVING: dict[str, Any] = {**TWO, "zero_stage": 2, "save_steps": 2, "epochs": 3.0}


@pytest.fixture(scope="module")
def calm(run: Callable[..., Any]) -> Path:
    """What an undisturbed run publishes."""
    undisturbed = run("calm", **SAVING)
    undisturbed.ends_with(0)
    out: Path = undisturbed.out
    return out


def losses(out: Path, which: str) -> list[float]:
    return [entry["loss"] for entry in read_json(out / "training.json")[which]]


def test_two_processes_stopped_and_killed_end_with_the_same_bytes(
    run: Callable[..., Any], calm: Path
) -> None:
    rough = run("rough", **SAVING)
    # Only the launcher gets the signal.
    assert rough.interrupt(signal.SIGUSR1, rough.stepped) == 75, rough.log.read_text()[-3000:]
    text = rough.log.read_text()
    assert "training stopped by SIGUSR1, saved after step" in text
    assert "Traceback" not in text and "error" not in text.lower()
    step = rough.job.step
    assert step and not rough.job.is_finished
    killed = rough.interrupt(signal.SIGKILL, lambda: rough.job.step > step, to="group")
    assert killed == -signal.SIGKILL
    assert f"resuming after step {step}" in rough.log.read_text()
    assert not rough.out.exists()
    # What a kill in the middle of a save leaves behind.
    half = rough.job.trainer / "partial/checkpoint-99"
    half.mkdir(parents=True)
    (half / "model.safetensors").write_bytes(b"half")
    rough.ends_with(0)
    for name in ("model.safetensors", "manifest.json", "training.json"):
        assert (rough.out / name).read_bytes() == (calm / name).read_bytes()


def test_all_stages_learn_what_one_process_learns_without_deepspeed(
    run: Callable[..., Any], job: Callable[..., Job], tmp_path: Path, calm: Path
) -> None:
    """PATH is empty: nothing may need gcc, ninja or any other program."""
    reference = job(tmp_path, epochs=3.0)
    fine_tune(reference)
    theirs = load_file(reference.out / "model.safetensors")
    outs = [calm]
    for stage in (1, 3):
        bare = run(f"stage-{stage}", **{**SAVING, "zero_stage": stage})
        bare.environment |= {"PATH": "/nonexistent"}
        bare.ends_with(0)
        outs.append(bare.out)
    for out in outs:
        for which in ("train", "validation"):
            # The effective batch is the same, and its loss a mean over all its tokens.
            assert losses(out, which) == pytest.approx(losses(reference.out, which), abs=1e-4)
        for name, tensor in load_file(out / "model.safetensors").items():
            torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=2e-3)


def test_samples_computed_apart_take_as_many_passes_in_all_processes(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    """GPT-OSS has no kernel for packed rows; under ZeRO-3 another number of passes would hang."""
    write_model(tmp_path / "base", "gpt_oss")
    write_manifest(tmp_path / "base", "checkpoint")
    runs = [run("alone", max_steps=3), run("apart", **TWO, zero_stage=3, max_steps=3)]
    for each in runs:
        each.command[each.command.index("--base") + 1] = str(tmp_path / "base")
        assert "samples of packed rows apart" in each.ends_with(0)
    for which in ("train", "validation"):
        alone, apart = (losses(each.out, which) for each in runs)
        assert apart == pytest.approx(alone, abs=1e-4)


def test_a_rank_s_mistake_is_told_once_without_a_traceback(run: Callable[..., Any]) -> None:
    diverged = run("diverged", **TWO, learning_rate=1e30, warmup_ratio=0.0)
    text = diverged.ends_with(1)
    assert text.count("error: training loss is") == 1
    assert "Traceback" not in text
    diverged.wait_for_workers()


def test_two_processes_end_at_once_while_they_load(run: Callable[..., Any]) -> None:
    loading = run("loading", **TWO)
    assert loading.interrupt(signal.SIGTERM, lambda: len(loading.workers()) == 2) == 75
    assert "Traceback" not in loading.log.read_text()
    assert loading.job.last is None


def test_a_lost_rank_takes_the_others_with_it(run: Callable[..., Any]) -> None:
    """SIGKILL, as by the kernel's out-of-memory killer."""
    lost = run("lost", **TWO, epochs=500.0)
    assert lost.interrupt(signal.SIGKILL, lost.stepped, to="rank") == 1
    assert "ended with exit code -9" in lost.log.read_text()
