# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""A completion of 5,000 functions that all call all others, for the search of what is needed."""


def completion():
    calls = ", ".join(f"f{n}" for n in range(300))
    lines = [f"def f{n}():\n    return {calls}" for n in range(2_000)]
    return "\n".join(["def solve(numbers):\n    return f0()", *lines])
