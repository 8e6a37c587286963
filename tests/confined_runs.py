"""What the tests of the landlock backend share: running a program, and looking for what is left."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from judgebox import landlock, seccomp
from judgebox.box import Box
from judgebox.limits import Ended, Limits


def _version() -> tuple[int, str]:
    """The newest version of landlock that can be tested here, or what is missing."""
    try:
        seccomp.machine()
        return min(landlock.version(), landlock.NEWEST), ""
    except OSError as error:
        return 1, str(error)


NEWEST, MISSING = _version()
"""The newest version of landlock to be tested here; what is missing, if something is."""
MARKS = [pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=f"{MISSING}: NOT TESTED")]
LIMITS = Limits(cpu_seconds=20, wall_seconds=60, memory_bytes=4 * 2**30)

#: A program that leaves three daemons behind; it sends its process id and theirs.
DAEMONS = """
import json, os, signal, time
pids = [os.getpid()]
for _ in range(3):
    ours, theirs = os.pipe()
    if os.fork() == 0:
        for number in range(1, 32):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        for call in (os.setsid, lambda: os.setpgid(0, 0)):
            try:
                call()
            except OSError:
                pass
        if os.fork() == 0:
            os.write(theirs, str(os.getpid()).encode())
            time.sleep(90)
        os._exit(0)
    pids.append(int(os.read(ours, 20)))
send(json.dumps(pids).encode())
"""


def run(box: Box, program: str, limits: Limits = LIMITS) -> tuple[Any, Ended]:
    """What a program sent first, and how it ended."""
    with box.start("program", program.encode(), limits) as check:
        frames = list(check.frames())
        ended = check.wait()
    return json.loads(frames[0]) if frames else None, ended


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def members(group: int) -> list[int]:
    """Living processes of a process group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] not in (b"Z", b"X"):
            found.append(int(stat.parent.name))
    return found


def until(true: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
