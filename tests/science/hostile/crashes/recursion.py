# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Recurses without end, with Python's limit lifted, until the stack is used up."""

import sys


def down(depth):
    return down(depth + 1) + 1 if depth < 10**6 else 0


def solve(numbers):
    sys.setrecursionlimit(10**9)
    return down(0)
