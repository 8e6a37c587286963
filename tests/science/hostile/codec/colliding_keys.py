# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Writes a frame with a dictionary of 400,000 integers that all have the same hash."""

import posix
import struct

INTEGER = 4  # the codec's extension for integers of any size


def solve(numbers):
    modulus = 2**61 - 1
    parts = [b"\xdf" + struct.pack(">I", 400_000)]
    for number in range(400_000):
        parts.append(
            b"\xc7\x0a" + bytes([INTEGER]) + (number * modulus).to_bytes(10, "big") + b"\xc0"
        )
    body = b"".join(parts)
    for number in range(3, 64):
        try:
            data = struct.pack("<Q", len(body)) + body
            while data:
                data = data[posix.write(number, data) :]
        except OSError:
            continue
    posix._exit(0)
    return None
