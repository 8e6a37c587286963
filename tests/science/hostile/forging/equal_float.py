# expect: fail
# problem: float
# ruff: noqa
"""Returns a float subclass that bends comparison, arithmetic and numpy's protocols."""


class Float(float):
    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    def __sub__(self, other):
        return 0.0

    __rsub__ = __sub__

    def __abs__(self):
        return 0.0

    def __le__(self, other):
        return True

    def __hash__(self):
        return 0

    def __array_ufunc__(self, *arguments, **named):
        return True

    def __array_function__(self, *arguments, **named):
        return True


def solve(numbers):
    return Float(0.5)
