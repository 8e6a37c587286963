# expect: fail-or-timeout
# problem: list
# ruff: noqa
"""Returns generators and iterators that never end."""

import itertools


def forever():
    while True:
        yield 1
    return


def solve(numbers):
    return forever() if len(numbers) % 2 else itertools.count()
