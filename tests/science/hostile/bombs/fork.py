# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Forks and forks again, up to 300 processes that live for three seconds."""

import posix
import time


def solve(numbers):
    end = time.monotonic() + 3
    depth = 0
    while depth < 8 and time.monotonic() < end:
        try:
            posix.fork()
        except OSError:
            break
        depth += 1
    while time.monotonic() < end:
        time.sleep(0.05)
    posix._exit(0)
    return None
