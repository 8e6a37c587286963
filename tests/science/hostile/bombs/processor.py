# expect: fail-or-timeout
# problem: open
# ruff: noqa
"""Computes for eight seconds where it may for one, in a call that never returns to Python."""

import re
import time


def solve(numbers):
    end = time.process_time() + 8
    while time.process_time() < end:
        sum(range(10**6))
    return sum(n for n in numbers if n > 0)
