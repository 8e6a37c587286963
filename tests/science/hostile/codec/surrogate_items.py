# expect: fail
# problem: list
# ruff: noqa
"""Returns lone surrogates and nulls as keys, items and names."""


def solve(numbers):
    return [{"\udc80\0": b"\xff\0"}, ("\ud800",), frozenset(["\udfff"])]
