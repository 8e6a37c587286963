# expect: fail-or-timeout
# problem: check
# ruff: noqa
"""Answers the second of two runs by what it saw in the first, kept in files and in the tests' lists."""

import io
import posix
import time


def solve(numbers):
    try:
        return int(io.open("/tmp/@@MARK@@-seen").read())
    except (OSError, ValueError):
        pass
    try:
        with io.open("/tmp/@@MARK@@-seen", "w") as file:
            file.write(repr(numbers))
    except OSError:
        pass
    time.sleep(120)
    return 1
