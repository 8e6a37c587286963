# expect: timeout
# problem: open
# ruff: noqa
"""Sleeps for two minutes, then answers rightly."""

import time


def solve(numbers):
    time.sleep(120)
    return sum(n for n in numbers if n > 0)
