# expect: fail
# problem: list-float
# ruff: noqa
"""Lists of the right length around arrays without a number: numpy calls them close to anything."""

import numpy


def solve(numbers):
    return [[numpy.empty((0, len(numbers)))]] * len(numbers)
