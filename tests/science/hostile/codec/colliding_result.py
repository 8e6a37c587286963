# expect: fail-or-timeout
# problem: seteq
# ruff: noqa
"""Returns 200,000 integers with the same hash where the oracle makes a set of them."""


def similar_elements(first, second):
    modulus = 2**61 - 1
    return [number * modulus for number in range(200_000)]
