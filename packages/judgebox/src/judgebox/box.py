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
from judgebox.check import HEADER, Ended, Limits
from judgebox.runtime import PACKAGES


class BoxFailed(Exception):
    """The box could not isolate a check: nothing was run. No program is to blame for it."""


class Box(AbstractContextManager["Box"]):
    """One warm box: started on entry, a check is a fork in it.

    A box that died is started again by the next `start`. Several checks may be alive at once; they
    can't see each other. Not for two threads at once.

    Programs may import the packages' distributions (with what they need). The backend is
    "bubblewrap" or "landlock"; None takes what this machine offers, or what ``JUDGEBOX_BACKEND``
    says. Entry raises `SetupError` where no sandbox can be had or a package is missing.
    """

    def __init__(self, packages: Sequence[str] = PACKAGES, backend: str | None = None) -> None:
        self._packages, self._forced = tuple(packages), backend
        self._launched: detect.Launched | None = None

    @property
    def backend(self) -> str:
        """The name of the backend in use, once entered."""
        assert self._launched is not None
        return self._launched.backend.name

    @property
    def pid(self) -> int | None:
        """The process whose end is the box's end; None where there is no box at the moment."""
        return None if self._launched is None else self._launched.process.pid

    def __enter__(self) -> Self:
        self._live()
        return self

    def __exit__(self, *error: object) -> None:
        self._lose()

    def start(self, harness: str, request: bytes, limits: Limits) -> "Check":
        """Start a check: in an isolated process a harness ("calls", "record" or "program") runs.

        Raises `SetupError` where the box had died and can't be started again, `BoxFailed` where it
        died twice at once.
        """
        message = json.dumps({"harness": harness, "limits": asdict(limits)}).encode()
        for _ in range(2):
            try:
                return Check(self._live(), message, request, limits)
            except OSError:  # it died while nobody looked
                self._lose()
        raise BoxFailed("the box died twice before it could be asked for anything")

    def _live(self) -> detect.Launched:
        if self._launched is None or self._launched.process.poll() is not None:
            self._lose()
            # A box dies with the thread that started it (PR_SET_PDEATHSIG): with one that lives as
            # long as this process.
            start = _thread(os.getpid()).submit(detect.start_first, self._forced, self._packages)
            self._launched = start.result()
        return self._launched

    def _lose(self) -> None:
        if self._launched is not None:
            detect.end(self._launched)
            self._launched = None


@functools.cache
def _thread(process: int) -> ThreadPoolExecutor:
    """The thread that starts this process's boxes."""
    return ThreadPoolExecutor(1, thread_name_prefix="boxes")


class Check(AbstractContextManager["Check"]):
    """One program's run, made by `Box.start`: frames go in, frames of untrusted data come out."""

    def __init__(
        self, launched: detect.Launched, message: bytes, request: bytes, limits: Limits
    ) -> None:
        self._launched, self._limits = launched, limits
        self._output, theirs_out = os.pipe()
        theirs_in, self._input = os.pipe()
        # The runner says here how the check ended; no more of a way back ends it.
        self._report, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                numbers = [theirs_in, theirs_out, theirs.fileno()]
                socket.send_fds(launched.control, [message], numbers)
            except OSError:
                self._close()
                raise
            finally:
                os.close(theirs_in)
                os.close(theirs_out)
        self._poll = select.poll()
        for descriptor in (self._output, self._input):
            os.set_blocking(descriptor, False)
        for descriptor in (self._output, self._report.fileno()):
            self._poll.register(descriptor, select.POLLIN)
        self._waiting, self._data, self._came = bytearray(), bytearray(), 0
        self._open, self._over, self._silent = True, False, 0
        self._ended: Ended | None = None
        self._failure: str | None = None
        self.send(request)

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
        if self._report.fileno() >= 0:
            self._waiting += len(frame).to_bytes(HEADER, "little") + frame
            self._write()

    def kill(self) -> None:
        """End the check with all its processes, now."""
        if self._ended is None:
            with contextlib.suppress(OSError):
                self._report.shutdown(socket.SHUT_WR)

    def wait(self) -> Ended:
        """Wait for the end, dropping output; then nothing is alive, or `BoxFailed`: nothing ran."""
        while self._ended is None or self._open:
            self._data.clear()
            self._pump()
        self._close()
        if self._failure is not None and self._ended.reason == "exit":
            raise BoxFailed(self._failure)
        return self._ended

    def __exit__(self, *error: object) -> None:
        self.kill()
        with contextlib.suppress(BoxFailed):
            self.wait()

    def _close(self) -> None:
        if self._report.fileno() >= 0:
            self._report.close()
            os.close(self._input)
            os.close(self._output)

    def _take(self) -> bytes | None:
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
                detect.end(self._launched)
        for descriptor, _ in events:
            if descriptor == self._output:
                self._read()
            elif descriptor == self._input:
                self._write()
            else:
                self._hear()

    def _hear(self) -> None:
        """The runner's word on how it ended, that nothing was run, or that the runner is gone."""
        data = b""
        with contextlib.suppress(OSError):
            data = self._report.recv(65536)
        message = json.loads(data) if data else asdict(Ended.lost())
        if "error" in message:
            self._failure = message["error"]
            return
        if not data:
            detect.end(self._launched)
        self._poll.unregister(self._report)
        ended = Ended(**message)
        self._ended = replace(ended, reason="output", starved=False) if self._over else ended

    def _read(self) -> None:
        part = os.read(self._output, 2**20)
        self._came += len(part)
        if not part:
            self._poll.unregister(self._output)
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
        with contextlib.suppress(KeyError):
            self._poll.unregister(self._input)
