"""A warm box, and the checks that run in it: what a judge uses."""

import contextlib
import functools
import json
import os
import select
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from typing import Self

from judgebox import detect
from judgebox.harness import HEADER
from judgebox.limits import Ended, Limits
from judgebox.runtime import PACKAGES


class BoxFailed(Exception):
    """The box could not isolate a check: nothing was run. No program is to blame for it."""


class Box(AbstractContextManager["Box"]):
    """One warm box: started on entry, a check is a fork in it.

    A box that died is started again by the next `start`. Several checks may be alive at once; they
    can't see each other. Not for two threads at once.

    Args:
        packages: distributions that programs may import (with what they need).
        backend: "bubblewrap" or "landlock"; None takes what this machine offers, or what
            ``JUDGEBOX_BACKEND`` says.

    Raises:
        SetupError: on entry, where no sandbox can be had or a package is missing.
    """

    def __init__(self, packages: Sequence[str] = PACKAGES, backend: str | None = None) -> None:
        self._packages = tuple(packages)
        self._forced = backend
        self._backend: detect.Backend | None = None
        self._launched: detect.Launched | None = None
        self._checks: dict[int, Check] = {}
        self._number = 0

    @property
    def backend(self) -> str:
        """The name of the backend in use, once entered."""
        assert self._backend is not None
        return self._backend.name

    @property
    def pid(self) -> int | None:
        """The process whose end is the box's end; None where there is no box at the moment."""
        return None if self._launched is None else self._launched.process.pid

    def __enter__(self) -> Self:
        self._live()
        return self

    def __exit__(self, *error: object) -> None:
        self.lose()

    def start(self, harness: str, request: bytes, limits: Limits) -> "Check":
        """Start a check.

        Args:
            harness: module of `judgebox.harness` whose ``run(request, channel)`` is called
                in the isolated process.
            request: what it is given.
            limits: what it may use.

        Raises:
            SetupError: the box had died and can't be started again.
            BoxFailed: it died twice at once.
        """
        for _ in range(2):
            control = self._live().control
            self._number += 1
            order = {"do": "start", "id": self._number, "harness": harness}
            message = json.dumps({**order, "limits": asdict(limits)}).encode()
            ours_in, theirs_out = os.pipe()
            theirs_in, ours_out = os.pipe()
            try:
                socket.send_fds(control, [message], [theirs_in, theirs_out])
            except OSError:  # it died while nobody looked
                os.close(ours_in)
                os.close(ours_out)
                self.lose()
                continue
            finally:
                os.close(theirs_in)
                os.close(theirs_out)
            check = Check(self, self._number, limits, (ours_in, ours_out), control.fileno())
            self._checks[self._number] = check
            check.send(request)
            return check
        raise BoxFailed("the box died twice before it could be asked for anything")

    def receive(self) -> None:
        """Read one message of the runner's; where there are no more, all checks are lost."""
        assert self._launched is not None
        data = b""
        with contextlib.suppress(OSError):
            data = self._launched.control.recv(65536)
        if not data:
            self.lose()
            return
        message = json.loads(data)
        check = self._checks.pop(message.pop("id"))
        failure = message.pop("error", None)
        check.ended(Ended(**message) if failure is None else Ended.lost(), failure)

    def kill(self, number: int) -> None:
        """Have the runner kill the check of this number."""
        if self._launched is not None and number in self._checks:
            try:
                self._launched.control.send(json.dumps({"do": "kill", "id": number}).encode())
            except OSError:
                self.lose()

    def _live(self) -> detect.Launched:
        """The box, started if there is none."""
        if self._launched is None or self._launched.process.poll() is not None:
            self.lose()
            # A box dies with the thread that started it (PR_SET_PDEATHSIG): with one that lives as
            # long as this process.
            start = _thread(os.getpid()).submit(detect.start_first, self._forced, self._packages)
            self._backend, self._launched = start.result()
        return self._launched

    def lose(self) -> None:
        """End the box, if it lives; its checks end with it."""
        if self._launched is not None:
            detect.end(self._launched)
            self._launched = None
        for check in self._checks.values():
            check.ended(Ended.lost())
        self._checks.clear()


@functools.cache
def _thread(process: int) -> ThreadPoolExecutor:
    """The thread that starts this process's boxes."""
    return ThreadPoolExecutor(1, thread_name_prefix="boxes")


class Check(AbstractContextManager["Check"]):
    """One program's run, made by `Box.start`: frames go in, frames of untrusted data come out."""

    def __init__(
        self, box: Box, number: int, limits: Limits, pipes: tuple[int, int], control: int
    ) -> None:
        self._box, self._number, self._limits = box, number, limits
        self._output, self._input = pipes
        self._control = control
        for descriptor in pipes:
            os.set_blocking(descriptor, False)
        self._poll = select.poll()
        self._poll.register(self._output, select.POLLIN)
        self._poll.register(control, select.POLLIN)
        self._waiting, self._data, self._came = bytearray(), bytearray(), 0
        self._open, self._over = True, False
        self._silent = 0
        self._ended: Ended | None = None
        self._failure: str | None = None

    def frames(self) -> Iterator[bytes]:
        """Frames that the program wrote, until its end; see `wait` for how it ended."""
        while True:
            while (frame := self._take()) is not None:
                yield frame
            if not self._open:
                return
            self._pump()

    def send(self, frame: bytes) -> None:
        """A frame to the program; ignored once it is gone.

        Never blocks: what its pipe has no room for is written while its frames are waited for.
        """
        if self._input >= 0:
            self._waiting += len(frame).to_bytes(HEADER, "little") + frame
            self._write()

    def kill(self) -> None:
        """End the check with all its processes, now."""
        if self._ended is None:
            self._box.kill(self._number)

    def wait(self) -> Ended:
        """Wait for the end; after this nothing of it is alive. Output not taken is dropped.

        Raises:
            BoxFailed: nothing was run.
        """
        while self._ended is None or self._open:
            self._data.clear()
            self._pump()
        if self._input >= 0:
            os.close(self._input)
            os.close(self._output)
            self._input = self._output = -1
        if self._failure is not None:
            raise BoxFailed(self._failure)
        return self._ended

    def __exit__(self, *error: object) -> None:
        self.kill()
        with contextlib.suppress(BoxFailed):
            self.wait()

    def ended(self, ended: Ended, failure: str | None = None) -> None:
        """The runner's word that nothing is alive any more; called by the box."""
        self._failure = failure
        self._ended = replace(ended, reason="output", starved=False) if self._over else ended

    def _take(self) -> bytes | None:
        """The next whole frame."""
        if len(self._data) < HEADER:
            return None
        end = HEADER + int.from_bytes(self._data[:HEADER], "little")
        if end > self._limits.output_bytes:
            self._overflow()
        if len(self._data) < end:
            return None
        frame = bytes(memoryview(self._data)[HEADER:end])
        del self._data[:end]
        return frame

    def _pump(self) -> None:
        """Wait until something can be read or written, and do that."""
        events = self._poll.poll(1000)
        if not events:
            # The runner ends a check itself. Should it be stopped, or worse, so is the box.
            self._silent += 1
            if self._silent > self._limits.longest() + 30:
                self._box.lose()
        for descriptor, _ in events:
            if descriptor == self._output:
                self._read()
            elif descriptor != self._control:
                self._write()
            elif self._ended is None:
                self._box.receive()
        if self._ended is not None:
            self._poll_less(self._control)

    def _read(self) -> None:
        part = os.read(self._output, 2**20)
        self._came += len(part)
        if not part:
            self._poll_less(self._output)
            self._open = False
        elif not self._over:
            self._data += part
            if self._came > self._limits.output_bytes:
                self._overflow()

    def _overflow(self) -> None:
        self._over = True
        self._data.clear()
        self.kill()

    def _write(self) -> None:
        try:
            while self._waiting:
                del self._waiting[: os.write(self._input, self._waiting)]
        except BlockingIOError:
            self._poll.register(self._input, select.POLLOUT)
            return
        except BrokenPipeError:
            self._waiting.clear()
        self._poll_less(self._input)

    def _poll_less(self, descriptor: int) -> None:
        with contextlib.suppress(KeyError):
            self._poll.unregister(descriptor)
