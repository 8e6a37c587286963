# expect: timeout
# problem: open
# ruff: noqa
"""Stops itself, so that neither its timers nor its processor time run."""

import posix
import signal
import time


def solve(numbers):
    me = posix.getpid()
    if posix.fork() == 0:
        time.sleep(20)
        posix.kill(me, signal.SIGCONT)
        posix._exit(0)
    posix.kill(me, signal.SIGSTOP)
    time.sleep(60)
    return sum(n for n in numbers if n > 0)
