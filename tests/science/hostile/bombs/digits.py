# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Turns huge integers into decimal digits, and back, with the limit on digits lifted."""

import sys


def solve(numbers):
    sys.set_int_max_str_digits(0)
    return len(str(7 ** (2 * 10**6)))
