# expect: fail
# problem: number
# ruff: noqa
"""Says over and over that it ran out of time, as only the harness should, then that it returned."""

import os


def _say(frame):
    return os.write(4, len(frame).to_bytes(8, "little") + frame)


def solve(numbers):
    _say(b"T")
    _say(b"R\x91\x03")
    for _ in range(20):
        _say(b"T")
    return os._exit(0)
