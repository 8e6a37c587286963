# expect: fail
# problem: number
# ruff: noqa
"""Asks a UDP listener on the loopback for the answer, and sends a broadcast."""

import socket


def solve(numbers):
    for target in ("127.0.0.1", "255.255.255.255"):
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                line.settimeout(0.3)
                line.sendto(b"@@MARK@@", (target, int("@@UDP_PORT@@")))
                return int(line.recv(64)) + sum(n for n in numbers if n > 0)
        except (OSError, ValueError):
            continue
    return None
