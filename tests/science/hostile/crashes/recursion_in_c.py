# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Recurses inside C code: comparing, printing and freeing structures of great depth."""

import sys


def solve(numbers):
    sys.setrecursionlimit(10**9)
    first, second = [], []
    for _ in range(10**6):
        first, second = [first], [second]
    return first == second
