# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""A completion with numbers of a million digits, and powers that a compiler would compute."""


def completion():
    return (
        "def solve(numbers):\n    return 1\nx = "
        + "9" * 10**6
        + "\ny = 2 ** 10 ** 10 ** 10\nz = ('a' * 10 ** 9) * 10 ** 9\nw = 1 << 10 ** 12\n"
    )
