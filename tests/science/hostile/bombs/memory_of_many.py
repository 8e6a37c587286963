# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Takes memory in ten processes at once, 30 MB each, none of which is large by itself."""

import posix
import time


def solve(numbers):
    for _ in range(10):
        if posix.fork() == 0:
            held = bytearray(b"\1") * (30 * 2**20)
            time.sleep(2)
            posix._exit(len(held) % 2)
    held = bytearray(b"\1") * 2**20
    time.sleep(2)
    return len(held)
