# expect: fail
# problem: number
# ruff: noqa
"""Sends messages of every kind of the harness's, in wrong order and with wrong contents."""

import posix
import struct


def solve(numbers):
    kinds = b"RLWFPOENB"
    for kind in kinds:
        for content in (
            b"",
            b"\x90",
            b"\x91\xc3",
            b"\x00" * 32,
            b"\xff" * 9,
            b"\x91" + b"\x93" * 9,
        ):
            frame = bytes([kind]) + content
            try:
                posix.write(4, struct.pack("<Q", len(frame)) + frame)
            except OSError:
                break
    return True
