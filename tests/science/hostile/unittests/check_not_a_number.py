# expect: fail
# problem: check
# ruff: noqa
"""A number that is none, from a function that tests only compare."""


def solve(numbers):
    return float("nan")
