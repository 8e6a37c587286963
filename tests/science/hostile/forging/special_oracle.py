# expect: fail
# problem: zero
# ruff: noqa
"""Answers the oracle that evaluates a polynomial with an object that makes every power zero."""


class Root(float):
    def __float__(self):
        return 0.0

    def __abs__(self):
        return 0.0

    def __mul__(self, other):
        return 0.0

    __rmul__ = __add__ = __radd__ = __pow__ = __rpow__ = __mul__

    def __le__(self, other):
        return True

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0


def find_zero(xs):
    return Root("nan")
