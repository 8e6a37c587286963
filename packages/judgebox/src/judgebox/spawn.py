"""How a check's first process comes to be: forked, limited, confined, and then the program's."""

import errno
import fcntl
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

from judgebox import harness
from judgebox.limits import Limits, Reason
from judgebox.seccomp import LIBC, filter_is_on

#: Where a process writes what went wrong before any foreign code ran.
_REPORT: Final = harness.OUTPUT + 1
#: Descriptors that a process may have open.
_FILES: Final = 256
#: No core dump. Not 0: the program that they are piped to would still be started, outside and as
#: root; "we use cprm.limit of 1 here as a special value" (Linux, fs/coredump.c), for none.
NO_CORE_DUMP: Final = (1, 1)
_GET_NO_NEW_PRIVS, _CAPBSET_DROP, _CAP_AMBIENT, _CLEAR_ALL = 39, 24, 47, 4
_CAPABILITY_VERSION_3 = 0x20080522
# What a program puts in its place is not what ends its process.
_leave = os._exit


class NotInside(OSError):
    """This process is not in the box that it should be in; the message says what is wrong."""


class Cell:
    """The inner half of a backend: how the runner isolates a check.

    A backend's module has a class of this name, and a function ``command`` (its outer half) whose
    result starts ``runtime.command(module, control)`` so that it sees what `runtime` lists.
    Everything in the box must die with the process that is started so.
    """

    def prove(self, hello: dict[str, Any]) -> None:
        """Show that this process is inside, before any check; `hello` is `judgebox.detect`'s.

        Paid for: a prototype that emptied ``/tmp`` between programs was once started outside of its
        sandbox, as root.

        Raises:
            NotInside: with what is wrong; the runner then exits with 97.
        """
        raise NotImplementedError

    def fork(self) -> int:
        """Fork the first process of a new check: its pid in the runner, 0 in itself."""
        raise NotImplementedError

    def confine(self, limits: Limits) -> None:
        """In that process, last before foreign code: give up all that a check does not need.

        Resource limits are set already, and every descriptor but 0-5 is closed (5 is ours, to
        report what this raises; it is closed before foreign code runs).
        """
        raise NotImplementedError

    def kill(self, init: int) -> None:
        """In the runner: end a check with all its processes, also if its first one has ended."""
        raise NotImplementedError

    def excess(self, init: int, limits: Limits) -> Reason | None:
        """In the runner, a few times a second: a limit that only this cell can look after."""
        return None


def begin(cell: Cell, limits: Limits, run: harness.Run, pipes: tuple[int, int, int]) -> NoReturn:
    """In the process that `Cell.fork` made: become the check, whose harness is `run`.

    Args:
        cell: how a check is isolated.
        limits: the check's.
        run: its harness.
        pipes: descriptors of its input, of its output, and of the pipe for reports.
    """
    code = 1
    try:
        try:
            _keep(pipes)
            _limit(limits)
            cell.confine(limits)
        except BaseException as error:
            os.write(_REPORT, f"{type(error).__name__}: {error}".encode()[:1000])
            raise
        os.close(_REPORT)
        request = harness.Channel().receive()
        if request is not None:
            run(request, harness.Channel())
            code = 0
    finally:
        _leave(code)


def _keep(descriptors: tuple[int, int, int]) -> None:
    """Close all descriptors but these and /dev/null, and give them their numbers."""
    signal.set_wakeup_fd(-1)
    for handled in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(handled, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    moved = [fcntl.fcntl(number, fcntl.F_DUPFD, _FILES) for number in descriptors]
    for number, target in zip(moved, (harness.INPUT, harness.OUTPUT, _REPORT), strict=True):
        os.dup2(number, target)
    silence()  # /dev/null anew: flags of the runner's would be every check's
    os.closerange(_REPORT + 1, 2 * _FILES)


def silence() -> None:
    """Make standard input, output and errors /dev/null."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)


def _limit(limits: Limits) -> None:
    """Set the resource limits that the kernel enforces."""
    # Processor time is enforced by looking; this is for what happens between two looks. The kernel
    # counts whole ticks here, on a busy machine up to a tenth more than a process has had.
    seconds = int(1.25 * limits.cpu_seconds) + 2
    for which, most in (
        (resource.RLIMIT_CPU, (seconds, seconds + 1)),
        (resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes)),
        (resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes)),
        (resource.RLIMIT_NOFILE, (_FILES, _FILES)),
        (resource.RLIMIT_CORE, NO_CORE_DUMP),
    ):
        # What the machine's user may not raise again stays as it is.
        hard = resource.getrlimit(which)[1]
        hard = sys.maxsize if hard == resource.RLIM_INFINITY else hard
        resource.setrlimit(which, (min(most[0], hard), min(most[1], hard)))


def drop_capabilities() -> None:
    """Give up what root may do beyond other users, for good, as far as this process has it."""
    for number in range(64):
        LIBC.prctl(_CAPBSET_DROP, number, 0, 0, 0)
    LIBC.prctl(_CAP_AMBIENT, _CLEAR_ALL, 0, 0, 0)
    LIBC.capset(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), bytes(24))


# What cells prove; each raises `NotInside` where it does not hold.


def canary_unseen(hello: dict[str, Any]) -> str:
    """Prove that the launcher's canary, a file that exists outside, can't be opened; its path."""
    canary = hello.get("canary")
    if not isinstance(canary, str) or not canary.startswith("/"):
        raise NotInside("the launcher named no canary")
    try:
        os.close(os.open(canary, os.O_RDONLY))
    except OSError:
        return canary
    raise NotInside(f"a file of the outside can be read: {canary}")


def no_capabilities(bounding_set: bool) -> None:
    """Prove that this process holds no capability.

    Args:
        bounding_set: whether that set must be empty, too. Only root can empty it, and no_new_privs
            makes it meaningless.
    """
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        counts = line.startswith("Cap") and (bounding_set or not line.startswith("CapBnd"))
        if counts and int(line.split()[1], 16):
            raise NotInside(f"it keeps capabilities ({line.strip()})")


def filtered() -> None:
    """Prove that system calls are filtered and rights can't be gained."""
    if not filter_is_on() or LIBC.prctl(_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1:
        raise NotInside("it has no system call filter, or may gain rights")
    refused("a socket of AF_UNIX", errno.EPERM, socket.socket, socket.AF_UNIX)


def refused(what: str, error: int, call: Callable[..., object], *arguments: object) -> None:
    """Prove that a call fails, and for this reason and no other."""
    try:
        call(*arguments)
    except OSError as refusal:
        if refusal.errno == error:
            return
        raise NotInside(f"{what} fails for another reason: {refusal}") from refusal
    raise NotInside(f"{what} works")
