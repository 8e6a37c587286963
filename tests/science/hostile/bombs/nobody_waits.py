# expect: timeout
# problem: open
# ruff: noqa
"""Children that nobody waits for use up 6 s of processor time, half a second each."""

import posix
import signal
import time


def solve(numbers):
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for _ in range(12):
        ours, theirs = posix.pipe()
        if posix.fork() == 0:
            while time.process_time() < 0.5:
                pass
            posix._exit(0)
        posix.close(theirs)
        posix.read(ours, 1)
        posix.close(ours)
    return sum(n for n in numbers if n > 0)
