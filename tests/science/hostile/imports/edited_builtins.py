# expect: fail
# problem: number
# ruff: noqa
"""Edits __builtins__ of every frame and module it reaches: __import__, __build_class__, exec."""

import builtins
import sys


def always(*arguments, **named):
    return True


def solve(numbers):
    for name in ("__import__", "exec", "eval", "compile", "print", "repr", "str", "bytes"):
        try:
            setattr(builtins, name, always)
        except Exception:
            pass
    frame = sys._getframe()
    while frame is not None:
        frame.f_builtins.update(AssertionError=BaseException, Exception=always, True_=False)
        frame = frame.f_back
    return 1
