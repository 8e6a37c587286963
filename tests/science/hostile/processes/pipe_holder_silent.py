# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Ends without an answer, while a grandchild holds its output pipe open for 20 seconds."""

import ctypes
import posix
import time


def solve(numbers):
    if posix.fork() == 0:
        if posix.fork() == 0:
            ctypes.CDLL(None).prctl(15, b"hx-silent-@@SHORT@@"[:15])
            time.sleep(20)
        posix._exit(0)
    posix._exit(0)
    return 1
