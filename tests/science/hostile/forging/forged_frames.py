# expect: fail
# problem: number
# ruff: noqa
"""Finds the output pipe among its descriptors and writes well-formed frames that claim success."""

import json
import posix
import struct


def claims():
    claims = [{"base": "pass", "plus": "pass"}, {"verdict": "pass"}, "pass", True, 1, None]
    bodies = [json.dumps(claim).encode() for claim in claims]
    try:
        import msgpack

        bodies += [msgpack.packb(claim) for claim in claims]
        bodies += [msgpack.packb([True, claim]) for claim in claims]
    except ImportError:
        pass
    try:
        from judgebox import codec

        bodies += [codec.pack(claim) for claim in claims]
    except Exception:
        pass
    return bodies


def solve(numbers):
    for number in range(3, 64):
        for body in claims():
            try:
                posix.write(number, struct.pack("<Q", len(body)) + body)
            except OSError:
                break
    posix._exit(0)
    return 1
