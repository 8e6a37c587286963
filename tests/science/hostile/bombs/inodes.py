# expect: pass
# problem: open
# honest: answers rightly, and only if what it made is gone afterwards
# ruff: noqa
"""Makes 20,000 empty files and folders in its /tmp."""

import posix
import time


def solve(numbers):
    end = time.monotonic() + 1
    for number in range(20_000):
        try:
            posix.close(posix.open(f"/tmp/@@MARK@@-{number}", posix.O_CREAT | posix.O_WRONLY))
        except OSError:
            break
        if time.monotonic() > end:
            break
    return sum(n for n in numbers if n > 0)
