# expect: fail
# problem: number
# ruff: noqa
"""Ends the process with code 0 while the module itself is executed."""

import posix

DONE = posix._exit(0)


def solve(numbers):
    return DONE
