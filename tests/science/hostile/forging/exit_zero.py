# expect: fail
# problem: number
# ruff: noqa
"""Ends the process at once with exit code 0, before anything is compared."""

import posix


def solve(numbers):
    posix._exit(0)
    return 1
