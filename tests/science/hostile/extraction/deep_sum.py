# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""A completion with a sum of fifty thousand terms, a tree as deep, for parser and compiler."""


def completion():
    return "def solve(numbers):\n    return " + "1+" * 50_000 + "1\n"
