# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Closes every descriptor and lives on for two seconds."""

import posix
import time


def solve(numbers):
    posix.closerange(0, 1024)
    time.sleep(2)
    return 1
