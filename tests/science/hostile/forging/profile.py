# expect: fail
# problem: number
# ruff: noqa
"""Sets a profile function that patches the harness when its next call returns."""

import sys
import threading


def always(*arguments, **named):
    return True


def watch(frame, event, argument):
    for name, value in list(frame.f_globals.items()):
        if name in ("equal", "compare", "same", "check", "judge", "verdict", "allclose"):
            frame.f_globals[name] = always
    return None


def solve(numbers):
    threading.setprofile(watch)
    sys.setprofile(watch)
    return 1
