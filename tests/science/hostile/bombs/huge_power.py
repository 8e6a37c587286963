# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Computes a power whose digits take ten seconds, in one uninterruptible operation."""


def solve(numbers):
    base = 3
    return base ** (2 * 10**7)
