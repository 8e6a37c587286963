# expect: fail
# problem: check
# ruff: noqa
"""Raises what ends tests without a failure: exits, skips, interrupts, generators' ends."""

import unittest


def solve(numbers):
    turn = len(numbers) % 2
    if turn:
        raise unittest.SkipTest("all is well")
    raise KeyboardInterrupt
    return 1
