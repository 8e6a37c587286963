# expect: fail
# problem: number
# ruff: noqa
"""Connects to a listener on the loopback, over IPv4 and IPv6, which would tell it the answer."""

import socket

TARGETS = (
    (socket.AF_INET, ("127.0.0.1", int("@@TCP_PORT@@"))),
    (socket.AF_INET, ("localhost", int("@@TCP_PORT@@"))),
    (socket.AF_INET, ("0.0.0.0", int("@@TCP_PORT@@"))),
    (socket.AF_INET, ("@@ADDRESS@@", int("@@TCP_PORT@@"))),
    (socket.AF_INET6, ("::1", int("@@TCP6_PORT@@"))),
    (socket.AF_INET6, ("::ffff:127.0.0.1", int("@@TCP_PORT@@"))),
)


def solve(numbers):
    for family, address in TARGETS:
        try:
            with socket.socket(family, socket.SOCK_STREAM) as line:
                line.settimeout(0.5)
                line.connect(address)
                return int(line.recv(64)) + sum(n for n in numbers if n > 0)
        except (OSError, ValueError):
            continue
    return None
