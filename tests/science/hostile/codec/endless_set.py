# expect: fail-or-timeout
# problem: seteq
# ruff: noqa
"""Returns an iterator without end where the oracle makes a set of what it gets."""

import itertools


def similar_elements(first, second):
    return itertools.count()
