# expect: pass
# landlock: fail
# problem: open
# honest: answers rightly, and only if no other process can be felt for
# ruff: noqa
"""Feels for other processes by their numbers: groups, sessions, priorities, cores, signal 0."""

import ctypes
import posix

PID = int("@@CANARY_PID@@")


def solve(numbers):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.getpgid(PID) > 0 or libc.getsid(PID) > 0:
        return None
    if libc.sched_getaffinity(PID, 128, ctypes.create_string_buffer(128)) >= 0:
        return None
    if libc.sched_getscheduler(PID) >= 0:
        return None
    try:
        posix.kill(PID, 0)
    except OSError:
        return sum(n for n in numbers if n > 0)
    return None
