"""Running a program in a box, and looking at processes from outside."""

import ast
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import yaml

from judgebox.box import Box
from judgebox.check import Ended, Limits


def table(name: str) -> Any:
    """Programs and cases of a test module: ``tables/NAME.yaml``."""
    path = Path(__file__).with_name("tables") / f"{name}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


GENEROUS = Limits(cpu_seconds=20, wall_seconds=60, memory_bytes=2**31)
MIB = 2**20

#: In front of every program: ``attempt`` returns what a call returns, or its error's name.
PRELUDE = """
import errno as _errno
def say(what): send(repr(what).encode())
def attempt(call, *arguments):
    try:
        return call(*arguments)
    except OSError as error:
        return _errno.errorcode[error.errno]
"""

#: A program that leaves three daemons behind; it says its process id and theirs.
DAEMONS = """
import os, signal, time
pids = [os.getpid()]
for _ in range(3):
    ours, theirs = os.pipe()
    if os.fork() == 0:
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            attempt(signal.signal, number, signal.SIG_IGN)
        attempt(os.setsid)
        attempt(os.setpgid, 0, 0)
        if os.fork() == 0:
            os.write(theirs, str(os.getpid()).encode())
            time.sleep(90)
        os._exit(0)
    pids.append(int(os.read(ours, 20)))
say(pids)
"""


class Ran(NamedTuple):
    frames: list[bytes]
    ended: Ended

    @property
    def said(self) -> Any:
        """What the program's only frame says."""
        assert self.ended.reason == "exit" and self.ended.code == 0, self
        (frame,) = self.frames
        return ast.literal_eval(frame.decode())


def source(program: str) -> bytes:
    return (PRELUDE + program).encode()


def run(box: Box, program: str, limits: Limits = GENEROUS, given: tuple[bytes, ...] = ()) -> Ran:
    """Run a program; it has ``send(bytes)``, ``say(object)``, ``receive()`` and ``attempt``."""
    with box.start("program", source(program), limits) as check:
        for frame in given:
            check.send(frame)
        frames = list(check.frames())
        return Ran(frames, check.wait())


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def family(box: Box) -> list[int]:
    """A box's processes, its launcher first."""
    return [box.pid or 0, *(one.pid for one in psutil.Process(box.pid).children(recursive=True))]


def until(true: Callable[[], bool], seconds: float = 60) -> bool:
    """Wait until something is true; whether it became so in time."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def environment(**more: str) -> dict[str, str]:
    """This process's variables, with the packages that it sees, for a process of its own."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | more
