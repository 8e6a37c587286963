"""Checkpoints to resume from, and requests to stop."""

import json
import os
import signal
from pathlib import Path

import pytest

from mixmerge.sft import resume
from mixmerge.sft.resume import (
    Preempted,
    StopRequest,
    best_step,
    keep_checkpoint,
    last_checkpoint,
    listening,
)
from mixmerge.sft.stage import requeue, spans


def save(trainer: Path, step: int, losses: dict[int, float], keep_best: bool = True) -> None:
    """What the Trainer leaves: weights, optimiser states, its log."""
    checkpoint = trainer / "partial" / f"checkpoint-{step}"
    (checkpoint / f"global_step{step}").mkdir(parents=True)
    (checkpoint / f"global_step{step}" / "states.pt").touch()
    for name in ("model.safetensors", "config.json", "optimizer.pt"):
        (checkpoint / name).touch()
    log = [{"step": at, "eval_loss": loss} for at, loss in losses.items() if at <= step]
    (checkpoint / "trainer_state.json").write_text(json.dumps({"log_history": log}))
    keep_checkpoint(checkpoint, keep_best)


def test_the_last_checkpoint_stays_whole_and_of_the_best_its_weights(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path) is None
    losses = {2: 1.0, 4: 0.5, 6: 0.7, 10: 0.6}
    for step in losses:
        save(tmp_path, step, losses)
        assert last_checkpoint(tmp_path) == tmp_path / f"checkpoint-{step}"  # by number, not text
    assert {path.name for path in tmp_path.glob("*-*")} == {"checkpoint-4", "checkpoint-10"}
    kept = sorted(p.name for p in (tmp_path / "checkpoint-4").iterdir())
    assert kept == ["config.json", "model.safetensors"]
    assert (tmp_path / "checkpoint-10/global_step10/states.pt").exists()
    save(tmp_path, 10, losses, keep_best=False)
    assert [path.name for path in tmp_path.glob("*-*")] == ["checkpoint-10"]


def test_the_best_step_is_the_earliest_lowest() -> None:
    log = [{"step": s, "eval_loss": v} for s, v in ((1, 0.9), (2, 0.4), (3, 0.4), (4, 0.6))]
    assert best_step([{"step": 1, "loss": 0.1}, *log]) == 2
    assert best_step([{"step": 1, "loss": 0.1}]) is None


@pytest.mark.parametrize("number", resume.SIGNALS)
def test_before_there_is_work_a_request_ends_the_process(
    tmp_path: Path, number: signal.Signals
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Preempted) as stop, listening(StopRequest(tmp_path)):
        os.kill(os.getpid(), number)
    assert stop.value.code == 75
    assert signal.getsignal(number) is before


def test_a_request_is_seen_by_all_and_a_second_one_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    request, other = StopRequest(tmp_path), StopRequest(tmp_path)
    request.begin()
    with listening(request):
        assert not request.asked and request.signal == ""
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)  # an echo
        assert request.asked and other.asked
        assert request.signal == other.signal == "SIGUSR1"
        monkeypatch.setattr(resume, "_ECHO", 0.0)
        with pytest.raises(SystemExit) as stop:
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop.value.code == 128 + signal.SIGTERM
    text = capfd.readouterr().err
    assert text.count("stopping as soon as") == 1
    assert "SIGTERM again: stopped without saving" in text
    with pytest.raises(Preempted):  # heard while the files of an earlier call were still there
        request.forget()
    other.forget()
    assert not other.asked


def test_publishing_goes_on_whatever_is_asked(tmp_path: Path) -> None:
    request = StopRequest(tmp_path / "deleted")
    request.finishing = True
    with listening(request):
        os.kill(os.getpid(), signal.SIGUSR1)
    assert not request.asked


def test_a_rank_passes_a_request_on_or_ends_where_there_is_no_work(tmp_path: Path) -> None:
    """Slurm asks every process of a job."""
    request = StopRequest(tmp_path)
    child = os.fork()
    if not child:
        request.pass_on(signal.SIGTERM)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 75
    request.begin()
    request.pass_on(signal.SIGTERM)
    assert StopRequest(tmp_path).signal == "SIGTERM"


def test_elsewhere_than_in_slurm_no_job_spans_nodes_or_is_requeued(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert not spans(2)
    assert not requeue()
