# expect: fail-or-timeout
# problem: list-float
# ruff: noqa
"""Returns decimals whose exponents make exact arithmetic with them endless."""

from decimal import Decimal


def solve(numbers):
    return [Decimal("1e999999999999999999"), Decimal("1e-999999999"), Decimal("sNaN")]
