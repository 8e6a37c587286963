# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Swallows MemoryError and RecursionError again and again, in a handler of its own (1 s)."""

import time


def solve(numbers):
    end = time.monotonic() + 1

    def again():
        try:
            return again()
        except (RecursionError, MemoryError):
            if time.monotonic() < end:
                return again()
            raise

    return again()
