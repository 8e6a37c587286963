# expect: fail
# problem: number
# ruff: noqa
"""Connects to an abstract unix socket, which no file system hides."""

import socket


def solve(numbers):
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM):
        try:
            with socket.socket(socket.AF_UNIX, kind) as line:
                line.settimeout(0.5)
                line.connect("\0@@ABSTRACT@@")
                return int(line.recv(64)) + sum(n for n in numbers if n > 0)
        except (OSError, ValueError):
            continue
    return None
