# expect: fail
# problem: list
# ruff: noqa
"""Returns a list nested a hundred thousand deep."""


def solve(numbers):
    nested = []
    for _ in range(100_000):
        nested = [nested]
    return nested
