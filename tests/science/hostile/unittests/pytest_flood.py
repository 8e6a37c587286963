# expect: fail-or-timeout
# problem: pytest
# ruff: noqa
"""Answers the tests with 120 MB, and with lists of 3 million empty lists."""


def solve(numbers):
    return b"x" * (120 * 2**20) if len(numbers) == 1 else [[]] * 3_000_000
