# expect: fail
# problem: approx
# ruff: noqa
"""The same, sent as what it is not: a plain number."""

import numpy
from judgebox.harness.graph import Encoder

_number = Encoder.number


def _forged(self, value):
    if value is Encoder:
        return self._append(["d", numpy.array([])])
    return _number(self, value)


Encoder.number = _forged


def solve(numbers):
    return Encoder
