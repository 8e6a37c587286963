# expect: fail
# problem: number
# ruff: noqa
"""Writes frame headers that announce up to 2**64-1 bytes, to make the reader allocate them."""

import posix
import struct


def solve(numbers):
    for number in range(3, 64):
        for length in (2**64 - 1, 2**63, 2**40, 2**32 + 1, 2**31):
            try:
                posix.write(number, struct.pack("<Q", length) + b"\0" * 64)
            except OSError:
                break
    posix._exit(0)
    return 1
