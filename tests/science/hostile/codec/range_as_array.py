# expect: fail-or-timeout
# problem: list-float
# ruff: noqa
"""Returns ranges of 10**8 numbers in a list, which a comparison by numpy would write out."""


def solve(numbers):
    return [range(10**8)] * len(numbers)
