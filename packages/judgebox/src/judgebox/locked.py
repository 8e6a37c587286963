"""A check behind locks of its own: the inner half of the landlock backend.

The runner is locked in already (`judgebox.lockin`). A check adds two locks: landlock's,
which leaves it the runtime and one scratch folder, and a seccomp filter that lets it reach no
process but its own. No call takes it out of its process group, so that killing that ends it whole.
"""

import contextlib
import ctypes
import errno
import json
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from judgebox import landlock, proof, seccomp, watch
from judgebox.backend import Cell
from judgebox.limits import Limits, Reason
from judgebox.scratch import Scratch

#: The variable in which the runner finds what it needs to know of its lock.
PLAN: Final = "MIXMERGE_LOCKED_IN"
#: Devices, and what may be done with them. Memory that /dev/zero gives to who may write to it is in
#: no account (see `judgebox.seccomp`).
DEVICES: Final = {
    **dict.fromkeys(("/dev/null", "/dev/full", "/dev/random", "/dev/urandom"), landlock.DEVICE),
    "/dev/zero": landlock.READ,
}
_SET_PDEATHSIG, _SET_CHILD_SUBREAPER, _GET_NO_NEW_PRIVS = 1, 36, 39
#: Looking at the disk takes at most this share of a core; it is done once in so many seconds.
_LOOKING, _EVERY = 0.25, 0.1

_libc = ctypes.CDLL(None, use_errno=True)


def cell() -> Cell:
    """The cell that `judgebox.runner` works with."""
    return Locked()


def adopt_orphans() -> None:
    """Become the parent of processes whose parents, descending from this one, end."""
    if _libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def die_with(parent: int) -> None:
    """End this process when its parent ends.

    Args:
        parent: its id, to find out whether that has happened already.
    """
    _libc.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


class Locked:
    """See `judgebox.backend.Cell`."""

    #: The check's first process takes in its orphans itself, as the first of a PID namespace does.
    NEEDS_INIT: Final = False

    def __init__(self) -> None:
        try:
            plan: dict[str, Any] = json.loads(os.environ.pop(PLAN))
        except KeyError as error:
            raise proof.NotInside(f"{PLAN} is not set: nobody locked this process in") from error
        self._checks: str = plan["checks"]
        self._reads: list[str] = plan["reads"]
        self._version: int = plan["version"]
        self._scratch: dict[int, Scratch] = {}
        #: For the next check: most write nothing, and a busy disk makes folders slowly.
        self._empty: list[Scratch] = []
        self._look_at: dict[int, float] = {}
        self._own: Scratch | None = None
        adopt_orphans()

    def prove(self, hello: dict[str, object]) -> dict[str, object]:
        """Prove that files, sockets and other processes are out of reach."""
        proof.unseen(hello)
        canary = Path(str(hello["canary"]))
        for flags in (os.O_RDONLY, os.O_WRONLY):
            _refused(f"opening {canary}", errno.EACCES, os.open, canary, flags)
        _refused(f"listing {canary.parent}", errno.EACCES, os.listdir, canary.parent)
        for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK):
            _refused(f"a socket of {family.name}", errno.EPERM, socket.socket, family)
        for line in Path("/proc/self/status").read_text("ascii").splitlines():
            # Not the bounding set: only root can empty it, and no_new_privs makes it meaningless.
            if line.startswith("Cap") and line[:6] != "CapBnd" and int(line.split()[1], 16):
                raise proof.NotInside(f"it holds capabilities ({line})")
        filtered = _libc.prctl(seccomp.PR_GET_SECCOMP, 0, 0, 0, 0)
        if filtered != 2 or _libc.prctl(_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1:
            raise proof.NotInside("it has no system call filter, or may gain rights")
        if self._version >= landlock.SCOPED:
            _refused("a signal to its parent", errno.EPERM, os.kill, os.getppid(), 0)
        try:
            children()
        except OSError as error:
            raise proof.NotInside(
                f"the kernel does not say whose child is whose: {error}"
            ) from error
        return {"landlock": self._version}

    def fork(self) -> int:
        """Fork the first process of a check, which leads a process group of its own."""
        scratch = self._empty.pop() if self._empty else Scratch(self._checks, "check-")
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            die_with(parent)
            os.setpgid(0, 0)
            self._own = scratch
            return 0
        # Both do it, so that neither goes on before it is done.
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.setpgid(pid, pid)
        self._scratch[pid] = scratch
        return pid

    def enter(self, limits: Limits) -> None:
        """Take in the check's orphans: their processor time must not get lost to the limits."""
        adopt_orphans()

    def restrict(self, limits: Limits) -> None:
        """Lock this process in with its scratch folder."""
        assert self._own is not None, "a check is restricted in its own process"
        os.environ["HOME"] = os.environ["TMPDIR"] = self._own.path
        tempfile.tempdir = None
        os.chdir(self._own.path)
        # What of these folders the check may not see, the runner's own lock keeps from it as well.
        rules = [(path, landlock.READ) for path in self._reads]
        rules += DEVICES.items()
        landlock.lock([*rules, (self._own.path, landlock.WRITE)], self._version)
        seccomp.install(
            seccomp.Profile(
                signals_to=None if self._version >= landlock.SCOPED else os.getpid(),
                truncate=self._version >= landlock.TRUNCATES,
            )
        )

    def kill(self, init: int) -> None:
        """Kill the process group, wait until it is gone, and see to its scratch folder."""
        # All at once: the kernel lets no fork slip through between the members of a group.
        os.killpg(init, signal.SIGKILL)
        os.waitid(os.P_PID, init, os.WEXITED | os.WNOWAIT)
        # Whose parent has ended is the runner's child now; so when none is left, all have ended.
        while orphans := [pid for pid in children() if pid != init and os.getpgid(pid) == init]:
            for pid in orphans:
                os.waitpid(pid, 0)
        scratch = self._scratch.pop(init, None)
        self._look_at.pop(init, None)
        if scratch is not None:
            with contextlib.suppress(OSError):  # the sweeper tries again when the box ends
                if scratch.untouched():
                    self._empty.append(scratch)
                else:
                    scratch.remove()

    def tree(self, init: int, most: int) -> list[int]:
        """All processes of the check: its orphans become children of its first."""
        return watch.descendants(init, most)

    def excess(self, init: int, limits: Limits) -> Reason | None:
        """Look, at times, at what the check takes of the disk."""
        now, began = time.monotonic(), time.process_time()
        if now < self._look_at.get(init, now) or init not in self._scratch:
            return None
        pids = self.tree(init, limits.processes + 1)
        used = self._scratch[init].used(limits.file_bytes, pids)
        # By its processor time: a busy machine must not make looks rare.
        took = time.process_time() - began
        self._look_at[init] = time.monotonic() + max(_EVERY, took / _LOOKING)
        return "disk" if used > limits.file_bytes else None


def children() -> list[int]:
    """Process ids of the children of this process, whichever of its threads forked them."""
    tasks = Path("/proc/self/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text("ascii").split()]


def _refused(what: str, error: int, call: Callable[..., object], *arguments: object) -> None:
    """Prove that a call fails, and for this reason and no other.

    Raises:
        NotInside: it works, or fails for another reason.
    """
    try:
        call(*arguments)
    except OSError as found:
        if found.errno == error:
            return
        raise proof.NotInside(f"{what} fails for another reason: {found}") from found
    raise proof.NotInside(f"{what} works")
