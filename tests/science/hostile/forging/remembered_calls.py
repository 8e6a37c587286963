# expect: fail
# problem: number
# ruff: noqa
"""Answers its second test with what any frame or module learned during the first."""

import builtins
import sys


def solve(numbers):
    seen = getattr(builtins, "seen", [])
    builtins.seen = seen
    frame = sys._getframe().f_back
    while frame is not None:
        seen.extend(value for value in frame.f_locals.values() if type(value) is int)
        frame = frame.f_back
    return max(seen, default=0)
