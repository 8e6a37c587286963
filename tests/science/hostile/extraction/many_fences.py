# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""A completion of 50,000 fences, empty, open and within each other."""


def completion():
    return "```python\n" * 25_000 + "def solve(numbers):\n    return 1\n" + "```\n \t" * 25_000
