# expect: pass
# problem: open
# honest: answers rightly; nobody outside may reach what it offers
# ruff: noqa
"""Listens on a port, an abstract name and a path, for somebody outside to connect."""

import socket
import time


def solve(numbers):
    lines = []
    for family, kind, address in (
        (socket.AF_INET, socket.SOCK_STREAM, ("0.0.0.0", int("@@FREE_PORT@@"))),
        (socket.AF_UNIX, socket.SOCK_STREAM, "\0@@MARK@@-listener"),
        (socket.AF_UNIX, socket.SOCK_STREAM, "/tmp/@@MARK@@-listener"),
    ):
        try:
            line = socket.socket(family, kind)
            lines.append(line)
            line.bind(address)
            line.listen()
        except OSError:
            continue
    time.sleep(0.4)
    return sum(n for n in numbers if n > 0)
