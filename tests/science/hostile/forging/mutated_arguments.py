# expect: fail
# problem: list
# ruff: noqa
"""Changes its arguments in place, in case expected outputs or later inputs share them."""


def solve(numbers):
    numbers[:] = [0] * 1000
    return numbers
