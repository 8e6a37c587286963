# expect: timeout
# problem: open
# ruff: noqa
"""Times out, so that it is run again alone, and answers then if it finds what it left at first."""

import io
import time

PLACES = ("/tmp", "/dev/shm", ".", "/var/tmp", "@@HOME@@")


def solve(numbers):
    for place in PLACES:
        try:
            io.open(f"{place}/@@MARK@@-second").close()
        except OSError:
            continue
        return sum(n for n in numbers if n > 0)
    for place in PLACES:
        try:
            io.open(f"{place}/@@MARK@@-second", "w").close()
        except OSError:
            continue
    time.sleep(120)
    return None
