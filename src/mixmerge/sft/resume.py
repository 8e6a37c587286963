"""What a run can be resumed from, and signals that ask it to stop.

The Trainer's checkpoints in scratch: which are needed, which was best. Whoever
takes a machine away (a batch system before a time limit, or for somebody with more right to it)
sends SIGTERM or SIGUSR1 some time before it kills: training saves after the step at hand and
leaves. One process of a run gets the signal, or all do: it becomes a file that all look for.
"""

import math
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mixmerge.core.io import read_json, replace_dir

#: Exit code of a job that was asked to stop and can go on: EX_TEMPFAIL of sysexits.h.
EXIT_CODE = os.EX_TEMPFAIL
#: The signals that ask. SIGINT is a person at the keyboard, who wants the end at once.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
#: Seconds within which one request may arrive twice: sent to a process and to its group.
_ECHO = 2.0
_WEIGHTS = ("model", "adapter", "config.json")


def step_of(checkpoint: Path | None) -> int:
    """Optimiser step of a directory named ``checkpoint-N``; 0 without one."""
    return int(checkpoint.name.rsplit("-", 1)[1]) if checkpoint else 0


def last_checkpoint(trainer: Path) -> Path | None:
    """The checkpoint to resume from."""
    return max(trainer.glob("checkpoint-*"), key=step_of, default=None)


def state_of(checkpoint: Path) -> dict[str, Any]:
    """The Trainer's state at a checkpoint: ``global_step``, ``max_steps``, ``log_history``."""
    state: dict[str, Any] = read_json(checkpoint / "trainer_state.json")
    return state


def is_finished(trainer: Path) -> bool:
    """Whether the last checkpoint is that of the run's last step.

    The Trainer, resumed there, would take one step more before it notices.
    """
    last = last_checkpoint(trainer)
    return last is not None and step_of(last) >= state_of(last)["max_steps"]


def best_step(entries: list[dict[str, Any]]) -> int | None:
    """Step of the lowest validation loss in a Trainer's log, the earliest of equals."""
    losses = [(e["eval_loss"], e["step"]) for e in entries if "eval_loss" in e]
    return min(losses)[1] if losses and all(math.isfinite(loss) for loss, _ in losses) else None


def keep_checkpoint(written: Path, keep_best: bool) -> None:
    """Take over a checkpoint that all processes have written; delete what is no longer needed.

    The last checkpoint stays whole; the best one before it keeps its weights, without the optimiser
    states, which are the larger part. One that a kill left half-written never gets here.

    Args:
        written: ``checkpoint-N`` in a folder beside those that are whole.
        keep_best: whether the one with the lowest validation loss is needed besides the last.
    """
    trainer = written.parents[1]
    last = trainer / written.name
    replace_dir(written, last)
    best = best_step(state_of(last)["log_history"]) if keep_best else None
    for path in trainer.glob("checkpoint-*"):
        if path == last:
            continue
        if step_of(path) != best:
            shutil.rmtree(path)
            continue
        for part in list(path.iterdir()):
            if part.is_dir():
                shutil.rmtree(part)
            elif not part.name.startswith(_WEIGHTS):
                part.unlink()


class Preempted(SystemExit):
    """The job was asked to stop and has; the same call goes on from what is saved."""

    def __init__(self) -> None:
        super().__init__(EXIT_CODE)


class StopRequest:
    """Whether the processes of a run are asked to stop: a file in scratch that all can see."""

    def __init__(self, scratch: Path) -> None:
        self._file, self._begun = scratch / "stop", scratch / "begun"
        self._heard = 0.0
        self.finishing = False
        """Whether the end is near, so that a request is best met by going on."""

    def forget(self) -> None:
        """Delete what an earlier call of this job left; `Preempted` where one was heard by now."""
        self._file.unlink(missing_ok=True)
        self._begun.unlink(missing_ok=True)
        if self._heard:
            raise Preempted

    def begin(self) -> None:
        """From here on there is work that a request must wait for; before, it is the end."""
        self._begun.touch()

    @property
    def asked(self) -> bool:
        """Whether any process of the run was asked."""
        return self._file.exists()

    @property
    def signal(self) -> str:
        """Name of the signal that asked."""
        return self._file.read_text(encoding="utf-8") if self.asked else ""

    def receive(self, number: int, frame: object = None) -> None:
        """Handle a signal in the process that the batch system knows.

        Raises:
            Preempted: there is nothing to wait for.
            SystemExit: asked a second time.
        """
        name, now = signal.Signals(number).name, time.monotonic()
        if self.finishing:
            _print(f"{name}: training is done; publishing goes on")
        elif not self._heard:
            self._heard = now
            if not self._begun.exists():
                _print(f"{name}: stopped at once, nothing to save; exit code {EXIT_CODE}")
                raise Preempted
            self._file.write_text(name, encoding="utf-8")
            _print(f"{name}: stopping as soon as the step at hand is done")
        elif now - self._heard > _ECHO:
            _print(f"{name} again: stopped without saving")
            raise SystemExit(128 + number)

    def pass_on(self, number: int, frame: object = None) -> None:
        """Handle a signal in a rank: a batch system may ask every process of a job."""
        if not self._begun.exists():
            os._exit(EXIT_CODE)
        self._file.write_text(signal.Signals(number).name, encoding="utf-8")


@contextmanager
def listening(request: StopRequest) -> Iterator[None]:
    """Hear this process's signals while the context lasts; outside the main thread, nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, request.receive) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print(text: str) -> None:
    """Write a line from a signal handler, where the stream's own buffer may be in use."""
    os.write(2, f"\n{text}\n".encode())
