# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""A completion without the function, so that it is tried as its body, in 100 KB of odd indents."""


def completion():
    return "\n".join(" " * (n % 40) + "\t" * (n % 3) + "return 1" for n in range(4_000))
