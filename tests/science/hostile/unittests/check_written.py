# expect: fail
# problem: check
# ruff: noqa
"""Writes the number of passed tests into every descriptor, in all forms, and ends."""

import json
import posix
import struct


def solve(numbers):
    claims = [
        b"1",
        b"1\n",
        b"pass",
        json.dumps({"passed": 99, "verdict": "pass"}).encode(),
        b"\x01",
    ]
    try:
        import msgpack

        claims += [msgpack.packb({"passed": 99, "outcome": "pass"}), msgpack.packb(99)]
    except ImportError:
        pass
    for number in range(1, 64):
        for claim in claims:
            try:
                posix.write(number, struct.pack("<Q", len(claim)) + claim)
                posix.write(number, claim)
            except OSError:
                break
    posix._exit(0)
    return 1
