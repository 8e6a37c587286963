# expect: timeout
# problem: open
# ruff: noqa
"""Computes in eight processes, two seconds each, so that each stays below its own limit."""

import posix
import time


def busy():
    while time.process_time() < 2:
        pass
    return posix._exit(0)


def solve(numbers):
    children = []
    for _ in range(8):
        child = posix.fork()
        if child == 0:
            return busy()
        children.append(child)
    for child in children:
        posix.waitpid(child, 0)
    return sum(n for n in numbers if n > 0)
