"""A check (one program's run): its limits, its pipes, how it ended, and what it uses.

The kernel's own limits alone do not bound what all processes of a check use together, so the runner
looks at them (`Running`).
"""

import contextlib
import os
import resource
import select
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Self

#: Why a check ended: by itself ("exit", "signal"), over a limit, or ended by the judge ("killed";
#: also where the box died under it).
Reason = Literal["exit", "signal", "cpu", "wall", "memory", "processes", "disk", "output", "killed"]
#: No core dump. Not 0: the program that they are piped to would still be started, outside and as
#: root; "we use cprm.limit of 1 here as a special value" (Linux, fs/coredump.c), for none.
NO_CORE_DUMP: Final = (1, 1)


@dataclass(frozen=True)
class Limits:
    """Bounds of one check: of all its processes together where nothing else is said."""

    #: Processor time of all together (polled every 20 ms; ``RLIMIT_CPU`` a little above).
    cpu_seconds: float
    #: Seconds by the clock, less those for which it waited for a core or for the judge to read.
    #: Be generous: what really bounds a computation is its processor time.
    wall_seconds: float
    #: Address space of each process; resident memory of all together (polled).
    memory_bytes: int
    #: Processes alive at a time; of threads eight times as many.
    processes: int = 32
    #: Size of its file system in memory, and of a file.
    file_bytes: int = 64 * 2**20
    #: What may come out of its pipe.
    output_bytes: int = 256 * 2**20

    def longest(self) -> float:
        """Seconds after which a check ends whatever it has been waiting for."""
        return 20 * self.wall_seconds + 60

    def enforce(self, files: int) -> None:
        """Have the kernel bound this process and its children, also to so many open files."""
        # Processor time is enforced by looking; this is for what happens between two looks. The
        # kernel counts whole ticks here, on a busy machine up to a tenth more than a process had.
        seconds = int(1.25 * self.cpu_seconds) + 2
        for which, most in (
            (resource.RLIMIT_CPU, (seconds, seconds + 1)),
            (resource.RLIMIT_AS, (self.memory_bytes, self.memory_bytes)),
            (resource.RLIMIT_FSIZE, (self.file_bytes, self.file_bytes)),
            (resource.RLIMIT_NOFILE, (files, files)),
            (resource.RLIMIT_CORE, NO_CORE_DUMP),
        ):
            # What the machine's user may not raise again stays as it is.
            hard = resource.getrlimit(which)[1]
            hard = sys.maxsize if hard == resource.RLIM_INFINITY else hard
            resource.setrlimit(which, (min(most[0], hard), min(most[1], hard)))


@dataclass(frozen=True)
class Ended:
    """How a check ended; nothing of it is alive any more."""

    reason: Reason
    #: Exit code ("exit"), else the signal that ended its first process, 0 where unknown.
    code: int
    #: Processor time of all its processes, as far as the kernel added it up.
    cpu_seconds: float
    #: Whether something other than the program may be to blame (a time-out by the clock, a kill
    #: from outside, a box that died): run it again, alone, before it counts.
    starved: bool

    @classmethod
    def lost(cls) -> Self:
        """The end of a check whose box died under it."""
        return cls("killed", 0, 0.0, True)


#: Numbers of the only two descriptors of a check besides 0, 1 and 2, which are /dev/null.
INPUT: Final = 3
OUTPUT: Final = 4
#: A frame is so many bytes of length, little-endian, and as many bytes as they say.
HEADER: Final = 8
# What a program puts in their place (os.write = ...) is not what this module calls.
_read, _write = os.read, os.write


class Channel:
    """The check's ends of its two pipes; sending blocks while the judge has not read."""

    def send(self, frame: bytes) -> None:
        """Write a frame to the judge."""
        view = memoryview(len(frame).to_bytes(HEADER, "little") + frame)
        while view:
            view = view[_write(OUTPUT, view) :]

    def receive(self) -> bytes | None:
        """Read the judge's next frame; None once there will be no more."""
        data, count = bytearray(), HEADER
        for header in (True, False):
            while len(data) < count:
                part = _read(INPUT, min(count - len(data), 2**20))
                if not part:
                    return None
                data += part
            if header:
                data, count = bytearray(), int.from_bytes(data, "little")
        return bytes(data)


Run = Callable[[bytes, Channel], None]


def run(request: bytes, channel: Channel) -> None:
    """The harness for tests of the box: Python source, with globals `send` and `receive`."""
    names = {"__name__": "__main__", "send": channel.send, "receive": channel.receive}
    exec(compile(request, "<program>", "exec"), names)


#: Threads a process that `Limits.processes` allows.
THREADS = 8
_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
#: Share of a core that a program gets at the very least, where the kernel does not say.
_LEAST_SHARE = 0.1


class Stat(NamedTuple):
    """What /proc/PID/stat says of a process; resident bytes include shared pages."""

    cpu_seconds: float  # with those of children that it has waited for
    own_seconds: float
    started: int  # in the kernel's ticks; its number may be another's later
    threads: int
    resident: int


def descendants(root: int, most: int) -> list[int]:
    """A process and what descends from it, as far as it was seen in passing; about `most` ids."""
    family = [root]
    for pid in family:
        if len(family) >= most:
            break
        for task in _names(f"/proc/{pid}/task"):
            family += map(int, content(f"/proc/{pid}/task/{task}/children").split())
    return family


def look_at(pid: int) -> Stat | None:
    """Look at a process; None where it is gone."""
    fields = content(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    if not fields:
        return None
    own, waited = (sum(map(int, fields[first : first + 2])) * _TICK for first in (11, 13))
    threads, started, resident = (int(fields[number]) for number in (17, 19, 21))
    return Stat(own + waited, own, started, threads, resident * _PAGE)


class Running:
    """A check that is alive: watches what its processes use.

    `init` is its first process, `report` where the judge is told, `output` the writing end of the
    pipe that its output goes to.
    """

    def __init__(self, init: int, limits: Limits, report: socket.socket, output: int) -> None:
        self.init, self.limits, self.report, self.output = init, limits, report, output
        self.reason: Reason | None = None
        self.cpu_seconds = 0.0  # the most that was seen
        self._started = self._looked = time.monotonic()
        self._queued: dict[int, float] = {}
        self._own: dict[tuple[int, int], float] = {}
        self._blocked = 0.0
        self._full = select.poll()
        self._full.register(output, select.POLLOUT)

    def exceeded(self) -> Reason | None:
        """The limit that its processes exceed, None where all are kept."""
        now, limits = time.monotonic(), self.limits
        if not self._full.poll(0):  # it waits for the judge
            self._blocked += now - self._looked
        self._looked = now
        # A few more than allowed say all.
        pids = descendants(self.init, (limits.processes + 2) * 2)
        stats = {pid: status for pid in pids if (status := look_at(pid)) is not None}
        # Of those that have ended, what nobody waited for is in no other's account; of those that
        # came and went between two looks, only what was waited for is known.
        self._own |= {(pid, status.started): status.own_seconds for pid, status in stats.items()}
        together = sum(status.cpu_seconds for status in stats.values())
        self.cpu_seconds = max(self.cpu_seconds, together, sum(self._own.values()))
        threads = sum(status.threads for status in stats.values())
        # One more: the first process may be no more than the parent of what the program runs as.
        if len(stats) > limits.processes + 1 or threads > THREADS * limits.processes + 1:
            return "processes"
        used = sum(status.resident for status in stats.values())
        used += sum(_bytes(pid, "status", b"VmSwap:") for pid in stats) if _SWAPS else 0
        # Pages that a forked process shares with its parent are counted twice at first.
        most = limits.memory_bytes
        if used > most and sum(map(_proportional, stats)) > most:
            return "memory"
        if self.cpu_seconds > limits.cpu_seconds:
            return "cpu"
        waited = clock = now - self._started - self._blocked
        self._queued |= {pid: _queued(pid) for pid in stats}
        if clock <= limits.longest():  # less what it waited for a core
            known = clock - sum(self._queued.values())
            waited = known if _QUEUES_KNOWN else clock * _LEAST_SHARE
        return "wall" if waited > limits.wall_seconds else None


def _queued(pid: int) -> float:
    """Seconds for which a process's threads waited for a core."""
    tasks = _names(f"/proc/{pid}/task")
    lines = [content(f"/proc/{pid}/task/{task}/schedstat").split() for task in tasks]
    return sum(int(fields[1]) / 1e9 for fields in lines if len(fields) == 3)


def _proportional(pid: int) -> int:
    """Bytes of a process in memory and swap, pages that it shares counted by its share."""
    share = _bytes(pid, "smaps_rollup", b"Pss:", b"SwapPss:")
    status = look_at(pid)  # anew: it may have ended
    return share or (status.resident if status else 0)


def _bytes(pid: int, file: str, *names: bytes) -> int:
    """The sum of some of the lines of a file in /proc/PID."""
    lines = [line.split() for line in content(f"/proc/{pid}/{file}").splitlines()]
    return sum(int(line[1]) * 1024 for line in lines if line[0] in names)


def content(path: str, most: int = 65536) -> bytes:
    """A file of the kernel's; empty where it is gone."""
    with contextlib.suppress(OSError), open(path, "rb") as file:  # noqa: PTH123
        return file.read(most)
    return b""


def _names(folder: str) -> list[str]:
    with contextlib.suppress(OSError):
        return os.listdir(folder)  # noqa: PTH208
    return []


_QUEUES_KNOWN = bool(content("/proc/self/schedstat"))
_SWAPS = content("/proc/swaps").count(b"\n") > 1
