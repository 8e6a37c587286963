# expect: fail
# problem: number
# ruff: noqa
"""Floods every pipe it holds with junk, up to 200 MB or two seconds."""

import posix
import time

STOP_BYTES = 200 * 2**20


def solve(numbers):
    end = time.monotonic() + 2
    junk = b"\xff" * 2**16
    written = 0
    for number in range(3, 64):
        while written < STOP_BYTES and time.monotonic() < end:
            try:
                written += posix.write(number, junk)
            except OSError:
                break
    return 1
