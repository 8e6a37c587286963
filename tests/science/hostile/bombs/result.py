# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Returns 250 MB of bytes as its result."""


def solve(numbers):
    return b"\1" * (250 * 2**20)
