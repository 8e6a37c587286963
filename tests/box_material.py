"""A box to run small programs in, and how they ended."""

import ast
import functools
from typing import Any, NamedTuple

import pytest

from judgebox import detect
from judgebox.box import Box
from judgebox.limits import Ended, Limits

GENEROUS = Limits(cpu_seconds=20, wall_seconds=60, memory_bytes=2**31)


class Ran(NamedTuple):
    frames: list[bytes]
    ended: Ended

    @property
    def said(self) -> Any:
        """What the program's only frame says: the ``repr`` of something plain."""
        assert self.ended.reason == "exit" and self.ended.code == 0, self
        (frame,) = self.frames
        return ast.literal_eval(frame.decode())


def run(box: Box, program: str, limits: Limits = GENEROUS, given: tuple[bytes, ...] = ()) -> Ran:
    """Run a program; it has ``send(bytes)``, ``say(object)`` and ``receive()``."""
    source = "def say(what): send(repr(what).encode())\n" + program
    with box.start("program", source.encode(), limits) as check:
        for frame in given:
            check.send(frame)
        frames = list(check.frames())
        return Ran(frames, check.wait())


def need_bubblewrap() -> None:
    """Skip the test, loudly, where bubblewrap does not work."""
    offers = [offer for offer in _offered() if offer.backend == "bubblewrap"]
    if not any(offer.works for offer in offers):
        pytest.skip(f"bubblewrap does not work here, NOT TESTED: {offers}")


@functools.cache
def _offered() -> list[detect.BackendStatus]:
    return detect.available()
