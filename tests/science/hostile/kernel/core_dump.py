# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Crashes with the largest core size it can get, for the kernel's core handler to run outside."""

import ctypes
import posix


class Pair(ctypes.Structure):
    _fields_ = [("soft", ctypes.c_uint64), ("hard", ctypes.c_uint64)]


def solve(numbers):
    libc = ctypes.CDLL(None, use_errno=True)
    most = Pair()
    libc.prlimit(0, 4, None, ctypes.byref(most))
    most.soft = most.hard
    libc.prlimit(0, 4, ctypes.byref(most), None)
    libc.prctl(4, 1, 0, 0, 0)
    posix.abort()
    return None
