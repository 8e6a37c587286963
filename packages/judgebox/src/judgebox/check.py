"""One program's run, seen from the judge: frames go in, frames of untrusted data come out."""

import contextlib
import os
import select
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType

from judgebox.harness import HEADER
from judgebox.limits import Ended, Limits

_PART = 2**20


class BoxFailed(Exception):
    """The box could not isolate a check: nothing was run. It is our fault, not the program's."""


class Check(AbstractContextManager["Check"]):
    """One program's run. What comes out of it is data that anybody in the box may have written.

    Made by `judgebox.box.Box.start`.

    Args:
        limits: what it may use.
        pipes: descriptors of the judge's ends: where it reads, where it writes.
        control: the descriptor of the control socket, waited for together with the pipes.
        hear: reads a message from there; whose check it tells of, that check's `ended` is called.
        kill: asks the runner to end this check.
        give_up: kills the box.
    """

    def __init__(
        self,
        limits: Limits,
        pipes: tuple[int, int],
        control: int,
        hear: Callable[[], None],
        kill: Callable[[], None],
        give_up: Callable[[], None],
    ) -> None:
        self._limits = limits
        self._output, self._input = pipes
        self._control = control
        self._hear, self._ask_to_kill, self._give_up = hear, kill, give_up
        for descriptor in pipes:
            os.set_blocking(descriptor, False)
        self._poll = select.poll()
        self._poll.register(self._output, select.POLLIN)
        self._poll.register(control, select.POLLIN)
        self._waiting: deque[memoryview] = deque()
        self._data = bytearray()
        self._came = 0
        self._open = True
        self._silent = 0.0
        self._over = False
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
            self._waiting.append(memoryview(len(frame).to_bytes(HEADER, "little")))
            self._waiting.append(memoryview(frame))
            self._write()

    def kill(self) -> None:
        """End the check with all its processes, now."""
        if self._ended is None:
            self._ask_to_kill()

    def wait(self) -> Ended:
        """Wait for the end; after this nothing of it is alive. Output not taken is dropped.

        Raises:
            BoxFailed: nothing was run.
        """
        while self._ended is None or self._open:
            self._data.clear()
            self._pump()
        self._close()
        if self._failure is not None:
            raise BoxFailed(self._failure)
        return self._ended

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        with contextlib.suppress(BoxFailed):
            self.wait()

    def ended(self, ended: Ended, failure: str | None = None) -> None:
        """The runner's word that nothing is alive any more; called by the box."""
        self._failure = failure
        if self._over:
            ended = Ended("output", ended.code, ended.cpu_seconds, False)
        self._ended = ended

    def _take(self) -> bytes | None:
        """The next whole frame."""
        if len(self._data) < HEADER:
            return None
        end = HEADER + int.from_bytes(self._data[:HEADER], "little")
        if end > self._limits.output_bytes:
            self._overflow()
            return None
        if len(self._data) < end:
            return None
        frame = bytes(memoryview(self._data)[HEADER:end])
        del self._data[:end]
        return frame

    def _pump(self) -> None:
        """Wait until something can be read or written, and do that."""
        began = time.monotonic()
        events = self._poll.poll(1000)
        if not events:
            # The runner ends a check itself. Should it be stopped, or worse, so is the box.
            self._silent += time.monotonic() - began
            if self._silent > self._limits.longest() + 30:
                self._give_up()
        for descriptor, _ in events:
            if descriptor == self._control:
                if self._ended is None:
                    self._hear()
            elif descriptor == self._output:
                self._read()
            else:
                self._write()
        if self._ended is not None:
            self._poll_less(self._control)

    def _read(self) -> None:
        part = os.read(self._output, _PART)
        if not part:
            self._poll_less(self._output)
            self._open = False
            return
        self._came += len(part)
        if self._over:
            return
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
                written = os.write(self._input, self._waiting[0])
                self._waiting[0] = self._waiting[0][written:]
                if not self._waiting[0]:
                    self._waiting.popleft()
        except BlockingIOError:
            self._poll.register(self._input, select.POLLOUT)
            return
        except BrokenPipeError:
            self._waiting.clear()
        self._poll_less(self._input)

    def _poll_less(self, descriptor: int) -> None:
        with contextlib.suppress(KeyError):
            self._poll.unregister(descriptor)

    def _close(self) -> None:
        if self._input >= 0:
            os.close(self._input)
            os.close(self._output)
            self._input = self._output = -1
