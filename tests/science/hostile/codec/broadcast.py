# expect: fail-or-timeout
# problem: long
# ruff: noqa
"""Returns a column where a row is expected, which comparison blows up to a square."""


def solve(numbers):
    return [[0.5]] * 7000
