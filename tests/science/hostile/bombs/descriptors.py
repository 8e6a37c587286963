# expect: pass
# problem: open
# honest: answers rightly, and only if it gets less than 5,000 descriptors
# ruff: noqa
"""Opens files and pipes until it is stopped, up to 5,000."""

import posix


def solve(numbers):
    opened = 0
    try:
        while opened < 5000:
            opened += len(posix.pipe())
    except OSError:
        pass
    posix.closerange(64, 6000)
    return None if opened >= 5000 else sum(n for n in numbers if n > 0)
