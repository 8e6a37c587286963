"""Checkpoints to resume from, and requests to stop, heard by real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mixmerge.sft.launch import requeue, spans
from mixmerge.sft.resume import (
    Preempted,
    best_step,
    is_complete,
    last_complete,
    listening,
    mark_complete,
    prune,
)


def save(trainer: Path, step: int, losses: dict[int, float], complete: bool = True) -> Path:
    """What the Trainer leaves: weights, optimiser states, its log."""
    checkpoint = trainer / f"checkpoint-{step}"
    (checkpoint / f"global_step{step}").mkdir(parents=True)
    (checkpoint / f"global_step{step}" / "states.pt").write_bytes(b"12345678")
    (checkpoint / "model.safetensors").write_bytes(b"1234")
    (checkpoint / "config.json").write_text("{}")
    (checkpoint / "optimizer.pt").write_bytes(b"123")
    log = [{"step": at, "eval_loss": loss} for at, loss in losses.items()]
    (checkpoint / "trainer_state.json").write_text(json.dumps({"log_history": log}))
    if complete:
        mark_complete(checkpoint)
    return checkpoint


def test_a_half_written_checkpoint_is_deleted_not_resumed(tmp_path: Path) -> None:
    whole = save(tmp_path, 9, {9: 1.0})
    half = save(tmp_path, 10, {9: 1.0, 10: 0.9}, complete=False)
    assert last_complete(tmp_path) == whole
    assert not half.exists()


def test_a_truncated_or_missing_file_makes_it_incomplete(tmp_path: Path) -> None:
    for name in ("optimizer.pt", "global_step2/states.pt"):
        checkpoint = save(tmp_path / name.replace("/", "-"), 2, {})
        assert is_complete(checkpoint)
        (checkpoint / name).write_bytes(b"1")
        assert not is_complete(checkpoint)
        (checkpoint / name).unlink()
        assert not is_complete(checkpoint)
    assert last_complete(tmp_path / "nowhere") is None


def test_steps_are_numbers_not_text(tmp_path: Path) -> None:
    for step in (2, 10, 9):
        save(tmp_path, step, {})
    last = last_complete(tmp_path)
    assert last is not None and last.name == "checkpoint-10"


def test_pruning_keeps_the_last_whole_and_the_best_weights(tmp_path: Path) -> None:
    losses = {2: 1.0, 4: 0.5, 6: 0.7, 8: 0.6}
    for step in losses:
        save(tmp_path, step, {s: v for s, v in losses.items() if s <= step})
    prune(tmp_path, keep_best=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint-4", "checkpoint-8"]
    kept = sorted(p.name for p in (tmp_path / "checkpoint-4").iterdir())
    assert kept == ["config.json", "model.safetensors"]
    assert is_complete(tmp_path / "checkpoint-8")
    # The stripped one is below the last, so a resumption leaves it for the publication.
    assert last_complete(tmp_path) == tmp_path / "checkpoint-8"
    assert (tmp_path / "checkpoint-4" / "model.safetensors").exists()
    prune(tmp_path, keep_best=False)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint-8"]


def test_the_best_step_is_the_earliest_lowest() -> None:
    log = [{"step": s, "eval_loss": v} for s, v in ((1, 0.9), (2, 0.4), (3, 0.4), (4, 0.6))]
    assert best_step([{"step": 1, "loss": 0.1}, *log]) == 2
    assert best_step([{"step": 1, "loss": 0.1}]) is None


HEAR = """
import sys, time
from pathlib import Path
from mixmerge.sft.resume import listening
with listening(Path(sys.argv[1])) as request:
    request.patient = True
    request.pass_on = request.tell
    request.abandon = lambda: print("abandoned", flush=True)
    print("ready", flush=True)
    while True:
        time.sleep(0.1)
"""

# A rank below a launcher of its own: the launcher prints the rank's id and what became of it.
LAUNCH = """
import os, signal, subprocess, sys, time
rank = subprocess.Popen([sys.executable, "-c", sys.argv[2], sys.argv[1]], stdout=subprocess.PIPE)
rank.stdout.readline()
print(rank.pid, flush=True)
order = sys.stdin.readline().strip()
if order:
    rank.send_signal(getattr(signal, order))
print(rank.wait(), flush=True)
"""
RANK = """
import os, sys, time
from pathlib import Path
from mixmerge.sft.resume import watch
request = watch(Path(sys.argv[1]), os.getppid())
request.patient = {patient}
print("ready", flush=True)
while not request.asked:
    time.sleep(0.05)
os._exit(7)
"""


def start(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_second_wish_ends_the_process_and_an_echo_does_not(tmp_path: Path) -> None:
    process = start(HEAR, str(tmp_path))
    assert process.stdout and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGUSR1)
    process.send_signal(signal.SIGTERM)
    time.sleep(2.3)
    assert process.poll() is None
    assert (tmp_path / "stop").exists()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 128 + signal.SIGTERM
    output = process.stdout.read()
    assert output.count("stopping as soon as") == output.count("abandoned") == 1
    assert "SIGTERM again: stopped without saving" in output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_without_work_a_wish_ends_the_process_and_handlers_come_back(
    tmp_path: Path, number: signal.Signals
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Preempted) as stop, listening(tmp_path):
        os.kill(os.getpid(), number)
        time.sleep(1)
    assert stop.value.code == 75
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(
    ("patient", "by", "code"),
    [
        (True, "file", 7),  # the launcher was asked, and tells
        (True, "signal", 7),  # Slurm asks every process of a job
        (False, "file", 75),  # nothing to save
        (False, "signal", 75),
        (True, "launcher", 1),  # the launcher ends the ranks when one of them failed
        (True, "orphan", None),  # the launcher is gone
    ],
)
def test_a_rank_hears_what_is_meant(
    tmp_path: Path, patient: bool, by: str, code: int | None
) -> None:
    launcher = start(LAUNCH, str(tmp_path), RANK.format(patient=patient))
    assert launcher.stdin and launcher.stdout
    rank = int(launcher.stdout.readline())
    if by == "orphan":
        launcher.kill()
        launcher.wait()
    elif by == "file":
        (tmp_path / "stop").touch()
    elif by == "signal":
        os.kill(rank, signal.SIGUSR1)
    if by != "orphan":
        launcher.stdin.write("SIGTERM\n" if by == "launcher" else "\n")
        launcher.stdin.flush()
        assert launcher.stdout.readline() == f"{code}\n"
    for _ in range(50):
        # Where nobody reaps orphans, what is left of it is a zombie.
        stat = Path(f"/proc/{rank}/stat")
        if not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        time.sleep(0.1)
    raise AssertionError("the rank lives on")


def test_elsewhere_than_in_slurm_no_job_spans_nodes_or_is_requeued(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert not spans(2)
    assert not requeue()
