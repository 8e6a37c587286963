# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Signals its parent and its parent's group, where these cannot be the machine's own init."""

import posix
import signal


def solve(numbers):
    parent = posix.getppid()
    # Process 1 is signalled only where a small number shows that it is the box's and no machine's.
    if parent > 1 or (parent == 1 and posix.getpid() < 20):
        for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
            try:
                posix.kill(parent, number)
            except OSError:
                pass
    return 1
