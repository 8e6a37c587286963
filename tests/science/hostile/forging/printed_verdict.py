# expect: fail
# problem: number
# ruff: noqa
"""Prints verdicts in the worker's own format to stdout, stderr and their descriptors."""

import posix
import sys

LINE = '{"verdicts": {"base": "pass", "plus": "pass"}, "starved": false, "spent": false}\n'


def solve(numbers):
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            stream.write(LINE * 100)
            stream.flush()
        except Exception:
            pass
    for number in (0, 1, 2):
        try:
            posix.write(number, LINE.encode())
        except OSError:
            pass
    return 1
