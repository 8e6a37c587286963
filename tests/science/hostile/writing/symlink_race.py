# expect: pass
# problem: open
# honest: answers rightly; nobody may follow its links to the outside
# ruff: noqa
"""Fills its /tmp and its working folder with links that swap between here and a folder outside."""

import posix
import time

NAMES = ("solution.py", "test_solution.py", "conftest.py", "request", "output", "tests", "0", "1")


def solve(numbers):
    end = time.monotonic() + 0.5
    for name in NAMES:
        for place in ("/tmp", "."):
            try:
                posix.symlink("@@OUTSIDE@@/@@MARK@@-followed", f"{place}/{name}")
            except OSError:
                continue
    turn = 0
    while time.monotonic() < end:
        turn += 1
        try:
            posix.symlink("@@OUTSIDE@@", f"/tmp/swap{turn % 2}")
            posix.rename(f"/tmp/swap{turn % 2}", "/tmp/swap")
        except OSError:
            break
    return sum(n for n in numbers if n > 0)
