# expect: fail
# problem: long
# ruff: noqa
"""Announces one large answer after another by their digests, until the judge says which is right."""

import hashlib
import marshal
import posix
import struct


def solve(numbers):
    for guess in range(200):
        data = marshal.dumps([guess + k / 7 for k in range(7000)], 2)
        frame = b"L" + hashlib.sha256(data).digest()
        posix.write(4, struct.pack("<Q", len(frame)) + frame)
    posix._exit(0)
    return None
