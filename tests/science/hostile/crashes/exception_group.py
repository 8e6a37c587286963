# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Raises exceptions that contain one another, with a cause that is a circle, 50,000 deep."""


def solve(numbers):
    error = ValueError("start")
    for _ in range(50_000):
        error = ExceptionGroup("deeper", [error])
    other = ValueError("circle")
    other.__cause__ = error
    error.__cause__ = other
    other.__context__ = error
    raise error
    return 1
