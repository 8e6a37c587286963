# expect: fail-or-timeout
# problem: open
# ruff: noqa
"""Matches a regular expression that takes exponential time, inside one C call."""

import re


def solve(numbers):
    re.match(r"(a|a)*$", "a" * 27 + "b")
    re.match(r"(a+)+$", "a" * 27 + "b")
    return sum(n for n in numbers if n > 0)
