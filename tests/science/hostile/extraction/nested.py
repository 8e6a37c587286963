# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""A completion whose brackets, signs and attributes nest a hundred thousand deep."""


def completion():
    return "\n".join(
        [
            "def solve(numbers):",
            "    return " + "(" * 100_000 + "1" + ")" * 100_000,
            "x = " + "-" * 100_000 + "1",
            "y = a" + ".b" * 100_000,
            "z = " + "[" * 150 + "]" * 150,
        ]
    )
