# expect: pass
# problem: open
# honest: answers rightly, and only if it becomes nobody else
# ruff: noqa
"""Changes user, groups, capabilities, host name; the latter to what it is already."""

import ctypes
import posix
import socket


def solve(numbers):
    libc = ctypes.CDLL(None, use_errno=True)
    if posix.getuid() != 0:
        for call in (libc.setuid, libc.setgid, libc.seteuid, libc.setegid):
            if call(0) == 0:
                return None
    if libc.setgroups(1, (ctypes.c_uint32 * 1)(27)) == 0:
        return None
    name = socket.gethostname().encode()
    if libc.sethostname(name, len(name)) == 0:
        return None
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    rights = (ctypes.c_uint32 * 6)(0x200000, 0x200000, 0, 0, 0, 0)
    if libc.capset(header, rights) == 0:
        return None
    if libc.prctl(47, 2, 21, 0, 0) == 0 or libc.prctl(28, 0x20, 0, 0, 0) == 0:
        return None
    return sum(n for n in numbers if n > 0)
