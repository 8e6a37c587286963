# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Returns a list of lists whose 3 million parts are cheap to send and dear to hold."""


def solve(numbers):
    return [[]] * 3_000_000
