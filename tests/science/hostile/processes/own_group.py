# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Signals its process group and session, in which the runner and other checks might be."""

import posix
import signal


def solve(numbers):
    # Only where that group can be no more than the box: below an init of its own, or led by it.
    if posix.getppid() == 0 or posix.getpgrp() == posix.getppid():
        for number in (signal.SIGSTOP, signal.SIGHUP, signal.SIGTERM, signal.SIGKILL):
            for group in (0, posix.getpgrp(), posix.getsid(0)):
                try:
                    posix.killpg(group, number)
                except OSError:
                    pass
    return 1
