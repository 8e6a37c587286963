# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""A completion that parses, and whose syntax tree is deeper than any walk over it may go."""


def completion():
    return "def solve(numbers):\n    return numbers" + ".real" * 5_000 + "\n"
