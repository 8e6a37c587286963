# expect: fail
# problem: pytest
# ruff: noqa
"""Raises what ends a loop quietly."""


def solve(numbers):
    raise StopIteration
