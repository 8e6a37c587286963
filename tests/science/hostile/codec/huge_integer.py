# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Returns an integer of 20 million digits, and a float's and a fraction's worth of others."""

from fractions import Fraction


def solve(numbers):
    return Fraction(1 << 60_000_000, 3) if len(numbers) % 2 == 0 else 1 << 60_000_000
