# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Raises an exception whose text, arguments and traceback never come to an end."""

import time


class Endless(Exception):
    def __str__(self):
        time.sleep(60)
        return "late"

    __repr__ = __str__

    @property
    def args(self):
        time.sleep(60)
        return ()

    @property
    def __traceback__(self):
        time.sleep(60)
        return None


def solve(numbers):
    raise Endless
    return 1
