"""Asked to stop by SIGTERM or SIGUSR1: training saves after the step at hand and leaves.

Whoever takes a machine away (a batch system before a time limit, or for somebody with more right to
it) sends a signal some time before it kills. One process of a run gets it, or all do; the step
after which all stop is agreed on in `mixmerge.sft.trainer`.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

#: Exit code of a job that was asked to stop and can go on: EX_TEMPFAIL of sysexits.h.
EXIT_CODE = os.EX_TEMPFAIL
#: The signals that ask. SIGINT is a person at the keyboard, who wants the end at once.
SIGNALS = frozenset({signal.SIGTERM, signal.SIGUSR1})
#: Seconds within which one wish may arrive twice: sent to a process and to the group it is in.
_ECHO = 2.0
_STOP = "stop"


class Preempted(SystemExit):
    """The job was asked to stop and has; the same call goes on from what is saved."""

    def __init__(self) -> None:
        super().__init__(EXIT_CODE)


class Request:
    """Whether this process has been asked to stop, by a signal or by its run's other processes."""

    def __init__(self, scratch: Path) -> None:
        """``scratch`` holds the file by which the processes of a run pass the wish on."""
        self.file = scratch / _STOP
        self.asked = False
        self.patient = False
        """Whether there is work that the wish must wait for; else it ends the process at once."""
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
        self.pass_on = self.abandon = _nothing

    def forget(self) -> None:
        """Delete what an earlier run of this job was told."""
        self.file.unlink(missing_ok=True)

    def tell(self) -> None:
        """Pass the wish on to the run's other processes."""
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
                _say(f"{self.name}: stopped at once, nothing to save; exit code {EXIT_CODE}")
                raise Preempted
            self.pass_on()
            _say(f"{self.name}: stopping as soon as the step or the publishing at hand is done")
        elif time.monotonic() - self._since > _ECHO:
            _say(f"{signal.Signals(number).name} again: stopped without saving")
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


def _nothing() -> None:
    """Nobody else to tell."""


def _say(text: str) -> None:
    """Write a line from a signal handler, where the stream's own buffer may be in use."""
    os.write(2, f"\n{text}\n".encode())
