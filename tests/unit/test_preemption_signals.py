"""Wishes to stop, heard by real processes; what a run over several nodes asks Slurm for."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mixmerge.sft import launch as slurm
from mixmerge.sft.resume import Preempted, listening
from mixmerge.sft.settings import Sft

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
    said = process.stdout.read()
    assert said.count("stopping as soon as") == said.count("abandoned") == 1
    assert "SIGTERM again: stopped without saving" in said


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


def test_processes_are_spread_evenly() -> None:
    assert not Sft(processes=4, nodes=2).problems()
    (problem,) = Sft(processes=2, nodes=3).problems()
    assert "processes 2 is not divisible by nodes = 3" in problem


def test_elsewhere_than_in_slurm_no_job_spans_nodes_or_is_requeued(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert not slurm.spans(2)
    assert not slurm.requeue()
