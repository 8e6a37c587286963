# expect: pass
# problem: open
# honest: answers rightly; no queue, segment or semaphore of its may be seen outside
# ruff: noqa
"""Makes queues, segments and semaphores of System V and POSIX that would outlive it."""

import ctypes


def solve(numbers):
    libc = ctypes.CDLL(None, use_errno=True)
    key = int("@@NEW_KEY@@")
    libc.shmget(key, 4096, 0o1666)
    libc.semget(key, 1, 0o1666)
    number = libc.msgget(key, 0o1666)
    if number >= 0:
        libc.msgsnd(number, b"\1\0\0\0\0\0\0\0escaped", 7, 0o4000)
    libc.syscall(240, b"@@MARK@@", 0o102, 0o666, None)
    # Into the queue that is there already, for the one outside to find.
    for other in (libc.msgget(int("@@MSG_KEY@@"), 0), int("@@MSG_ID@@")):
        libc.msgsnd(other, b"\7\0\0\0\0\0\0\0escaped", 7, 0o4000)
    return sum(n for n in numbers if n > 0)
