# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Asks faulthandler to end the process in half a second, and to write into the output pipe."""

import faulthandler
import posix
import time


def solve(numbers):
    for number in range(3, 16):
        try:
            posix.fstat(number)
            faulthandler.enable(number)
            faulthandler.dump_traceback_later(0.5, exit=True, file=number)
        except (OSError, ValueError):
            continue
    time.sleep(1)
    return 1
