# expect: fail
# problem: list
# ruff: noqa
"""Writes a frame that nests arrays a million deep, a byte each, straight into its pipe."""

import posix
import struct


def solve(numbers):
    for body in (
        b"\x91" * 10**6 + b"\xc0",
        b"\xdd\xff\xff\xff\xff" * 1000,
        b"\xdf\xff\xff\xff\xff",
    ):
        for number in range(3, 64):
            try:
                posix.write(number, struct.pack("<Q", len(body)) + body)
            except OSError:
                continue
    return None
