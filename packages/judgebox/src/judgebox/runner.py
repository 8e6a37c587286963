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
from typing import Any

from judgebox import harness, self_check, spawn
from judgebox.limits import Limits, Monitor, Reason

#: Seconds between two looks at a check.
_TICK = 0.02
#: So many looks at what the kernel counts to one at what has to be counted by us.
_SELDOM = 5


class _Running:
    """A check that is alive."""

    def __init__(self, number: int, init: int, limits: Limits, report: int, output: int) -> None:
        self.number = number
        self.init = init
        self.limits = limits
        self.report = report
        self.output = output
        self.monitor = Monitor(limits, output)
        self.looks = 0
        self.reason: Reason | None = None


class Runner:
    """Answers the judge's messages until it hangs up.

    Args:
        cell: how a check is isolated.
        control: the runner's end of the control socket.
    """

    def __init__(self, cell: spawn.Cell, control: socket.socket) -> None:
        self._cell = cell
        self._control = control
        self._running: dict[int, _Running] = {}
        self._harnesses: dict[str, harness.Run] = {}
        # A byte comes out of this pipe for every child that ends.
        self._deaths, woken = os.pipe()
        os.set_blocking(self._deaths, False)
        os.set_blocking(woken, False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._poll.register(self._deaths, select.POLLIN)

    def serve(self) -> None:
        """Serve until the control socket is closed, which ends the box."""
        next_look = 0.0
        while True:
            events = self._poll.poll(_TICK * 1000 if self._running else None)
            for descriptor, _ in events:
                if descriptor == self._deaths:
                    os.read(self._deaths, 4096)
                    self._reap()
                elif not self._obey():
                    return
            now = time.monotonic()
            if now >= next_look:
                next_look = now + _TICK
                for check in self._running.values():
                    self._look(check)

    def _obey(self) -> bool:
        """Do what one message says; False at the end of all messages."""
        data, descriptors, _, _ = socket.recv_fds(self._control, 65536, 2)
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

    def _start(self, message: dict[str, Any], given: int, output: int) -> None:
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
            init = self._cell.fork()
        except (ImportError, OSError) as error:
            for descriptor in (given, output, report, theirs):
                os.close(descriptor)
            self._tell({"id": message["id"], "error": f"{type(error).__name__}: {error}"})
            return
        if init == 0:
            spawn.begin(self._cell, limits, self._harnesses[name], (given, output, theirs))
        os.close(given)
        os.close(theirs)
        self._running[init] = _Running(message["id"], init, limits, report, output)

    def _look(self, check: _Running) -> None:
        """End a check that is over one of its limits."""
        if check.reason is not None:
            return
        # A few more than allowed say all.
        pids = self._cell.tree(check.init, (check.limits.processes + 2) * 2)
        reason = check.monitor.exceeded(pids)
        check.looks += 1
        if reason is None and check.looks % _SELDOM == 0:
            reason = self._cell.excess(check.init, check.limits)
        if reason is not None:
            self._end(check, reason)

    def _end(self, check: _Running, reason: Reason) -> None:
        if check.reason is None:
            check.reason = reason
            self._cell.kill(check.init)

    def _reap(self) -> None:
        """Make an end of the checks whose first processes have ended, and collect orphans."""
        while True:
            try:
                dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if dead is None:
                return
            if dead.si_pid in self._running:
                self._finish(self._running.pop(dead.si_pid))
            else:
                os.waitpid(dead.si_pid, 0)

    def _finish(self, check: _Running) -> None:
        """Kill what is left of a check, and tell the judge how it ended."""
        self._cell.kill(check.init)
        _, status, usage = os.wait4(check.init, 0)
        # Nobody is left who could write.
        failure = os.read(check.report, 2000).decode(errors="replace")
        os.close(check.report)
        os.close(check.output)
        used = max(usage.ru_utime + usage.ru_stime, check.monitor.cpu_seconds)
        answer: dict[str, Any] = {"id": check.number}
        if failure and check.reason is None:
            answer["error"] = failure
        else:
            answer |= {"cpu_seconds": used} | _how_it_ended(check, status, used)
        self._tell(answer)

    def _tell(self, message: dict[str, Any]) -> None:
        self._control.send(json.dumps(message).encode())


def _how_it_ended(check: _Running, status: int, used: float) -> dict[str, Any]:
    """Reason, code and whether something else than the program may be to blame."""
    if check.reason is not None:
        return {"reason": check.reason, "code": signal.SIGKILL, "starved": check.reason == "wall"}
    if os.WIFEXITED(status):
        return {"reason": "exit", "code": os.WEXITSTATUS(status), "starved": False}
    number = os.WTERMSIG(status)
    killed = number == signal.SIGKILL
    if number == signal.SIGXCPU or (killed and used >= check.limits.cpu_seconds):
        return {"reason": "cpu", "code": number, "starved": False}
    return {"reason": "signal", "code": number, "starved": killed}


def main() -> None:
    """Prove where this is, then serve."""
    cell_name, number = sys.argv[1:]
    control = socket.socket(fileno=int(number))
    hello = json.loads(control.recv(65536))
    # What the judge ignores or blocks is not for here.
    for handled in (signal.SIGINT, signal.SIGCHLD):
        signal.signal(handled, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        cell: spawn.Cell = importlib.import_module(cell_name).Cell()
        cell.prove(hello)
    except (self_check.NotInside, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(self_check.EXIT)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)
    # A machine that runs out of memory shall end what is in here before anything else.
    with (
        contextlib.suppress(PermissionError),
        open("/proc/self/oom_score_adj", "w", encoding="ascii") as file,  # noqa: PTH123
    ):
        file.write("1000")
    control.send(b"ready")
    Runner(cell, control).serve()


if __name__ == "__main__":
    main()
