"""How a check's first process comes to be: forked, isolated, limited, and then the program's."""

import fcntl
import os
import resource
import signal
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn, Protocol

from judgebox import harness
from judgebox.limits import Limits, Reason
from judgebox.seccomp import Refused

#: Where a process writes what went wrong before any foreign code ran.
_REPORT: Final = harness.OUTPUT + 1
#: Descriptors that a process may have open.
_FILES: Final = 256
#: No core dump. Not 0: the program that they are piped to would still be started, outside and as
#: root; "we use cprm.limit of 1 here as a special value" (Linux, fs/coredump.c), for none.
NO_CORE_DUMP: Final = (1, 1)
# What a program puts in its place is not what ends its process.
_leave = os._exit


@dataclass
class Launched:
    """A box whose runner has been started and not yet been asked for its proof."""

    process: "subprocess.Popen[bytes]"
    """Killing it ends everything in the box. Its stderr is a pipe."""

    control: socket.socket
    """The judge's end of a pair of ``AF_UNIX``/``SOCK_SEQPACKET`` sockets."""


def launch(
    command: Callable[[int], list[str]], environment: dict[str, str], **options: Any
) -> Launched:
    """Start a box's outermost process, with the other end of its control socket.

    Args:
        command: its command line, given the descriptor of that end.
        environment: all of its variables.
        options: of `subprocess.Popen`, such as its standard input.

    Raises:
        Refused: it can't be executed.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        line = command(theirs.fileno())
        try:
            process = subprocess.Popen(
                line,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                cwd="/",
                env=environment,
                **options,
            )
        except OSError as error:
            ours.close()
            raise Refused(f"{line[0]}: {error.strerror}") from error
    return Launched(process, ours)


class Cell(Protocol):
    """The inner half of a backend: how the runner isolates a check.

    A backend's module has a class of this name, and a function ``launch(runtime)`` (its outer half,
    in the judge's process) that starts ``runtime.command(module, control fd)`` so that it sees what
    `runtime` lists. Everything in the box must die with the calling process.
    """

    def prove(self, hello: dict[str, object]) -> None:
        """Show that this process is inside; called once, before any check.

        Args:
            hello: what the outside said of itself, see `judgebox.self_check`.

        Raises:
            NotInside: with what is wrong; the runner then exits with 97.
        """

    def fork(self) -> int:
        """Fork the first process of a new check: its pid in the runner, 0 in itself."""

    def enter(self, limits: Limits) -> None:
        """In that process, first thing: what can't be done later (mounts, dropping rights)."""

    def restrict(self, limits: Limits) -> None:
        """In that process, last before foreign code: no_new_privs, seccomp, ...

        Resource limits are set already, and every descriptor but 0-5 is closed (5 is ours, to
        report what this raises; it is closed before foreign code runs).
        """

    def kill(self, init: int) -> None:
        """In the runner: end a check with all its processes.

        Called also once its first process has ended and before it is waited for.
        """

    def tree(self, init: int, most: int) -> list[int]:
        """In the runner: process ids of a living check, its first one first; about `most`."""

    def excess(self, init: int, limits: Limits) -> Reason | None:
        """In the runner, a few times a second: a limit that only this cell can look after."""


def begin(cell: Cell, limits: Limits, run: harness.Run, pipes: tuple[int, int, int]) -> NoReturn:
    """In the process that `Cell.fork` made: become the check; never returns.

    Args:
        cell: how a check is isolated.
        limits: the check's.
        run: its harness.
        pipes: descriptors of the check's input, of its output, and of the pipe for reports.
    """
    code = 1
    try:
        try:
            _keep(pipes)
            cell.enter(limits)
            _limit(limits)
            cell.restrict(limits)
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
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    moved = [fcntl.fcntl(number, fcntl.F_DUPFD, _FILES) for number in descriptors]
    for number, target in zip(moved, (harness.INPUT, harness.OUTPUT, _REPORT), strict=True):
        os.dup2(number, target)
    # Its own: flags of the runner's would be every check's.
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.closerange(_REPORT + 1, 2 * _FILES)


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
        allowed = most if hard == resource.RLIM_INFINITY else tuple(min(one, hard) for one in most)
        resource.setrlimit(which, (allowed[0], allowed[1]))
