# expect: pass
# problem: open
# honest: answers rightly, and only if it gains no priority and changes nobody's
# ruff: noqa
"""Raises its priority, takes real-time scheduling, changes a stranger's limits and niceness."""

import ctypes
import posix

PID = int("@@CANARY_PID@@")


def gained():
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        posix.nice(-5)
        return "nice"
    except OSError:
        pass
    for policy in (posix.SCHED_FIFO, posix.SCHED_RR):
        try:
            posix.sched_setscheduler(0, policy, posix.sched_param(1))
            return "real time"
        except OSError:
            pass
    for who in {posix.getppid(), PID} - {0}:
        if libc.setpriority(0, who, 19) == 0:
            return "another's niceness"
        limits = (ctypes.c_uint64 * 2)(10, 10)
        if libc.syscall(302, who, 7, ctypes.byref(limits), None) == 0:
            return "another's limits"
        if libc.sched_setaffinity(who, 8, ctypes.byref(ctypes.c_uint64(1))) == 0 and who == PID:
            return "another's cores"
    if libc.syscall(251, 1, 0, 1 << 13) == 0:  # ioprio_set, real time
        return "input and output"
    if libc.mlockall(3) == 0:
        return "locked memory"
    return None


def solve(numbers):
    found = gained()
    if found:
        raise RuntimeError(found)
    return sum(n for n in numbers if n > 0)
