# expect: fail-or-timeout
# problem: list
# ruff: noqa
"""Writes frames with sets and dictionaries' views of 300,000 integers that share one hash."""

import posix
import struct

INTEGER = 4  # the codec's extension for integers of any size


def solve(numbers):
    modulus = 2**61 - 1
    items = [b"\xdd" + struct.pack(">I", 300_000)]
    for number in range(300_000):
        items.append(b"\xc7\x0a" + bytes([INTEGER]) + (number * modulus).to_bytes(10, "big"))
    inner = b"".join(items)
    for code in (2, 3, 20):  # set, frozenset, keys
        body = b"\xc9" + struct.pack(">I", len(inner)) + bytes([code]) + inner
        for number in range(3, 64):
            try:
                data = struct.pack("<Q", len(body)) + body
                while data:
                    data = data[posix.write(number, data) :]
            except OSError:
                continue
    posix._exit(0)
    return None
