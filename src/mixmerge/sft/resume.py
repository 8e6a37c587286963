"""What a run can be resumed from, and signals that ask it to stop.

The Trainer's checkpoints in scratch: which are complete, which are needed, which was best. Whoever
takes a machine away (a batch system before a time limit, or for somebody with more right to it)
sends SIGTERM or SIGUSR1 some time before it kills: training saves after the step at hand and
leaves. One process of a run gets the signal, or all do; the step after which all stop is agreed on
in `mixmerge.sft.trainer`.
"""

import math
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mixmerge.core.io import read_json, write_json

#: Exit code of a job that was asked to stop and can go on: EX_TEMPFAIL of sysexits.h.
EXIT_CODE = os.EX_TEMPFAIL
#: The signals that ask. SIGINT is a person at the keyboard, who wants the end at once.
SIGNALS = frozenset({signal.SIGTERM, signal.SIGUSR1})
#: Seconds within which one request may arrive twice: sent to a process and to its group.
_ECHO = 2.0
_COMPLETE = "complete.json"
_WEIGHTS = ("model", "adapter", "config.json")


def mark_complete(checkpoint: Path) -> None:
    """Record that all processes have written their part; called last, by one of them."""
    files = {
        path.relative_to(checkpoint).as_posix(): path.stat().st_size
        for path in sorted(checkpoint.rglob("*"))
        if path.is_file()
    }
    write_json(checkpoint / _COMPLETE, files)


def is_complete(checkpoint: Path) -> bool:
    """Whether a checkpoint was written to its end and still has all its files."""
    marker = checkpoint / _COMPLETE
    if not marker.exists():
        return False
    files = {checkpoint / name: size for name, size in read_json(marker).items()}
    return all(path.exists() and path.stat().st_size == size for path, size in files.items())


def step_of(checkpoint: Path | None) -> int:
    """Optimiser step of a directory named ``checkpoint-N``; 0 without one."""
    return int(checkpoint.name.rsplit("-", 1)[1]) if checkpoint else 0


def list_checkpoints(trainer: Path) -> list[Path]:
    """All checkpoint directories, by step, complete or not."""
    return sorted(trainer.glob("checkpoint-*"), key=step_of)


def last_complete(trainer: Path) -> Path | None:
    """The checkpoint to resume from; what a kill left half-written after it is deleted.

    A directory without its marker would otherwise be taken for a checkpoint, or its stale files be
    mixed with new ones when training comes by that step again.
    """
    last = None
    for path in reversed(list_checkpoints(trainer)):
        if is_complete(path):
            last = path
            break
        shutil.rmtree(path)
    return last


def history(checkpoint: Path) -> list[dict[str, Any]]:
    """The Trainer's log up to a checkpoint."""
    entries: list[dict[str, Any]] = read_json(checkpoint / "trainer_state.json")["log_history"]
    return entries


def is_finished(trainer: Path) -> bool:
    """Whether the last complete checkpoint is that of the run's last step.

    The Trainer, resumed there, would take one step more before it notices.
    """
    last = last_complete(trainer)
    state = read_json(last / "trainer_state.json") if last else None
    return state is not None and bool(state["global_step"] >= state["max_steps"])


def best_step(entries: list[dict[str, Any]]) -> int | None:
    """Step of the lowest validation loss, the earliest of equals."""
    losses = [(e["eval_loss"], e["step"]) for e in entries if "eval_loss" in e]
    return min(losses)[1] if losses and all(math.isfinite(loss) for loss, _ in losses) else None


def prune(trainer: Path, keep_best: bool) -> None:
    """Delete what neither resuming nor publishing needs.

    The last complete checkpoint stays whole; the best one before it keeps its weights, without
    the optimiser states, which are the larger part.
    """
    last = last_complete(trainer)
    if last is None:
        return
    best = best_step(history(last)) if keep_best else None
    for path in list_checkpoints(trainer):
        if path == last:
            continue
        if step_of(path) != best:
            shutil.rmtree(path)
            continue
        # The marker goes first: from here on this is no checkpoint to resume from.
        (path / _COMPLETE).unlink(missing_ok=True)
        for part in list(path.iterdir()):
            if part.is_dir():
                shutil.rmtree(part)
            elif not part.name.startswith(_WEIGHTS):
                part.unlink()


class Preempted(SystemExit):
    """The job was asked to stop and has; the same call goes on from what is saved."""

    def __init__(self) -> None:
        super().__init__(EXIT_CODE)


class Request:
    """Whether this process has been asked to stop, by a signal or by its run's other processes."""

    def __init__(self, scratch: Path) -> None:
        """``scratch`` holds the file by which the processes of a run pass the request on."""
        self.file = scratch / "stop"
        self.asked = False
        self.patient = False
        """Whether there is work that the request must wait for; else it ends the process at
        once."""
        self.name = ""
        """Of the signal that asked."""
        self.pass_on: Callable[[], None]
        """Called when a patient process is asked: tells those that train for it."""
        self.abandon: Callable[[], None]
        """Called before the process ends at once: ends those that train for it."""
        self.relieve()
        self._since = 0.0

    def relieve(self) -> None:
        """No other process trains for this one, any more or as yet."""
        self.pass_on = self.abandon = lambda: None

    def forget(self) -> None:
        """Delete what an earlier run of this job was told."""
        self.file.unlink(missing_ok=True)

    def tell(self) -> None:
        """Pass the request on to the run's other processes."""
        self.file.write_text(self.name, encoding="utf-8")

    def learn(self) -> None:
        """Take over what another process of the run told: on several nodes only some are asked."""
        if not self.name and self.file.exists():
            self.name = self.file.read_text(encoding="utf-8")

    def receive(self, number: int, frame: object = None) -> None:
        """Handle a signal in the process that the batch system knows.

        Raises:
            Preempted: there is nothing to wait for.
        """
        if not self.asked:
            self.asked, self.name, self._since = True, signal.Signals(number).name, time.monotonic()
            if not self.patient:
                _print(f"{self.name}: stopped at once, nothing to save; exit code {EXIT_CODE}")
                raise Preempted
            self.pass_on()
            _print(f"{self.name}: stopping as soon as the step or the publishing at hand is done")
        elif time.monotonic() - self._since > _ECHO:
            _print(f"{signal.Signals(number).name} again: stopped without saving")
            self.abandon()
            os._exit(128 + number)


@contextmanager
def listening(scratch: Path) -> Iterator[Request]:
    """A `Request` that hears this process's signals while the context lasts.

    Outside the main thread, where Python allows no handlers, it hears nothing.
    """
    request = Request(scratch)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.receive) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def watch(scratch: Path, parent: int) -> Request:
    """A `Request` for a rank: heard in a thread, so that it is even while libraries load.

    The rank ends at once where it has nothing to save yet, or where its launcher wants it gone:
    that one is lost, sends SIGTERM itself (another rank failed), or is the only one who knows why.
    Call before any other thread begins: the signals must be blocked in all of them.

    Args:
        scratch: of the job.
        parent: process id of the launcher.
    """
    request = Request(scratch)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    def listen() -> None:
        while os.getppid() == parent:
            heard = signal.sigtimedwait(SIGNALS, 0.2)
            if heard is not None and heard.si_pid == parent:
                break
            if heard is not None or request.file.exists():
                if not request.patient:
                    os._exit(EXIT_CODE)
                request.asked = True
        # Its launcher starts each rank in a session of its own and SIGKILL gives that one no time
        # to end us: without this a rank would outlive the job.
        os._exit(1)

    threading.Thread(target=listen, daemon=True).start()
    return request


def _print(text: str) -> None:
    """Write a line from a signal handler, where the stream's own buffer may be in use."""
    os.write(2, f"\n{text}\n".encode())
