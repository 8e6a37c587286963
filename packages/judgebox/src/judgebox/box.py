"""A warm box, and the checks that run in it: what a judge uses."""

import functools
import json
import os
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from judgebox import machine
from judgebox.backend import Backend, Launched, Refused
from judgebox.check import BoxFailed, Check
from judgebox.limits import Ended, Limits
from judgebox.runtime import runtime

__all__ = ["PACKAGES", "Box", "BoxFailed", "Check"]

#: Libraries that a generated program may import, besides the standard library.
PACKAGES = ("numpy", "pandas", "scipy", "sympy", "networkx")


class Box(AbstractContextManager["Box"]):
    """One warm box: started on entry, a check is a fork in it.

    A box that died is started again by the next `start`. Several checks may be alive at once; they
    can't see each other. Not for two threads at the same time.

    Args:
        packages: distributions that programs may import (with what they need).
        backend: "bubblewrap" or "landlock"; None takes what this machine offers, or what
            ``JUDGEBOX_BACKEND`` says.

    Raises:
        UserError: on entry, where no sandbox can be had.
    """

    def __init__(self, packages: Sequence[str] = PACKAGES, backend: str | None = None) -> None:
        self._packages = tuple(packages)
        self._forced = backend
        self._backend: Backend | None = None
        self._launched: Launched | None = None
        self._checks: dict[int, Check] = {}
        self._number = 0

    @property
    def backend(self) -> str:
        """The name of the backend in use, once entered."""
        assert self._backend is not None
        return self._backend.NAME

    @property
    def pid(self) -> int | None:
        """The process whose end is the box's end; None where there is no box at the moment."""
        return None if self._launched is None else self._launched.process.pid

    def __enter__(self) -> Self:
        self._live()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lose()

    def start(self, harness: str, request: bytes, limits: Limits) -> Check:
        """Start a check.

        Args:
            harness: module of `judgebox.harness` whose ``run(request, channel)`` is called
                in the isolated process.
            request: what it is given.
            limits: what it may use.

        Raises:
            UserError: the box had died and can't be started again.
        """
        for _ in range(2):
            launched = self._live()
            self._number += 1
            order = {
                "do": "start",
                "id": self._number,
                "harness": harness,
                "limits": limits.as_dict(),
            }
            ours_in, theirs_out = os.pipe()
            theirs_in, ours_out = os.pipe()
            try:
                socket.send_fds(
                    launched.control, [json.dumps(order).encode()], [theirs_in, theirs_out]
                )
            except OSError:  # it died while nobody looked
                os.close(ours_in)
                os.close(ours_out)
                self._lose()
                continue
            finally:
                os.close(theirs_in)
                os.close(theirs_out)
            check = Check(
                limits,
                (ours_in, ours_out),
                launched.control.fileno(),
                self._hear,
                functools.partial(self._kill, self._number),
                launched.process.kill,
            )
            self._checks[self._number] = check
            check.send(request)
            return check
        raise BoxFailed("the box died twice before it could be asked for anything")

    def _live(self) -> Launched:
        """The box, started if there is none."""
        if self._launched is not None and self._launched.process.poll() is None:
            return self._launched
        self._lose()
        # A box dies with the thread that started it (PR_SET_PDEATHSIG): with one that lives as
        # long as this process.
        self._launched = _thread(os.getpid()).submit(self._launch).result()
        return self._launched

    def _launch(self) -> Launched:
        if self._backend is not None:
            try:
                return machine.start(self._backend, runtime(self._packages))
            except Refused:
                pass  # what worked before does no more: look again, or say why
        self._backend, launched = machine.first(self._forced, self._packages)
        return launched

    def _hear(self) -> None:
        """Read one message of the runner's; where there are no more, all checks are lost."""
        assert self._launched is not None
        try:
            data = self._launched.control.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._lose()
            return
        message = json.loads(data)
        check = self._checks.pop(message["id"])
        if "error" in message:
            check.ended(Ended.lost(), message["error"])
        else:
            check.ended(
                Ended(
                    message["reason"], message["code"], message["cpu_seconds"], message["starved"]
                )
            )

    def _kill(self, number: int) -> None:
        if self._launched is not None and number in self._checks:
            order = json.dumps({"do": "kill", "id": number}).encode()
            try:
                self._launched.control.send(order)
            except OSError:
                self._lose()

    def _lose(self) -> None:
        """End the box, if it lives; its checks end with it."""
        if self._launched is not None:
            machine.end(self._launched)
            self._launched = None
        for check in self._checks.values():
            check.ended(Ended.lost())
        self._checks.clear()


@functools.cache
def _thread(process: int) -> ThreadPoolExecutor:
    """The thread that starts this process's boxes."""
    return ThreadPoolExecutor(1, thread_name_prefix="boxes")
