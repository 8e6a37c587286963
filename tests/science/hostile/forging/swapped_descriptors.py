# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Exchanges the ends of its pipes, so that it could answer itself."""

import os


def solve(numbers):
    os.dup2(3, 9)
    os.dup2(4, 3)
    os.dup2(9, 4)
    return 1
