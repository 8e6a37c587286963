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
    """A process and what descends from it, as far as it was seen in passing; about `most` ids."""
    family = [root]
    for pid in family:
        if len(family) >= most:
            break
        for task in _names(f"/proc/{pid}/task"):
            family += map(int, _read(f"/proc/{pid}/task/{task}/children").split())
    return family


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
        """Return the limit that a check's processes exceed, None where all are kept."""
        now = time.monotonic()
        if not self._full.poll(0):  # it waits for the judge
            self._blocked += now - self._looked
        self._looked = now
        limits = self._limits
        stats = {pid: status for pid in pids if (status := stat(pid)) is not None}
        # Of those that have ended, what nobody waited for is in no other's account; of those that
        # came and went between two looks, only what was waited for is known.
        self._own |= {(pid, status.started): status.own_seconds for pid, status in stats.items()}
        together = sum(status.cpu_seconds for status in stats.values())
        self.cpu_seconds = max(self.cpu_seconds, together, sum(self._own.values()))
        threads = sum(status.threads for status in stats.values())
        # One more: the first process may be no more than the parent of what the program runs as.
        if len(stats) > limits.processes + 1 or threads > THREADS * limits.processes + 1:
            return "processes"
        resident = sum(status.resident for status in stats.values())
        swapped = sum(_bytes(pid, "status", b"VmSwap:") for pid in stats) if _SWAPS else 0
        # Pages that a forked process shares with its parent are counted twice at first.
        most = limits.memory_bytes
        if resident + swapped > most and sum(map(_proportional, stats)) > most:
            return "memory"
        if self.cpu_seconds > limits.cpu_seconds:
            return "cpu"
        return "wall" if self._waited(now, stats) > limits.wall_seconds else None

    def _waited(self, now: float, stats: dict[int, Stat]) -> float:
        """Seconds for which it could have got on."""
        clock = now - self._started - self._blocked
        self._queued |= {pid: _queued(pid) for pid in stats}
        if clock > self._limits.longest():
            return clock
        return clock - sum(self._queued.values()) if _QUEUES_KNOWN else clock * _LEAST_SHARE


def _queued(pid: int) -> float:
    """Seconds for which a process's threads waited for a core."""
    tasks = _names(f"/proc/{pid}/task")
    lines = [_read(f"/proc/{pid}/task/{task}/schedstat").split() for task in tasks]
    return sum(int(fields[1]) / 1e9 for fields in lines if len(fields) == 3)


def _proportional(pid: int) -> int:
    """Bytes of a process in memory and swap, pages that it shares counted by its share."""
    share = _bytes(pid, "smaps_rollup", b"Pss:", b"SwapPss:")
    status = stat(pid)  # anew: it may have ended
    return share or (status.resident if status else 0)


def _bytes(pid: int, file: str, *names: bytes) -> int:
    """The sum of some of the lines of a file in /proc/PID."""
    lines = [line.split() for line in _read(f"/proc/{pid}/{file}").splitlines()]
    return sum(int(line[1]) * 1024 for line in lines if line[0] in names)


def _read(path: str) -> bytes:
    """A small file of the kernel's; empty where it is gone."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            return file.read(65536)
    except OSError:
        return b""


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208
    except OSError:
        return []


_QUEUES_KNOWN = bool(_read("/proc/self/schedstat"))
_SWAPS = _read("/proc/swaps").count(b"\n") > 1
