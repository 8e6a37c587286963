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
from pathlib import Path
from typing import Any, Final

from judgebox import limits as limit
from judgebox import seccomp, self_check
from judgebox.scratch import Scratch
from judgebox.seccomp import PR_SET_NO_NEW_PRIVS, Refused

#: The newest version that this module makes use of.
NEWEST = 7
#: The first version in which a locked process cannot send signals past its lock.
SCOPED: Final = 6
#: The first version that governs truncating.
TRUNCATES: Final = 3

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_SOCK, _MAKE_BLOCK = 1 << 6, 1 << 9, 1 << 11
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_OF_FILES: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

#: Read a file or all below a folder, and run programs there.
READ: Final = _EXECUTE | _READ_FILE | _READ_DIR
#: List a folder and those below it, without reading their files.
LIST: Final = _READ_DIR
#: Read and write a device such as /dev/null.
DEVICE: Final = _READ_FILE | _WRITE_FILE | _TRUNCATE
#: Everything below a folder but running programs, devices and sockets.
WRITE: Final = 0xFFFF & ~(_EXECUTE | _MAKE_CHAR | _MAKE_SOCK | _MAKE_BLOCK | _IOCTL_DEV)

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same numbers on all machines
_VERSION, _PATH_BENEATH = 1, 1
#: A program that is refused something a million times must not fill the machine's audit log.
_NO_LOG: Final = 1
_LOGS: Final = 7
_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1
_ABSTRACT_SOCKETS, _SIGNALS = 1 << 0, 1 << 1

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

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_WHY: Final = {
    errno.ENOSYS: "this kernel has no landlock (it came with Linux 5.13)",
    errno.EPERM: "something around this process (a container's own filter) refuses it",
    errno.EOPNOTSUPP: "landlock is in this kernel, but not on: it is not in the boot option lsm=",
}


def version() -> int:
    """Return the kernel's landlock version (its "ABI"), 1 or more.

    Raises:
        Refused: there is none, and why.
    """
    found = _call(_CREATE, None, 0, _VERSION)
    if found < 1:
        number = ctypes.get_errno()
        raise Refused(f"landlock: {_WHY.get(number, os.strerror(number))}")
    return found


def handled(version: int) -> tuple[int, int, int]:
    """Return what a version can forbid: rights on files, on TCP, and scopes.

    Args:
        version: of landlock.
    """
    files = (1 << 13) - 1
    files |= (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= TRUNCATES else 0)
    files |= _IOCTL_DEV if version >= 5 else 0
    tcp = _BIND_TCP | _CONNECT_TCP if version >= 4 else 0
    return files, tcp, _ABSTRACT_SOCKETS | _SIGNALS if version >= SCOPED else 0


def lock(rules: Iterable[tuple[str, int]], version: int) -> None:
    """Give up, in this process and its children to come, all that no rule allows.

    Sets no_new_privs, as landlock demands. For a process with one thread: others stay unlocked.

    Args:
        rules: paths (those that do not exist are left out) and what is allowed on them and below.
        version: up to which landlock is used; not above the kernel's.

    Raises:
        Refused: the kernel said no.
    """
    files, tcp, scopes = handled(version)
    words = (files, tcp, scopes)[: 1 if version < 4 else 2 if version < SCOPED else 3]
    attributes = struct.pack(f"={len(words)}Q", *words)
    ruleset = _must(_CREATE, attributes, len(attributes), 0)
    try:
        for path, rights in rules:
            _allow(ruleset, path, rights & files)
        if _LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
            raise Refused(f"prctl(PR_SET_NO_NEW_PRIVS): {os.strerror(ctypes.get_errno())}")
        _must(_RESTRICT, ruleset, _NO_LOG if version >= _LOGS else 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(place).st_mode):
                rights &= _OF_FILES
            if rights:
                _must(_ADD, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
        finally:
            os.close(place)


def _must(call: int, *arguments: int | bytes | None) -> int:
    result = _call(call, *arguments)
    if result < 0:
        raise Refused(f"landlock (system call {call}): {os.strerror(ctypes.get_errno())}")
    return result


def _call(call: int, *arguments: int | bytes | None) -> int:
    words = [a if a is None or isinstance(a, bytes) else ctypes.c_ulong(a) for a in arguments]
    result: int = _LIBC.syscall(ctypes.c_long(call), *words)
    return result


class Cell:
    """The inner half of the backend; see `judgebox.spawn.Cell`.

    A check's first process takes in its orphans itself, as the first of a PID namespace does.
    """

    def __init__(self) -> None:
        try:
            plan: dict[str, Any] = json.loads(os.environ.pop(PLAN))
        except KeyError as error:
            fault = f"{PLAN} is not set: nobody locked this process in"
            raise self_check.NotInside(fault) from error
        self._checks: str = plan["checks"]
        self._reads: list[str] = plan["reads"]
        self._version: int = plan["version"]
        self._scratch: dict[int, Scratch] = {}
        #: For the next check: most write nothing, and a busy disk makes folders slowly.
        self._empty: list[Scratch] = []
        self._look_at: dict[int, float] = {}
        self._own: Scratch | None = None
        adopt_orphans()

    def prove(self, hello: dict[str, object]) -> None:
        """Prove that files, sockets and other processes are out of reach."""
        canary = self_check.canary_unseen(hello)
        for flags in (os.O_RDONLY, os.O_WRONLY):
            self_check.refused(f"opening {canary}", errno.EACCES, os.open, canary, flags)
        folder = os.path.dirname(canary)  # noqa: PTH120
        self_check.refused(f"listing {folder}", errno.EACCES, os.listdir, folder)
        for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK):
            what = f"a socket of {family.name}"
            self_check.refused(what, errno.EPERM, socket.socket, family)
        self_check.no_capabilities(bounding_set=False)
        self_check.filtered()
        if self._version >= SCOPED:
            self_check.refused("a signal to its parent", errno.EPERM, os.kill, os.getppid(), 0)
        try:
            children()
        except OSError as error:
            fault = f"the kernel does not say whose child is whose: {error}"
            raise self_check.NotInside(fault) from error

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

    def enter(self, limits: limit.Limits) -> None:
        """Take in the check's orphans: their processor time must not get lost to the limits."""
        adopt_orphans()

    def restrict(self, limits: limit.Limits) -> None:
        """Lock this process in with its scratch folder."""
        assert self._own is not None, "a check is restricted in its own process"
        os.environ["HOME"] = os.environ["TMPDIR"] = self._own.path
        tempfile.tempdir = None
        os.chdir(self._own.path)
        # What of these folders the check may not see, the runner's own lock keeps from it as well.
        rules = [*((path, READ) for path in self._reads), *DEVICES.items(), (self._own.path, WRITE)]
        lock(rules, self._version)
        seccomp.install(
            seccomp.Profile(
                signals_to=None if self._version >= SCOPED else os.getpid(),
                truncate=self._version >= TRUNCATES,
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
        return limit.descendants(init, most)

    def excess(self, init: int, limits: limit.Limits) -> limit.Reason | None:
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


def adopt_orphans() -> None:
    """Become the parent of processes whose parents, descending from this one, end."""
    if _LIBC.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def die_with(parent: int) -> None:
    """End this process when its parent ends.

    Args:
        parent: its id, to find out whether that has happened already.
    """
    _LIBC.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def children() -> list[int]:
    """Process ids of the children of this process, whichever of its threads forked them."""
    tasks = Path("/proc/self/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text("ascii").split()]
