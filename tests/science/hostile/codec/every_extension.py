# expect: fail
# problem: number
# ruff: noqa
"""Writes frames with every extension type around junk, in every length that msgpack has."""

import posix
import struct


def solve(numbers):
    for code in range(256):
        for body in (
            b"\xd4" + bytes([code]) + b"\x01",
            b"\xc7\x10" + bytes([code]) + b"\xff" * 16,
            b"\xc7\x05" + bytes([code]) + b"\x94\x01\xc0\xc0\x91",
            b"\xc9\xff\xff\xff\xff" + bytes([code]) + b"\x01",
            b"\xc7\x0b" + bytes([code]) + b"9" * 11,
        ):
            for number in range(3, 24):
                try:
                    posix.write(number, struct.pack("<Q", len(body)) + body)
                except OSError:
                    continue
    return None
