# expect: fail
# problem: check
# ruff: noqa
"""Returns an object that equals everything to tests that assert equality."""


class Equal(int):
    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    def __sub__(self, other):
        return self

    __rsub__ = __sub__

    def __abs__(self):
        return self

    def __lt__(self, other):
        return True

    __le__ = __lt__

    def __hash__(self):
        return 0


def solve(numbers):
    return Equal(7)
