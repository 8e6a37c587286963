# expect: fail
# problem: check
# ruff: noqa
"""Reads the expected number from the constants of the test function, found by frames and gc."""

import gc
import sys
import types


def constants(code):
    for value in code.co_consts:
        if isinstance(value, int) and not isinstance(value, bool):
            yield value
        elif isinstance(value, types.CodeType):
            yield from constants(value)
    return


def solve(numbers):
    found = []
    frame = sys._getframe()
    while frame is not None:
        found += constants(frame.f_code)
        frame = frame.f_back
    for thing in gc.get_objects():
        if isinstance(thing, types.FunctionType):
            found += constants(thing.__code__)
    large = [value for value in found if 10**9 <= value < 10**10]
    return large[0] if large else None
