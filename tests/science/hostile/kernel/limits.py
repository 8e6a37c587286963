# expect: pass
# problem: open
# honest: answers rightly, and only if no hard limit can be raised
# ruff: noqa
"""Raises its resource limits, beyond the hard ones."""

import ctypes


class Pair(ctypes.Structure):
    _fields_ = [("soft", ctypes.c_uint64), ("hard", ctypes.c_uint64)]


def solve(numbers):
    libc = ctypes.CDLL(None, use_errno=True)
    for which in (
        0,
        4,
        7,
        9,
        12,
        13,
        14,
    ):  # cpu, core, files, address space, queues, nice, real time
        now = Pair()
        libc.prlimit(0, which, None, ctypes.byref(now))
        if now.hard == 2**64 - 1:
            if which in (0, 9):
                return None
            continue
        more = Pair(now.hard + 1, now.hard + 1)
        libc.prlimit(0, which, ctypes.byref(more), None)
        libc.prlimit(0, which, None, ctypes.byref(more))
        if more.soft > now.soft or more.hard > now.hard:  # whatever it was told
            return None
    return sum(n for n in numbers if n > 0)
