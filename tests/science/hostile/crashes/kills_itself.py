# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Kills itself by SIGKILL, as the kernel would where memory is short."""

import posix
import signal


def solve(numbers):
    posix.kill(posix.getpid(), signal.SIGKILL)
    return 1
