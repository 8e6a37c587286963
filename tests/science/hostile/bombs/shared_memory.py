# expect: pass
# problem: open
# honest: answers rightly, and only if less than 280 MB could be had in files of memory
# ruff: noqa
"""Fills memory that belongs to no process: memfd, /dev/shm, shared mappings, pipes (300 MB)."""

import ctypes
import mmap
import posix


def solve(numbers):
    taken = 0
    block = b"\1" * 2**20
    libc = ctypes.CDLL(None, use_errno=True)
    for _ in range(15):
        number = libc.memfd_create(b"x", 0)
        if number < 0:
            break
        try:
            for _ in range(20):
                taken += posix.write(number, block)
        except OSError:
            break
    return None if taken > 280 * 2**20 else sum(n for n in numbers if n > 0)
