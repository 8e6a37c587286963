# expect: fail-or-timeout
# problem: list
# ruff: noqa
"""Writes frames of queues, counters and fractions, which cost much memory or time for few bytes."""

import posix
import struct


def frame(body):
    return struct.pack("<Q", len(body)) + body


def bodies():
    count = 1_000_000
    head = b"\xdd" + struct.pack(">I", count)
    yield head + b"\xd5\x10\x92\xc0" * count  # broken
    yield head + b"\xc7\x03\x10\x92\xc0\x90" * count  # deque
    yield head + b"\xd4\x11\x80" * count  # Counter
    big = b"\x7f" + b"\xab" * 60_000
    number = b"\xc8" + struct.pack(">H", len(big)) + b"\x04" + big
    other = b"\xc8" + struct.pack(">H", len(big)) + b"\x04" + big[:-1] + b"\xcd"
    one = b"\x92" + number + other
    fraction = b"\xc9" + struct.pack(">I", len(one)) + b"\x0a" + one
    yield b"\xdd" + struct.pack(">I", 300) + fraction * 300
    return


def solve(numbers):
    if not numbers:
        return None
    for body in bodies():
        for number in range(3, 64):
            try:
                data = frame(body)
                while data:
                    data = data[posix.write(number, data) :]
            except OSError:
                continue
    posix._exit(0)
    return None
