# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""A completion of nulls, lone surrogates, form feeds, direction marks and characters that fold."""


def completion():
    odd = "\0\ud800\f\u202e\ufeff\u2028\ufdfa\U000e0001"
    return f"def solve(numbers):\n    x = '{odd}'\n    return {odd}1\n" * 50
