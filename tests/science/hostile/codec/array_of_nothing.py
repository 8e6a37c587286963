# expect: fail-or-timeout
# problem: list-float
# ruff: noqa
"""Returns arrays of 10**12 items that take no memory, as all their strides are zero."""

import numpy


def solve(numbers):
    wide = numpy.broadcast_to(numpy.float64(1), (10**12,))
    return [wide] * len(numbers) if len(numbers) % 2 else wide
