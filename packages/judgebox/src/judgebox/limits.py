"""Limits of a check (one program's run): what they are, who sees to them, and how it ended.

The kernel's own limits alone do not bound what all processes of a check use together, so the runner
looks at them from outside.
"""

import os
import select
import time
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

#: Why a check ended: by itself ("exit", "signal"), over a limit, or ended by the judge ("killed";
#: also where the box died under it).
Reason = Literal["exit", "signal", "cpu", "wall", "memory", "processes", "disk", "output", "killed"]


@dataclass(frozen=True)
class Limits:
    """Bounds of one check: of all its processes together where nothing else is said."""

    cpu_seconds: float
    """Processor time of all together (polled every 20 ms; ``RLIMIT_CPU`` a little above)."""

    wall_seconds: float
    """Seconds by the clock, less those for which it waited for a core or for the judge to read.
    Be generous: what really bounds a computation is its processor time."""

    memory_bytes: int
    """Address space of each process; resident memory of all together (polled)."""

    processes: int = 32
    """Processes alive at a time; of threads eight times as many."""

    file_bytes: int = 64 * 2**20
    """Size of its file system in memory, and of a file."""

    output_bytes: int = 256 * 2**20
    """What may come out of its pipe."""

    def longest(self) -> float:
        """Seconds after which a check ends whatever it has been waiting for."""
        return 20 * self.wall_seconds + 60


@dataclass(frozen=True)
class Ended:
    """How a check ended; nothing of it is alive any more."""

    reason: Reason
    code: int
    """Exit code ("exit"), else the signal that ended its first process, 0 where unknown."""

    cpu_seconds: float
    """Processor time of all its processes, as far as the kernel added it up."""

    starved: bool
    """Whether something other than the program may be to blame (a time-out by the clock, a kill
    from outside, a box that died): run it again, alone, before it counts."""

    @classmethod
    def lost(cls) -> Self:
        """The end of a check whose box died under it."""
        return cls("killed", 0, 0.0, True)


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


class Monitor:
    """Watches what the processes of one check use, against its limits.

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

    def exceeded(self, pids: list[int]) -> Reason | None:
        """Return the limit that is exceeded, None where all are kept.

        Args:
            pids: the check's processes, its first one first.
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
        # One more: the first process may be no more than the parent of what the program runs as.
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
