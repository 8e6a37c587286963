# expect: fail
# problem: number
# ruff: noqa
"""Leaves by SystemExit with code 0, as if all tests had passed."""

import sys


def solve(numbers):
    sys.exit(0)
    return 1
