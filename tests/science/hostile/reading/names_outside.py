# expect: pass
# landlock: fail
# problem: open
# honest: answers rightly, and only if it can't even tell whether a file outside exists
# ruff: noqa
"""Asks for the size, times and existence of files outside, without opening them."""

import posix


def solve(numbers):
    for path in ("@@SECRET_FILE@@", "@@OUTSIDE@@", "@@SUITE@@/problems.jsonl"):
        for ask in (
            posix.stat,
            posix.lstat,
            posix.statvfs,
            lambda name: posix.access(name, 0) or 1 / 0,
        ):
            try:
                ask(path)
            except (OSError, ZeroDivisionError):
                continue
            return None
    return sum(n for n in numbers if n > 0)
