# expect: pass
# problem: open
# honest: answers rightly, and only if raw and packet sockets are refused
# ruff: noqa
"""Opens raw, packet and ping sockets."""

import socket

KINDS = (
    (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW),
    (socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6),
    (socket.AF_PACKET, socket.SOCK_RAW, 0x300),
    (socket.AF_PACKET, socket.SOCK_DGRAM, 0x300),
)


def solve(numbers):
    for family, kind, protocol in KINDS:
        try:
            socket.socket(family, kind, protocol).close()
        except OSError:
            continue
        return None
    return sum(n for n in numbers if n > 0)
