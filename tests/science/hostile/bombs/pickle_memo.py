# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Copies, pickles and prints structures that double at each level (stopped by its limits)."""

import copy
import pickle


def solve(numbers):
    nested = []
    for _ in range(25):
        nested = [nested, nested]
    return len(repr(nested))
