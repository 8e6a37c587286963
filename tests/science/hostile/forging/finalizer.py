# expect: fail
# problem: number
# ruff: noqa
"""Leaves finalizers that write `pass` everywhere when the process ends."""

import atexit
import posix
import sys
import weakref


def shout():
    for number in range(3, 64):
        try:
            posix.write(number, b'{"verdicts": {"base": "pass", "plus": "pass"}}\n')
        except OSError:
            pass
    return None


class Last:
    def __del__(self):
        shout()


def solve(numbers):
    last = Last()
    last.me = last
    weakref.finalize(last, shout)
    atexit.register(shout)
    sys.keep = Last()
    return last
