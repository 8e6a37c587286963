"""SIGTERM and SIGUSR1 at any moment: saved, exit code 75, and the same bytes as undisturbed."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mixmerge.core.io import read_json
from mixmerge.sft import job as module
from mixmerge.sft import stage
from mixmerge.sft.job import EXIT_CODE, Job, Preempted
from mixmerge.sft.stage import fine_tune
from mixmerge.sft.trainer import Trainer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def calm(study: Path, job: Callable[..., Job]) -> Path:
    """An undisturbed run."""
    fine_tune(job(study / "calm"))
    return study / "calm" / "out"


def finishes_as(made: Job, calm: Path) -> None:
    """The job, run again, ends with the bytes of the undisturbed one."""
    fine_tune(made)
    for name in ("model.safetensors", "manifest.json", "training.json"):
        assert (made.out / name).read_bytes() == (calm / name).read_bytes()


def signal_at(patched: pytest.MonkeyPatch, owner: Any, name: str, call: int = 1) -> None:
    """Send this process SIGUSR1 when a function is called for the given time, before it runs."""
    original = getattr(owner, name)
    calls = []

    def signalling(*arguments: Any, **named: Any) -> Any:
        calls.append(None)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGUSR1)
        return original(*arguments, **named)

    patched.setattr(owner, name, signalling)


def preempted(made: Job, owner: Any, name: str, call: int = 1) -> None:
    """Run a job that gets a signal in the middle."""
    with pytest.MonkeyPatch.context() as patched, pytest.raises(Preempted) as stop:
        signal_at(patched, owner, name, call)
        fine_tune(made)
    assert stop.value.code == EXIT_CODE == 75
    assert not made.out.exists()


# Ten steps; the first of two evaluations is due after step 5.
@pytest.mark.parametrize(
    ("name", "call", "saved"),
    [
        ("on_step_end", 3, 3),  # in a step
        ("on_step_end", 5, 5),  # in a step that an evaluation is due after
        ("evaluate", 1, 5),  # as an evaluation begins
        ("_save_checkpoint", 1, 5),  # while a checkpoint is written
    ],
)
def test_a_signal_costs_no_step_and_changes_no_byte(
    job: Callable[..., Job], tmp_path: Path, calm: Path, name: str, call: int, saved: int
) -> None:
    made = job(tmp_path)
    preempted(made, Trainer, name, call)
    assert made.step == saved
    if (name, call) == ("on_step_end", 5):  # the evaluation is put off a second time
        preempted(made, Trainer, "evaluate")
        assert [path.name for path in made.trainer.glob("checkpoint-*")] == ["checkpoint-5"]
    finishes_as(made, calm)


@pytest.mark.parametrize("name", ["load_encoder", "prepare", "_train"])
def test_before_the_first_step_the_end_comes_at_once(
    job: Callable[..., Job], tmp_path: Path, calm: Path, name: str
) -> None:
    made = job(tmp_path)
    preempted(made, stage, name)
    assert made.last is None
    if name == "_train":
        finishes_as(made, calm)


def test_the_last_evaluation_and_publishing_are_waited_for(
    job: Callable[..., Job], tmp_path: Path, calm: Path
) -> None:
    made = job(tmp_path)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "_ECHO", 0.0)
        signal_at(patched, Trainer, "evaluate", 2)
        signal_at(patched, stage, "publish_run")
        signal_at(patched, Job, "close")
        finishes_as(made, calm)
    assert not made.scratch.exists()


def test_a_crash_before_publishing_costs_no_training(
    job: Callable[..., Job], tmp_path: Path, calm: Path
) -> None:
    def fail(*arguments: Any) -> None:
        raise OSError("disk full, or trained again")

    made = job(tmp_path)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stage, "publish_run", fail)
        with pytest.raises(OSError, match="disk full"):
            fine_tune(made)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stage, "_train", fail)
        finishes_as(made, calm)
    assert read_json(made.out / "provenance.json")["settings"]["resumed"]
    assert not read_json(calm / "provenance.json")["settings"]["resumed"]


def test_random_state_is_restored(job: Callable[..., Job], tmp_path: Path) -> None:
    """LoRA's dropout draws in each step; the save falls on the end of the first epoch."""
    settings = {"lora": {"rank": 4, "dropout": 0.2}, "precision": "bf16", "seed": 4}
    undisturbed = job(tmp_path / "undisturbed", **settings)
    fine_tune(undisturbed)
    made = job(tmp_path / "made", **settings)
    preempted(made, Trainer, "on_step_end", 6)
    finishes_as(made, undisturbed.out)
