# expect: fail
# problem: check
# ruff: noqa
"""Makes assertions harmless: AssertionError is replaced, in builtins and in every frame."""

import builtins
import sys


class Harmless(BaseException):
    def __new__(cls, *arguments):
        raise SystemExit(0)
        return None


def solve(numbers):
    builtins.AssertionError = Harmless
    frame = sys._getframe().f_back
    while frame is not None:
        frame.f_globals["AssertionError"] = Harmless
        frame = frame.f_back
    return 1
