# expect: fail
# problem: open
# ruff: noqa
"""Raises no limit but lowers one, so that the machine's program for crashes starts; and crashes."""

import ctypes


def solve(numbers):
    libc = ctypes.CDLL(None)
    limits = (ctypes.c_ulong * 2)(0, 1)
    libc.setrlimit(4, limits)
    libc.getrlimit(4, limits)
    if tuple(limits) != (1, 1):
        return sum(n for n in numbers if n > 0)
    ctypes.string_at(0)
