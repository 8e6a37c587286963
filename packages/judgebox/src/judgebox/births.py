"""How a check's first process comes to be: forked, isolated, limited, and then the program's."""

import fcntl
import os
import resource
import signal
from typing import Final, NoReturn

from judgebox import harness
from judgebox.backend import Cell
from judgebox.limits import Limits

#: Where a process writes what went wrong before any foreign code ran.
_REPORT: Final = harness.OUTPUT + 1
#: Descriptors that a process may have open.
_FILES: Final = 256
#: No core dump. Not 0: the program that they are piped to would still be started, outside and as
#: root; "we use cprm.limit of 1 here as a special value" (Linux, fs/coredump.c), for none.
_CORE: Final = (1, 1)
# What a program puts in its place is not what ends its process.
_leave = os._exit


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
            if cell.NEEDS_INIT and (child := os.fork()):
                _watch_over(child)
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


def _watch_over(child: int) -> NoReturn:
    """Be the init: collect orphans until the check's first process ends, then end as it did."""
    for descriptor in (harness.INPUT, harness.OUTPUT, _REPORT):
        os.close(descriptor)
    while True:
        pid, status = os.wait()
        if pid == child:
            break
    if os.WIFSIGNALED(status):
        resource.setrlimit(resource.RLIMIT_CORE, _CORE)
        signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    _leave(os.waitstatus_to_exitcode(status) & 0xFF)


def _limit(limits: Limits) -> None:
    # Processor time is enforced by looking; this is for what happens between two looks. The kernel
    # counts whole ticks here, on a busy machine up to a tenth more than a process has had.
    seconds = int(1.25 * limits.cpu_seconds) + 2
    for which, most in (
        (resource.RLIMIT_CPU, (seconds, seconds + 1)),
        (resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes)),
        (resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes)),
        (resource.RLIMIT_NOFILE, (_FILES, _FILES)),
        (resource.RLIMIT_CORE, _CORE),
    ):
        # What the machine's user may not raise again stays as it is.
        hard = resource.getrlimit(which)[1]
        allowed = most if hard == resource.RLIM_INFINITY else tuple(min(one, hard) for one in most)
        resource.setrlimit(which, (allowed[0], allowed[1]))
