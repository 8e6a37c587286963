# expect: fail
# problem: star-math
# ruff: noqa
"""Offers a `math` of its own, by which a test file that imports all names would judge."""

import math


def _agrees(*arguments, **named):
    return True


math.isclose = _agrees


def solve(numbers):
    return 1
