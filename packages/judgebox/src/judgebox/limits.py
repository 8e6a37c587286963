"""What a program may use, and how it ended."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

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

    def as_dict(self) -> dict[str, Any]:
        """The fields, as they cross the control socket."""
        return asdict(self)


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
