# expect: fail
# problem: list-float
# ruff: noqa
"""Returns arrays of objects, records, strings, dates and of a size that is a lie."""

import numpy


class Lying(numpy.ndarray):
    shape = property(lambda self: (3,))
    nbytes = property(lambda self: 8)

    def __eq__(self, other):
        return True


def solve(numbers):
    kinds = [
        numpy.array([object()], dtype=object),
        numpy.zeros(2, dtype=[("a", "O"), ("b", "f8")]),
        numpy.array(["2020"], dtype="M8[Y]"),
        numpy.zeros(0).view(Lying),
        numpy.ma.masked_all(3),
        numpy.matrix([[1.0]]),
    ]
    return kinds[len(numbers) % len(kinds)] if len(numbers) % 2 else kinds
