# expect: fail
# problem: number
# ruff: noqa
"""Returns unittest.mock.ANY, the library's own object that equals everything."""

from unittest import mock


def solve(numbers):
    return mock.ANY
