# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Overwrites the interpreter's own objects: None's and True's types, small integers."""

import ctypes


def solve(numbers):
    for value in range(-5, 257):
        ctypes.memset(id(value) + 24, 7, 4)
    ctypes.memset(id(None), 0, 16)
    ctypes.memset(id(True), 0, 24)
    return 1
