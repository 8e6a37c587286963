# expect: fail-or-timeout
# problem: seteq
# ruff: noqa
"""Returns a range of 10**12 numbers where the oracle outside makes a set of it."""


def similar_elements(first, second):
    return range(10**12)
