"""The process in the box that forks checks: ``python -m judgebox.runner CELL CONTROL``.

It never runs foreign code itself. The judge's pipes of a check go to that check's process alone, so
that nothing a program does to its own descriptors reaches anybody else. All it has to do with a
program is to look at what it uses, to kill it, and to tell the judge how it ended.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from judgebox import harness, spawn
from judgebox.limits import Limits, Monitor, Reason, descendants

#: How a runner exits that found itself outside.
EXIT: Final = 97
#: Seconds between two looks at a check.
_TICK = 0.02
#: So many looks at what the kernel counts to one at what has to be counted by us.
_SELDOM = 5


@dataclass
class _Running:
    """A check that is alive."""

    number: int
    init: int
    limits: Limits
    report: int
    output: int
    monitor: Monitor
    looks: int = 0
    reason: Reason | None = None


@dataclass
class Runner:
    """Answers the judge's messages on the control socket until it hangs up."""

    cell: spawn.Cell
    control: socket.socket
    _running: dict[int, _Running] = field(default_factory=dict)
    _harnesses: dict[str, harness.Run] = field(default_factory=dict)

    def serve(self) -> None:
        """Serve until the control socket is closed, which ends the box."""
        # A byte comes out of this pipe for every child that ends.
        deaths, woken = os.pipe()
        os.set_blocking(deaths, False)
        os.set_blocking(woken, False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        poll.register(deaths, select.POLLIN)
        next_look = 0.0
        while True:
            for descriptor, _ in poll.poll(_TICK * 1000 if self._running else None):
                if descriptor == deaths:
                    os.read(deaths, 4096)
                    self._reap()
                elif not self._obey():
                    return
            now = time.monotonic()
            if now >= next_look:
                next_look = now + _TICK
                for check in self._running.values():
                    self._look(check)

    def end(self) -> None:
        """End all checks."""
        for check in self._running.values():
            self.cell.kill(check.init)

    def _obey(self) -> bool:
        """Do what one message says; False at the end of all messages."""
        data, descriptors, _, _ = socket.recv_fds(self.control, 65536, 2)
        if not data:
            return False
        message = json.loads(data)
        if message["do"] == "start":
            self._start(message, *descriptors)
        else:
            for check in self._running.values():
                if check.number == message["id"]:
                    self._end(check, "killed")
        return True

    def _start(self, message: dict[str, Any], requests: int, output: int) -> None:
        limits = Limits(**message["limits"])
        name = message["harness"]
        report, theirs = os.pipe()
        try:
            if name not in self._harnesses:
                self._harnesses[name] = harness.preload(name)
                # What is in memory now stays as it is: a child that collects garbage must not
                # touch, and so copy, every page of it.
                gc.collect()
                gc.freeze()
            init = self.cell.fork()
        except (ImportError, OSError) as error:
            for descriptor in (requests, output, report, theirs):
                os.close(descriptor)
            self._tell({"id": message["id"], "error": f"{type(error).__name__}: {error}"})
            return
        if init == 0:
            spawn.begin(self.cell, limits, self._harnesses[name], (requests, output, theirs))
        os.close(requests)
        os.close(theirs)
        monitor = Monitor(limits, output)
        self._running[init] = _Running(message["id"], init, limits, report, output, monitor)

    def _look(self, check: _Running) -> None:
        """End a check that is over one of its limits."""
        if check.reason is not None:
            return
        # A few more than allowed say all.
        pids = descendants(check.init, (check.limits.processes + 2) * 2)
        reason = check.monitor.exceeded(pids)
        check.looks += 1
        if reason is None and check.looks % _SELDOM == 0:
            reason = self.cell.excess(check.init, check.limits)
        if reason is not None:
            self._end(check, reason)

    def _end(self, check: _Running, reason: Reason) -> None:
        if check.reason is None:
            check.reason = reason
            self.cell.kill(check.init)

    def _reap(self) -> None:
        """Make an end of the checks whose first processes have ended, and collect orphans."""
        with contextlib.suppress(ChildProcessError):
            while dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if dead.si_pid in self._running:
                    self._finish(self._running.pop(dead.si_pid))
                else:
                    os.waitpid(dead.si_pid, 0)

    def _finish(self, check: _Running) -> None:
        """Kill what is left of a check, and tell the judge how it ended."""
        self.cell.kill(check.init)
        _, status, usage = os.wait4(check.init, 0)
        # Nobody is left who could write.
        failure = os.read(check.report, 2000).decode(errors="replace")
        os.close(check.report)
        os.close(check.output)
        used = max(usage.ru_utime + usage.ru_stime, check.monitor.cpu_seconds)
        if failure and check.reason is None:
            self._tell({"id": check.number, "error": failure})
            return
        reason, code, starved = _how_it_ended(check, os.waitstatus_to_exitcode(status), used)
        how = {"reason": reason, "code": code, "cpu_seconds": used, "starved": starved}
        self._tell({"id": check.number} | how)

    def _tell(self, message: dict[str, Any]) -> None:
        self.control.send(json.dumps(message).encode())


def _how_it_ended(check: _Running, code: int, used: float) -> tuple[Reason, int, bool]:
    """Reason, code and whether something else than the program may be to blame."""
    if check.reason is not None:
        return check.reason, signal.SIGKILL, check.reason == "wall"
    if code >= 0:
        return "exit", code, False
    killed = -code == signal.SIGKILL
    if -code == signal.SIGXCPU or (killed and used >= check.limits.cpu_seconds):
        return "cpu", -code, False
    return "signal", -code, killed


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
        cell: spawn.Cell = importlib.import_module(cell_name).Cell()
        cell.prove(hello)
    except OSError as error:
        print(error, file=sys.stderr)
        sys.exit(EXIT)
    spawn.silence()
    # A machine that runs out of memory shall end what is in here before anything else.
    with contextlib.suppress(PermissionError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    control.send(b"ready")
    runner = Runner(cell, control)
    try:
        runner.serve()
    finally:
        runner.end()


if __name__ == "__main__":
    main()
