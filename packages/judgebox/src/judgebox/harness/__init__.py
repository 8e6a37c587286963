"""What is called in an isolated process: a module with ``run(request, channel)`` each.

Harnesses run beside foreign code that can do to them what it likes, so whatever they send is data
that anybody in the box may have written.
"""

import importlib
import os
from collections.abc import Callable
from typing import Any, Final

#: By full names, for the fingerprint of the code that a stage runs.
HARNESSES: Final = {
    "calls": "judgebox.harness.calls",
    "program": "judgebox.harness",
    "record": "judgebox.harness.record",
}
#: Numbers of the only two descriptors of a check besides 0, 1 and 2, which are /dev/null.
INPUT: Final = 3
OUTPUT: Final = 4
#: A frame is so many bytes of length, little-endian, and as many bytes as they say.
HEADER: Final = 8


class Channel:
    """The check's ends of its two pipes."""

    def send(self, frame: bytes) -> None:
        """Write a frame to the judge; blocks while the judge has not read earlier ones.

        Raises:
            OSError: the pipe was closed.
        """
        view = memoryview(len(frame).to_bytes(HEADER, "little") + frame)
        while view:
            view = view[_write(OUTPUT, view) :]

    def receive(self) -> bytes | None:
        """Read the judge's next frame; None once there will be no more."""
        header = self._exactly(HEADER)
        return None if header is None else self._exactly(int.from_bytes(header, "little"))

    def _exactly(self, count: int) -> bytes | None:
        data = bytearray()
        while len(data) < count:
            part = _read(INPUT, min(count - len(data), 2**20))
            if not part:
                return None
            data += part
        return bytes(data)


Run = Callable[[bytes, Channel], None]

# What a program puts in their place (os.write = ...) is not what this module calls.
_read, _write = os.read, os.write


def preload(name: str) -> Run:
    """Import a harness, and with it the libraries that its checks then find in memory.

    Args:
        name: one of `HARNESSES`.

    Raises:
        ImportError: there is no such harness.
    """
    if name not in HARNESSES:
        raise ImportError(f"no harness: {name!r}")
    run: Run = importlib.import_module(HARNESSES[name]).run
    return run


def run(request: bytes, channel: Channel) -> None:
    """Execute a Python program as it is: the harness `program`, for tests of the box.

    Args:
        request: its source. Its globals hold ``send(bytes)`` and ``receive() -> bytes | None``.
        channel: what these two stand for.
    """
    names: dict[str, Any] = {
        "__name__": "__main__",
        "send": channel.send,
        "receive": channel.receive,
    }
    exec(compile(request, "<program>", "exec"), names)
