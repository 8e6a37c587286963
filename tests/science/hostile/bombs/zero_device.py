# expect: pass
# problem: open
# honest: answers rightly if memory of the zero device can't be shared
# ruff: noqa
"""Takes 100 MB of memory that is in nobody's account: shared, of the zero device, "not needed"."""

import mmap
import posix


def solve(numbers):
    try:
        zero = posix.open("/dev/zero", posix.O_RDWR)
    except OSError:
        return sum(n for n in numbers if n > 0)
    memory = mmap.mmap(zero, 100 * 2**20, mmap.MAP_SHARED)
    for page in range(0, 100 * 2**20, 4096):
        memory[page] = 1
    memory.madvise(mmap.MADV_DONTNEED)
    return None
