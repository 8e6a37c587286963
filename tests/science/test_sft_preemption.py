"""SIGTERM and SIGUSR1 at any moment: saved, exit code 75, and the same bytes as undisturbed."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

import sft_material as material
from mixmerge.core.io import read_json
from mixmerge.sft import stage
from mixmerge.sft.job import Job
from mixmerge.sft.resume import EXIT_CODE, Preempted, last_complete, list_checkpoints, step_of
from mixmerge.sft.settings import Sft
from mixmerge.sft.stage import fine_tune
from mixmerge.sft.trainer import Schedule, Trainer
from sft_run import Run, weights

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base and a training set, made once."""
    return material.write_study(tmp_path_factory.mktemp("preemption"))


def job(study: Path, name: str, **settings: Any) -> Job:
    return Job(
        base=study / "base",
        data=study / "set",
        out=study / name / "out",
        scratch=study / name / "scratch",
        settings=Sft.model_validate({**material.SETTINGS, **settings}),
        seed=3,
    )


@pytest.fixture(scope="module")
def calm(study: Path) -> Path:
    """An undisturbed run."""
    made = job(study, "calm")
    fine_tune(made)
    return made.out


def same(one: Path, two: Path) -> None:
    assert weights(one) == weights(two)
    for name in ("manifest.json", "training.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


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
    ("owner", "name", "call", "saved"),
    [
        (Schedule, "on_step_end", 3, 3),  # in a step
        (Schedule, "on_step_end", 5, 5),  # in a step that an evaluation is due after
        (Trainer, "evaluate", 1, 5),  # as an evaluation begins
        (Trainer, "_save_checkpoint", 1, 5),  # while a checkpoint is written
    ],
)
def test_a_signal_costs_no_step_and_changes_no_byte(
    study: Path, calm: Path, owner: Any, name: str, call: int, saved: int
) -> None:
    made = job(study, f"{name}-{call}")
    preempted(made, owner, name, call)
    checkpoint = last_complete(made.trainer)
    assert checkpoint is not None and step_of(checkpoint) == saved
    fine_tune(made)
    same(made.out, calm)


def test_the_last_evaluation_is_waited_for(study: Path, calm: Path) -> None:
    made = job(study, "last")
    with pytest.MonkeyPatch.context() as patched:
        signal_at(patched, Trainer, "evaluate", call=2)
        fine_tune(made)
    same(made.out, calm)


def test_an_evaluation_put_off_twice_is_made_in_the_end(study: Path, calm: Path) -> None:
    made = job(study, "twice")
    preempted(made, Schedule, "on_step_end", 5)
    preempted(made, Trainer, "evaluate")
    assert [step_of(path) for path in list_checkpoints(made.trainer)] == [5]
    fine_tune(made)
    same(made.out, calm)


@pytest.mark.parametrize("name", ["load_encoder", "prepare", "train"])
def test_before_the_first_step_the_end_comes_at_once(study: Path, calm: Path, name: str) -> None:
    made = job(study, f"early-{name}")
    preempted(made, stage, name)
    assert last_complete(made.trainer) is None
    fine_tune(made)
    same(made.out, calm)


def test_publishing_is_finished(study: Path, calm: Path) -> None:
    made = job(study, "publishing")
    with pytest.MonkeyPatch.context() as patched:
        signal_at(patched, stage, "publish")
        signal_at(patched, stage, "close_job")
        fine_tune(made)
    same(made.out, calm)
    assert not made.scratch.exists()


def test_two_processes_save_together(root: Path, study: Path) -> None:
    """Only the launcher gets the signal; what ranks hear themselves is in the unit tests."""
    settings: dict[str, Any] = {
        "processes": 2, "gradient_accumulation": 1, "zero_stage": 2, "epochs": 8.0,
    }  # fmt: skip
    rough = Run(root, study, "rough-2", **settings)
    assert rough.ask(signal.SIGUSR1, rough.stepped) == 75, rough.log.read_text()[-3000:]
    text = rough.log.read_text()
    assert "training stopped by SIGUSR1, saved after step" in text
    assert "Traceback" not in text and "error" not in text.lower()
    assert not rough.out.exists()
    saved = last_complete(rough.scratch / "trainer")
    assert saved is not None
    assert 0 < step_of(saved) < read_json(saved / "trainer_state.json")["max_steps"]
    rough.finish()
    assert f"resuming after step {step_of(saved)}" in rough.log.read_text()
    calm = Run(root, study, "calm-2", **settings)
    calm.finish()
    same(rough.out, calm.out)


def test_two_processes_end_at_once_while_they_load(root: Path, study: Path) -> None:
    run = Run(root, study, "loading", processes=2, gradient_accumulation=1)
    assert run.ask(signal.SIGTERM, lambda: len(run.workers()) == 2) == 75
    assert "Traceback" not in run.log.read_text()
    assert last_complete(run.scratch / "trainer") is None


def test_a_lost_rank_takes_the_others_with_it(root: Path, study: Path) -> None:
    """SIGKILL, as by the kernel's out-of-memory killer; SIGTERM alone no longer ends a rank."""
    run = Run(root, study, "lost", processes=2, gradient_accumulation=1, epochs=500.0)
    assert run.ask(signal.SIGKILL, run.stepped, rank=True) == 1
    assert "ended with exit code -9" in run.log.read_text()
