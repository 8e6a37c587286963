"""What a sandbox has to offer: an outer half that starts a box, an inner one for each check."""

import socket
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from judgebox.limits import Limits, Reason

if TYPE_CHECKING:  # `runtime` is of the outside; this module is seen in the box, too
    from judgebox.runtime import Runtime


class SetupError(Exception):
    """What whoever runs a judge must put right; the message says how."""


class PackageError(SetupError):
    """A distribution that programs shall be able to import is not to be had here."""


class Refused(Exception):
    """This machine does not offer this sandbox; the message is what the kernel or tool said."""


@dataclass
class Launched:
    """A box whose runner has been started and not yet been asked for its proof."""

    process: "subprocess.Popen[bytes]"
    """Killing it ends everything in the box. Its stderr is a pipe."""

    control: socket.socket
    """The judge's end of a pair of ``AF_UNIX``/``SOCK_SEQPACKET`` sockets."""


class Backend(Protocol):
    """The outer half, in the judge's process: a module with these two names."""

    @property
    def NAME(self) -> str:
        """Bubblewrap or landlock, in small letters."""
        ...

    def launch(self, runtime: "Runtime") -> Launched:
        """Start ``runtime.command(cell, control fd)`` so that it sees what `runtime` lists.

        The runner finds the other end of the control socket under the number that its command
        names. Everything in the box must die with the calling process.

        Raises:
            Refused: nothing could be started.
        """
        ...


class Cell(Protocol):
    """The inner half, in the box; the runner is given one, made by ``module.cell()``."""

    @property
    def NEEDS_INIT(self) -> bool:
        """Whether what is forked is an *init* of ours, and the check's first process its child.

        Otherwise the init is the check's first process itself.
        """
        ...

    def prove(self, hello: dict[str, object]) -> dict[str, object]:
        """Show that this process is inside; called once, before any check.

        Args:
            hello: what the outside said of itself, see `judgebox.proof`.

        Returns:
            What was found, for the record.

        Raises:
            judgebox.proof.NotInside: with what is wrong; the runner then exits with 97.
        """
        ...

    def fork(self) -> int:
        """Fork the init of a new check: its pid in the runner, 0 in itself."""
        ...

    def enter(self, limits: Limits) -> None:
        """In the init, first thing: what can't be done later (mounts, dropping rights)."""
        ...

    def restrict(self, limits: Limits) -> None:
        """In the check's first process, last before foreign code: no_new_privs, seccomp, ...

        Resource limits are set already, and every descriptor but 0-5 is closed (5 is ours, to
        report what this raises; it is closed before foreign code runs).
        """
        ...

    def kill(self, init: int) -> None:
        """In the runner: end a check with all its processes.

        Called also once its init has ended and before it is waited for.
        """
        ...

    def tree(self, init: int, most: int) -> list[int]:
        """In the runner: process ids of a living check, its init first; about `most` suffice."""
        ...

    def excess(self, init: int, limits: Limits) -> Reason | None:
        """In the runner, a few times a second: a limit that only this cell can look after."""
        ...
