# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""A completion of 20,000 lines, each of which might begin a program and none of which does."""


def completion():
    return "\n".join(f"def solve{n}(numbers): return (" for n in range(20_000))
