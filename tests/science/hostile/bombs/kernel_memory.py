# expect: pass
# problem: open
# honest: answers rightly; what the kernel holds for it is gone with it
# ruff: noqa
"""Fills buffers that belong to no process: 64 pipes and pairs of sockets, up to 60 MB."""

import fcntl
import posix
import socket


def solve(numbers):
    held = []
    block = b"\1" * 2**20
    for _ in range(32):
        try:
            inner, outer = posix.pipe()
            held += [inner, outer]
            fcntl.fcntl(outer, 1031, 2**20)
        except OSError:
            pass
        try:
            first, second = socket.socketpair()
            held += [first.detach(), second.detach()]
        except OSError:
            pass
    for number in held:
        try:
            posix.set_blocking(number, False)
            posix.write(number, block)
        except OSError:
            continue
    for number in held:
        posix.close(number)
    return sum(n for n in numbers if n > 0)
