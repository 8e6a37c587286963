"""What a check uses, looked at from outside of it: what rlimits alone do not bound."""

import os
import select
import time
from typing import NamedTuple

from judgebox.limits import Limits, Reason

#: Threads a process that `Limits.processes` allows.
THREADS = 8
_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
#: Share of a core that a program gets at the very least, where the kernel does not say.
_LEAST_SHARE = 0.1


class Stat(NamedTuple):
    """What /proc/PID/stat says of a process."""

    cpu_seconds: float
    """Its own and that of its children that it has waited for."""

    own_seconds: float
    started: int
    """In the kernel's ticks; its number may be another's later."""

    threads: int
    resident: int
    """Bytes, shared pages included."""


def descendants(root: int, most: int) -> list[int]:
    """A process and what descends from it, as far as it was seen in passing.

    Args:
        root: its id.
        most: ids to find; where there are more, the rest is left out.
    """
    found = [root]
    for pid in found:
        if len(found) >= most:
            break
        for task in _names(f"/proc/{pid}/task"):
            found += map(int, _read(f"/proc/{pid}/task/{task}/children").split())
    return found


def stat(pid: int) -> Stat | None:
    """Look at a process; None where it is gone."""
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    if not fields:
        return None
    own, waited = (sum(map(int, fields[first : first + 2])) * _TICK for first in (11, 13))
    threads, started, resident = (int(fields[number]) for number in (17, 19, 21))
    return Stat(own + waited, own, started, threads, resident * _PAGE)


class Watch:
    """The limits of one check, and what it has used of them.

    Args:
        limits: its limits.
        output: the writing end of the pipe that its output goes to.
    """

    def __init__(self, limits: Limits, output: int) -> None:
        self._limits = limits
        self._started = self._looked = time.monotonic()
        self._queued: dict[int, float] = {}
        self._own: dict[tuple[int, int], float] = {}
        self._blocked = 0.0
        self._full = select.poll()
        self._full.register(output, select.POLLOUT)
        self.cpu_seconds = 0.0
        """The most that was seen."""

    def look(self, pids: list[int]) -> Reason | None:
        """Say which limit is exceeded, if one is.

        Args:
            pids: the check's processes, the init first.
        """
        now = time.monotonic()
        if not self._full.poll(0):  # it waits for the judge
            self._blocked += now - self._looked
        self._looked = now
        limits = self._limits
        seen = {pid: one for pid in pids if (one := stat(pid)) is not None}
        # Of those that have ended, what nobody waited for is in no other's account; of those that
        # came and went between two looks, only what was waited for is known.
        self._own |= {(pid, one.started): one.own_seconds for pid, one in seen.items()}
        together = sum(one.cpu_seconds for one in seen.values())
        self.cpu_seconds = max(self.cpu_seconds, together, sum(self._own.values()))
        threads = sum(one.threads for one in seen.values())
        # The init is not the check's.
        if len(seen) > limits.processes + 1 or threads > THREADS * limits.processes + 1:
            return "processes"
        if (
            sum(one.resident for one in seen.values()) + sum(map(_swapped, seen))
            > limits.memory_bytes
            # Pages that a forked process shares with its parent were counted twice.
            and sum(map(_proportional, seen)) > limits.memory_bytes
        ):
            return "memory"
        if self.cpu_seconds > limits.cpu_seconds:
            return "cpu"
        return "wall" if self._waited(now, seen) > limits.wall_seconds else None

    def _waited(self, now: float, seen: dict[int, Stat]) -> float:
        """Seconds for which it could have got on."""
        clock = now - self._started - self._blocked
        for pid, one in seen.items():
            self._queued[pid] = _queued(pid, one.threads)
        if clock > self._limits.longest():
            return clock
        if not _QUEUES_KNOWN:
            return clock * _LEAST_SHARE
        return clock - sum(self._queued.values())


def _queued(pid: int, threads: int) -> float:
    """Seconds for which a process waited for a core."""
    if threads == 1:
        lines = [_read(f"/proc/{pid}/schedstat").split()]
    else:
        tasks = _names(f"/proc/{pid}/task")
        lines = [_read(f"/proc/{pid}/task/{task}/schedstat").split() for task in tasks]
    return sum(int(fields[1]) / 1e9 for fields in lines if len(fields) == 3)


def _swapped(pid: int) -> int:
    """Bytes of a process that are swapped out."""
    if not _SWAPS:
        return 0
    lines = _read(f"/proc/{pid}/status").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(b"VmSwap:"))


def _proportional(pid: int) -> int:
    """Bytes of a process in memory and swap, pages that it shares counted by its share."""
    names = (b"Pss:", b"SwapPss:")
    lines = [line.split() for line in _read(f"/proc/{pid}/smaps_rollup").splitlines()]
    found = [int(line[1]) * 1024 for line in lines if line[0] in names]
    if found:
        return sum(found)
    one = stat(pid)
    return one.resident if one else 0


def _read(path: str) -> bytes:
    """A small file of the kernel's; empty where it is gone."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(file, 65536)
    except OSError:
        return b""
    finally:
        os.close(file)


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208
    except OSError:
        return []


_QUEUES_KNOWN = bool(_read("/proc/self/schedstat"))
_SWAPS = _read("/proc/swaps").count(b"\n") > 1
