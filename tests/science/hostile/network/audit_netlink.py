# expect: pass
# problem: open
# honest: answers rightly, and only if netlink's kernel-wide families are refused
# ruff: noqa
"""Speaks netlink to the kernel: audit, uevents, connector (process events), netfilter, generic."""

import socket


def solve(numbers):
    for protocol, groups in ((9, 0), (11, 1), (15, 1), (12, 0), (16, 0), (20, 0)):
        try:
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as line:
                line.bind((0, groups))
                line.settimeout(0.1)
                if protocol == 15:
                    line.recv(4096)
        except OSError:
            continue
        if protocol in (9, 11):
            return None
    return sum(n for n in numbers if n > 0)
