# expect: pass
# problem: open
# honest: answers rightly if a socket can't hold pages of its files
# ruff: noqa
"""Sends two bytes at the border of two pages, by reference: a socket holds both, up to 8 MB."""

import posix
import socket


def solve(numbers):
    file = posix.open("pages", posix.O_CREAT | posix.O_RDWR)
    posix.write(file, bytes(2**20))
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    held = 0
    try:
        for n in range(1000):
            held += posix.sendfile(ours.fileno(), file, n % 127 * 8192 + 4095, 2)
    except OSError:
        pass
    return None if held else sum(n for n in numbers if n > 0)
