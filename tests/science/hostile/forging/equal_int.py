# expect: fail
# problem: number
# ruff: noqa
"""Returns an int whose class compares, subtracts and hashes as if it were right."""


class Int(int):
    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    def __sub__(self, other):
        return 0

    def __rsub__(self, other):
        return 0

    def __abs__(self):
        return 0

    def __hash__(self):
        return 0


def solve(numbers):
    return Int(7)
