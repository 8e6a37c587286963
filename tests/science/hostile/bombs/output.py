# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Prints up to 200 MB to stdout, stderr and their descriptors."""

import posix
import sys


def solve(numbers):
    block = "x" * 2**20
    for _ in range(50):
        for number in (1, 2):
            try:
                posix.write(number, block.encode())
            except OSError:
                break
        for stream in (sys.stdout, sys.__stderr__):
            try:
                stream.write(block)
            except Exception:
                break
    return 1
