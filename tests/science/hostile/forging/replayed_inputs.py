# expect: fail
# problem: number
# ruff: noqa
"""Reads what is left in its input pipe and writes it back as if it were the outputs."""

import fcntl
import posix
import struct


def solve(numbers):
    heard = b""
    for number in range(3, 64):
        try:
            flags = fcntl.fcntl(number, fcntl.F_GETFL)
            fcntl.fcntl(number, fcntl.F_SETFL, flags | posix.O_NONBLOCK)
            heard += posix.read(number, 2**20)
        except OSError:
            continue
    for number in range(3, 64):
        for frame in (heard, struct.pack("<Q", len(heard)) + heard):
            try:
                posix.write(number, frame)
            except OSError:
                break
    return 1
