# expect: fail-or-timeout
# problem: long
# ruff: noqa
"""Returns a column of numpy's where a list is expected, alone and in a list."""

import numpy


def solve(numbers):
    column = numpy.zeros((7000, 1))
    return list(column) if len(numbers) % 2 == 0 else column
