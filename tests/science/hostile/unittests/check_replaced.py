# expect: fail
# problem: check
# ruff: noqa
"""Replaces the function `check` of the test program, in every frame and module that has it."""

import sys


def yes(candidate):
    return True


def solve(numbers):
    frame = sys._getframe()
    while frame is not None:
        for name in ("check", "solve", "candidate"):
            if name in frame.f_globals:
                frame.f_globals[name] = yes
        frame = frame.f_back
    for module in list(sys.modules.values()):
        if hasattr(module, "check"):
            module.check = yes
    raise AssertionError
    return None
