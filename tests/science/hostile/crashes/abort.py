# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Aborts by SIGABRT, and would leave a core file."""

import posix


def solve(numbers):
    posix.abort()
    return 1
