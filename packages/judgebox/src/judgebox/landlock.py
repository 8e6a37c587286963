"""Landlock and seccomp: a backend of locks, where namespaces are not to be had.

Weaker than bubblewrap: names and sizes of files outside can be asked for (not their contents), the
check sees the machine's name, and a full disk is noticed by looking, not by the kernel.

By Linux's landlock a process gives up access to files for itself and its children, for good; it
needs no rights for that. Each call of `lock` adds a layer, and an access must pass all of them.
What landlock does not govern, in any version: looking at a file's size and times (stat), modes,
times, owners and locks of files. Version by version it governs: 1 opening, making and removing
files and running programs; 2 moving files between folders (before: never allowed); 3 truncating;
4 TCP; 5 ioctl on devices; 6 signals and abstract unix sockets, to others than processes behind the
same lock; 7 its log.

The runner is locked in by `judgebox.landlock_launch`. A check adds two locks: landlock's, which
leaves it the runtime and one scratch folder, and a seccomp filter that lets it reach no process but
its own. No call takes it out of its process group, so that killing that ends it whole.
"""

import contextlib
import ctypes
import errno
import json
import os
import signal
import socket
import stat
import struct
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from judgebox import limits as limit
from judgebox import seccomp, spawn
from judgebox.scratch import Scratch
from judgebox.seccomp import LIBC, Refused

#: The newest version that this module makes use of.
NEWEST = 7
#: The first version in which a locked process cannot send signals past its lock.
SCOPED: Final = 6
#: The first version that governs truncating.
TRUNCATES: Final = 3

#: Rights on files that versions 1 to 5 can forbid.
_FILES: Final = (0x1FFF, 0x3FFF, 0x7FFF, 0x7FFF, 0xFFFF)
#: Binding and connecting by TCP; reaching abstract sockets and sending signals.
_TCP, _SCOPES = 3, 3

# Rights: 1 run programs, 2 write, 4 read files, 8 list folders, then remove, make (devices 0x40 and
# 0x800, sockets 0x200) and move files, 0x4000 truncate, 0x8000 ioctl on devices.
#: Read a file or all below a folder, and run programs there.
READ: Final = 1 | 4 | 8
#: List a folder and those below it, without reading their files.
LIST: Final = 8
#: Read and write a device such as /dev/null.
DEVICE: Final = 2 | 4 | 0x4000
#: Everything below a folder but running programs, devices and sockets.
WRITE: Final = 0xFFFF & ~(1 | 0x40 | 0x200 | 0x800 | 0x8000)
_OF_FILES: Final = 1 | 2 | 4 | 0x4000 | 0x8000

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same numbers on all machines
_VERSION, _PATH_BENEATH = 1, 1
#: A program that is refused something a million times must not fill the machine's audit log.
_NO_LOG, _LOGS = 1, 7

#: The variable in which the runner finds what it needs to know of its lock.
PLAN: Final = "JUDGEBOX_LOCKED_IN"
#: Devices, and what may be done with them. Memory that /dev/zero gives to who may write to it is in
#: no account (see `judgebox.seccomp`).
DEVICES: Final = {
    **dict.fromkeys(("/dev/null", "/dev/full", "/dev/random", "/dev/urandom"), DEVICE),
    "/dev/zero": READ,
}
_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36
#: Looking at the disk takes at most this share of a core; it is done once in so many seconds.
_LOOKING, _EVERY = 0.25, 0.1
_WHY: Final = {
    errno.ENOSYS: "this kernel has no landlock (it came with Linux 5.13)",
    errno.EPERM: "something around this process (a container's own filter) refuses it",
    errno.EOPNOTSUPP: "landlock is in this kernel, but not on: it is not in the boot option lsm=",
}


def version() -> int:
    """Return the kernel's landlock version (its "ABI") that is made use of, 1 or more.

    Raises:
        Refused: there is none, and why.
    """
    return min(_call(_CREATE, None, 0, _VERSION), NEWEST)


def handled(version: int) -> tuple[int, ...]:
    """Return what a version of landlock can forbid: rights on files, on TCP, and scopes."""
    words = 1 if version < 4 else 2 if version < SCOPED else 3
    return (_FILES[min(version, 5) - 1], _TCP, _SCOPES)[:words]


def lock(rules: Iterable[tuple[str, int]], version: int) -> None:
    """Give up, in this process and its children to come, all that no rule allows.

    Sets no_new_privs, as landlock demands. For a process with one thread: others stay unlocked.

    Args:
        rules: paths (those that do not exist are left out) and what is allowed on them and below.
        version: of landlock, see `version`.

    Raises:
        Refused: the kernel said no.
    """
    forbidden = handled(version)
    attributes = struct.pack(f"={len(forbidden)}Q", *forbidden)
    ruleset = _call(_CREATE, attributes, len(attributes), 0)
    try:
        for path, rights in rules:
            _allow(ruleset, path, rights & forbidden[0])
        seccomp.gain_no_rights()
        _call(_RESTRICT, ruleset, _NO_LOG if version >= _LOGS else 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(place).st_mode):
                rights &= _OF_FILES
            if rights:
                _call(_ADD, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
        finally:
            os.close(place)


def _call(call: int, *arguments: int | bytes | None) -> int:
    words = [a if a is None or isinstance(a, bytes) else ctypes.c_ulong(a) for a in arguments]
    result: int = LIBC.syscall(ctypes.c_long(call), *words)
    if result < 0:
        number = ctypes.get_errno()
        raise Refused(_WHY.get(number) or f"landlock's call {call}: {os.strerror(number)}")
    return result


class Cell(spawn.Cell):
    """The inner half of the backend.

    A check's first process takes in its orphans itself, as the first of a PID namespace does.
    """

    def __init__(self) -> None:
        if PLAN not in os.environ:
            raise spawn.NotInside(f"{PLAN} is not set: nobody locked this process in")
        plan: dict[str, Any] = json.loads(os.environ.pop(PLAN))
        self._checks: str = plan["checks"]
        self._reads: list[str] = plan["reads"]
        self._version: int = plan["version"]
        self._scratch: dict[int, Scratch] = {}
        self._look_at: dict[int, float] = {}
        self._own: Scratch | None = None
        self._profile = seccomp.Profile(truncate=self._version >= TRUNCATES)
        # Assembled once; but for an old landlock every check installs the same.
        seccomp.assemble(self._profile, seccomp.machine())
        adopt_orphans()

    def prove(self, hello: dict[str, Any]) -> None:
        """Prove that files, sockets and other processes are out of reach."""
        canary = spawn.canary_unseen(hello)
        for flags in (os.O_RDONLY, os.O_WRONLY):
            spawn.refused(f"opening {canary}", errno.EACCES, os.open, canary, flags)
        folder = os.path.dirname(canary)  # noqa: PTH120
        spawn.refused(f"listing {folder}", errno.EACCES, os.listdir, folder)
        for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK):
            what = f"a socket of {family.name}"
            spawn.refused(what, errno.EPERM, socket.socket, family)
        spawn.no_capabilities(bounding_set=False)
        spawn.filtered()
        if self._version >= SCOPED:
            spawn.refused("a signal to its parent", errno.EPERM, os.kill, os.getppid(), 0)
        children()  # raises where the kernel does not say whose child is whose

    def fork(self) -> int:
        """Fork the first process of a check, which leads a process group of its own."""
        scratch = Scratch(self._checks, "check-")
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            die_with(parent, signal.SIGKILL)
            os.setpgid(0, 0)
            self._own = scratch
            return 0
        # Both do it, so that neither goes on before it is done.
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.setpgid(pid, pid)
        self._scratch[pid] = scratch
        return pid

    def confine(self, limits: limit.Limits) -> None:
        """Lock this process in with its scratch folder.

        It takes in the check's orphans: their processor time must not get lost to the limits.
        """
        adopt_orphans()
        assert self._own is not None, "a check is confined in its own process"
        os.environ["HOME"] = os.environ["TMPDIR"] = self._own.path
        tempfile.tempdir = None
        os.chdir(self._own.path)
        # What of these folders the check may not see, the runner's own lock keeps from it as well.
        rules = [*((path, READ) for path in self._reads), *DEVICES.items(), (self._own.path, WRITE)]
        lock(rules, self._version)
        if self._version >= SCOPED:
            seccomp.install(self._profile)
        else:
            seccomp.install(replace(self._profile, signals_to=os.getpid()))

    def kill(self, init: int) -> None:
        """Kill the process group, wait until it is gone, and see to its scratch folder."""
        # All at once: the kernel lets no fork slip through between the members of a group.
        os.killpg(init, signal.SIGKILL)
        os.waitid(os.P_PID, init, os.WEXITED | os.WNOWAIT)
        # Whose parent has ended is the runner's child now; so when none is left, all have ended.
        while orphans := [pid for pid in children() if pid != init and os.getpgid(pid) == init]:
            for pid in orphans:
                os.waitpid(pid, 0)
        self._look_at.pop(init, None)
        if init in self._scratch:
            with contextlib.suppress(OSError):  # the sweeper tries again when the box ends
                self._scratch.pop(init).remove()

    def excess(self, init: int, limits: limit.Limits) -> limit.Reason | None:
        """Look, at times, at what the check takes of the disk."""
        now, began = time.monotonic(), time.process_time()
        if now < self._look_at.get(init, now) or init not in self._scratch:
            return None
        pids = limit.descendants(init, limits.processes + 1)
        used = self._scratch[init].used(limits.file_bytes, pids)
        # By its processor time: a busy machine must not make looks rare.
        took = time.process_time() - began
        self._look_at[init] = time.monotonic() + max(_EVERY, took / _LOOKING)
        return "disk" if used > limits.file_bytes else None


def adopt_orphans() -> None:
    """Become the parent of processes whose parents, descending from this one, end."""
    if LIBC.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def die_with(parent: int, number: int) -> None:
    """Have this process sent a signal when its parent ends.

    Args:
        parent: its id, to find out whether that has happened already.
        number: of the signal.
    """
    LIBC.prctl(_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def children() -> list[int]:
    """Process ids of the children of this process, whichever of its threads forked them."""
    tasks = Path("/proc/self/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text("ascii").split()]
