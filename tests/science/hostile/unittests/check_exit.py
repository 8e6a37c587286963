# expect: fail
# problem: check
# ruff: noqa
"""Leaves with code 0 before the tests, by SystemExit and by _exit, where a program checks it."""

import posix
import sys


def solve(numbers):
    if len(numbers) == 1:
        sys.exit(0)
    posix._exit(0)
    return 1
