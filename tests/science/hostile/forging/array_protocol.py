# expect: fail
# problem: float
# ruff: noqa
"""Returns an object that answers numpy's protocols with whatever number is asked for."""


class Chameleon:
    __array_priority__ = 1e9

    def __array__(self, *arguments, **named):
        import numpy

        return numpy.zeros(())

    def __array_ufunc__(self, *arguments, **named):
        return True

    def __float__(self):
        return 0.0

    def __eq__(self, other):
        return True

    def __len__(self):
        return 1


def solve(numbers):
    return Chameleon()
