"""What a judge works with: its box, and how much a program in it may use."""

import json
import resource
from collections.abc import Sequence
from typing import Any

from judgebox.box import Box

#: Address space of a judge: outputs that would need more to be compared fail their program.
_OWN_BYTES = 4 * 2**30


class Bench:
    """One judge's; its box is started when it is first needed.

    Args:
        memory_bytes: address space of a program.
        packages: distributions that programs may import.
    """

    def __init__(self, memory_bytes: int, packages: Sequence[str]) -> None:
        self.memory_bytes = memory_bytes
        self._packages = packages
        self._box: Box | None = None

    @property
    def box(self) -> Box:
        """A warm box.

        Raises:
            UserError: no sandbox can be had.
        """
        if self._box is None:
            self._box = Box(self._packages).__enter__()
        return self._box

    def close(self) -> None:
        """End the box."""
        if self._box is not None:
            self._box.__exit__(None, None, None)
            self._box = None

    def as_argument(self) -> str:
        """For the command line of a judge; `from_argument` reads it."""
        return json.dumps([self.memory_bytes, list(self._packages)])

    @classmethod
    def from_argument(cls, text: str) -> "Bench":
        """The bench of a judge that was started with `as_argument`."""
        content: list[Any] = json.loads(text)
        return cls(*content)


def bound_own_memory() -> None:
    """Bound this process, so that what comes out of a box can't fill the machine's memory.

    Only the soft limit: processes that are started from here may raise theirs again.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    bound = _OWN_BYTES if hard == resource.RLIM_INFINITY else min(_OWN_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
