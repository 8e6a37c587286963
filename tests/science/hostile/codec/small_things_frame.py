# expect: fail-or-timeout
# problem: list
# ruff: noqa
"""Writes a frame of 60 MB that stands for 60 million dictionaries."""

import posix
import struct


def solve(numbers):
    block = b"\x80" * 2**20
    for number in range(3, 64):
        try:
            posix.write(
                number, struct.pack("<Q", 5 + 60 * 2**20) + b"\xdd" + struct.pack(">I", 60 * 2**20)
            )
            for _ in range(60):
                data = block
                while data:
                    data = data[posix.write(number, data) :]
        except OSError:
            continue
    posix._exit(0)
    return None
