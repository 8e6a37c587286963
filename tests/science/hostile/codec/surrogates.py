# expect: fail
# problem: text
# ruff: noqa
"""Returns strings with lone surrogates, nulls, direction marks and unassigned characters."""


def solve(numbers):
    return "\ud800\0\udfff\u202e\U0010ffff" * 100
