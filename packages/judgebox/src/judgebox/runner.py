"""The process in the box that forks checks: ``python -m judgebox.runner CELL CONTROL``.

It never runs foreign code itself. A check's pipes go to that check's process alone.
"""

import contextlib
import fcntl
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NoReturn, Protocol

from judgebox.check import INPUT, OUTPUT, Channel, Ended, Limits, Reason, Run, Running

#: How a runner exits that found itself outside.
EXIT: Final = 97
#: Descriptor at which a check reports what went wrong before any foreign code ran.
_REPORT = OUTPUT + 1
#: Descriptors that a process may have open.
_FILES = 256
#: Seconds between two looks at a check.
_TICK = 0.02
#: Modules with ``run(request, channel)``, which is called in an isolated process.
_HARNESSES = {"calls": "judgebox.calls", "program": "judgebox.check", "record": "judgebox.record"}
# What a program puts in its place is not what ends its process.
_leave = os._exit


class Cell(Protocol):
    """The inner half of a backend: how a check is isolated.

    Everything in the box must die with the process that the module's ``command`` starts.
    """

    def prove(self, hello: dict[str, Any]) -> None:
        """Show that this process is inside, before any check, else raise `seccomp.Refused`."""

    def fork(self) -> int:
        """Fork the first process of a new check: its pid in the runner, 0 in itself."""

    def confine(self, limits: Limits) -> None:
        """In that process, last before foreign code: give up all that a check does not need."""

    def kill(self, init: int) -> None:
        """In the runner: end a check with all its processes, also if its first one has ended."""

    def excess(self, init: int, limits: Limits) -> Reason | None:
        """In the runner, at each look: a limit that only this cell can look after."""


class Runner:
    """Answers the judge's messages on the control socket until it hangs up."""

    def __init__(self, cell: Cell, control: socket.socket) -> None:
        self._cell, self._control = cell, control
        self.running: dict[int, Running] = {}
        self._harnesses: dict[str, Run] = {}
        self._poll = select.poll()

    def serve(self) -> None:
        """Serve until the control socket is closed, or something fails: both end the box."""
        # A byte comes out of this pipe for every child that ends.
        deaths, woken = os.pipe()
        os.set_blocking(deaths, False)
        os.set_blocking(woken, False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        # In this order: no check may get a number that is a check's which ended in the same round.
        self._poll.register(self._control, select.POLLIN)
        self._poll.register(deaths, select.POLLIN)
        next_look = 0.0
        while True:
            for descriptor, _ in self._poll.poll(_TICK * 1000 if self.running else None):
                if descriptor == deaths:
                    os.read(deaths, 4096)
                    self._reap()
                elif descriptor != self._control.fileno():
                    for check in self.running.values():
                        if check.report.fileno() == descriptor:
                            self._end(check, "killed")
                elif not self._start():
                    return
            now = time.monotonic()
            if now >= next_look:
                next_look = now + _TICK
                for check in self.running.values():
                    if check.reason is None:
                        self._end(
                            check, check.exceeded() or self._cell.excess(check.init, check.limits)
                        )

    def _start(self) -> bool:
        """Start the check that a message asks for; False at the end of all messages."""
        data, descriptors, _, _ = socket.recv_fds(self._control, 65536, 3)
        if not data:
            return False
        message = json.loads(data)
        requests, output, reporting = descriptors
        report = socket.socket(fileno=reporting)
        limits, name = Limits(**message["limits"]), message["harness"]
        try:
            if name not in self._harnesses:
                self._harnesses[name] = importlib.import_module(_HARNESSES[name]).run
                # What is in memory now stays as it is: a child that collects garbage must not
                # touch, and so copy, every page of it.
                gc.collect()
                gc.freeze()
            init = self._cell.fork()
        except (KeyError, ImportError, OSError) as error:
            os.close(requests)
            os.close(output)
            _tell(report, {"error": f"{type(error).__name__}: {error}"})
            _tell(report, asdict(Ended("exit", 1, 0.0, False)))
            report.close()
            return True
        if init == 0:
            begin(self._cell, limits, self._harnesses[name], (requests, output, reporting))
        os.close(requests)
        self._poll.register(report, select.POLLIN)
        self.running[init] = Running(init, limits, report, output)
        return True

    def _end(self, check: Running, reason: Reason | None) -> None:
        """Kill a check that has a reason to end."""
        if reason is not None:
            check.reason = reason
            self._poll.unregister(check.report)  # for good: only its end is of interest now
            self._cell.kill(check.init)

    def _reap(self) -> None:
        """Finish the checks whose first processes have ended, and collect orphans."""
        with contextlib.suppress(ChildProcessError):
            while dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if dead.si_pid in self.running:
                    self._finish(self.running.pop(dead.si_pid))
                else:
                    os.waitpid(dead.si_pid, 0)

    def _finish(self, check: Running) -> None:
        """Kill what is left of a check, and tell the judge how it ended."""
        reason = check.reason
        if reason is None:
            self._poll.unregister(check.report)
        self._cell.kill(check.init)
        _, status, usage = os.wait4(check.init, 0)
        used = max(usage.ru_utime + usage.ru_stime, check.cpu_seconds)
        code, limit = os.waitstatus_to_exitcode(status), check.limits.cpu_seconds
        killed = -code == signal.SIGKILL
        if reason is not None:
            ended = Ended(reason, signal.SIGKILL, used, reason == "wall")
        elif code >= 0:
            ended = Ended("exit", code, used, False)
        elif -code == signal.SIGXCPU or (killed and used >= limit):
            ended = Ended("cpu", -code, used, False)
        else:
            ended = Ended("signal", -code, used, killed)
        _tell(check.report, asdict(ended))
        check.report.close()
        os.close(check.output)


def _tell(report: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # the judge has lost interest
        report.send(json.dumps(message).encode())


def begin(cell: Cell, limits: Limits, run: Run, descriptors: tuple[int, int, int]) -> NoReturn:
    """In the process that `Cell.fork` made: become the check (input, output, report socket)."""
    code = 1
    try:
        try:
            signal.set_wakeup_fd(-1)
            for handled in (signal.SIGCHLD, signal.SIGTERM):
                signal.signal(handled, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            moved = [fcntl.fcntl(number, fcntl.F_DUPFD, _FILES) for number in descriptors]
            for number, target in zip(moved, (INPUT, OUTPUT, _REPORT), strict=True):
                os.dup2(number, target)
            _silence()  # /dev/null anew: flags of the runner's would be every check's
            os.closerange(_REPORT + 1, 2 * _FILES)
            limits.enforce(_FILES)
            cell.confine(limits)
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"[:1000]
            os.write(_REPORT, json.dumps({"error": text}).encode())
            raise
        os.close(_REPORT)
        request = Channel().receive()
        if request is not None:
            run(request, Channel())
            code = 0
    finally:
        _leave(code)


def _silence() -> None:
    """Make standard input, output and errors /dev/null."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)


def main() -> None:
    """Prove where this is, then serve."""
    cell_name, number = sys.argv[1:]
    control = socket.socket(fileno=int(number))
    hello = json.loads(control.recv(65536))
    # What the judge ignores or blocks is not for here.
    for handled in (signal.SIGINT, signal.SIGCHLD):
        signal.signal(handled, signal.SIG_DFL)
    # So a box is told that it has lost what would have ended it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        cell: Cell = importlib.import_module(cell_name).Cell()
        cell.prove(hello)
    except OSError as error:
        print(error, file=sys.stderr)
        sys.exit(EXIT)
    _silence()
    # A machine that runs out of memory shall end what is in here before anything else.
    with contextlib.suppress(PermissionError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    control.send(b"ready")
    runner = Runner(cell, control)
    try:
        runner.serve()
    finally:
        for check in runner.running.values():
            cell.kill(check.init)


if __name__ == "__main__":
    main()
