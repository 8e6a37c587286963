# expect: fail
# problem: number
# ruff: noqa
"""Connects to a unix socket in the file system that would tell it the answer."""

import socket


def solve(numbers):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        try:
            with socket.socket(socket.AF_UNIX, kind) as line:
                line.settimeout(0.5)
                line.connect("@@UNIX_PATH@@")
                return int(line.recv(64)) + sum(n for n in numbers if n > 0)
        except (OSError, ValueError):
            continue
    return None
