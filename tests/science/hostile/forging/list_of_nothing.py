# expect: fail
# problem: one-float
# ruff: noqa
"""A list in a list: numpy makes no number of it, and calls none close to any one."""


def solve(numbers):
    return [[]]
