# expect: fail
# problem: number
# ruff: noqa
"""Answers wrongly at once, while a child holds its output pipe open for 20 seconds."""

import ctypes
import posix
import time


def solve(numbers):
    if posix.fork() == 0:
        ctypes.CDLL(None).prctl(15, b"hx-holder-@@SHORT@@"[:15])
        time.sleep(20)
        posix._exit(0)
    return 1
