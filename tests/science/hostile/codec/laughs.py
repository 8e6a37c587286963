# expect: fail-or-timeout
# problem: list
# ruff: noqa
"""Returns forty lists that each hold the next twice: small here, endless when written out."""


def solve(numbers):
    nested = ["ha"]
    for _ in range(40):
        nested = [nested, nested]
    return nested
