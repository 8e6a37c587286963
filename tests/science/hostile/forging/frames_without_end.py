# expect: fail
# problem: number
# ruff: noqa
"""Answers with a great many empty messages, to make the reader read for ever (2 s, 60 MB)."""

import posix
import struct
import time

STOP_BYTES = 60 * 2**20


def solve(numbers):
    end = time.monotonic() + 2
    empty = (struct.pack("<Q", 2) + b"R\x90") * 4096
    written = 0
    for number in range(3, 64):
        while written < STOP_BYTES and time.monotonic() < end:
            try:
                written += posix.write(number, empty)
            except OSError:
                break
    return 1
