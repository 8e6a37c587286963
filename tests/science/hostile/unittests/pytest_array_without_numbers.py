# expect: fail
# problem: approx
# ruff: noqa
"""An array without a number, which `pytest.approx` finds close to anything."""

import numpy


def solve(numbers):
    return numpy.array([])
