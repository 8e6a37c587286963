# expect: fail
# problem: list-float
# ruff: noqa
"""Times that are none, in arrays and lists, where numbers are expected."""

import numpy


def solve(numbers):
    return [[numpy.array(["NaT"], "m8[s]")], numpy.timedelta64("NaT")][: len(numbers)]
