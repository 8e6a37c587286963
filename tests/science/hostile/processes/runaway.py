# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Runs from its killer: each process forks its successor and ends (300 times or three seconds)."""

import ctypes
import posix
import time


def solve(numbers):
    end = time.monotonic() + 3
    ctypes.CDLL(None).prctl(15, b"hx-runaway-@@SHORT@@"[:15])
    for _ in range(300):
        if time.monotonic() > end:
            break
        try:
            if posix.fork():
                posix._exit(0)
        except OSError:
            break
        time.sleep(0.01)
    posix._exit(0)
    return 1
