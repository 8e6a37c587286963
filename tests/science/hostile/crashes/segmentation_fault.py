# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Reads address zero through ctypes, which kills the process by SIGSEGV."""

import ctypes


def solve(numbers):
    ctypes.string_at(0)
    return 1
