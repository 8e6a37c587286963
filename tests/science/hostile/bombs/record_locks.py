# expect: pass
# problem: open
# honest: answers rightly if the kernel keeps no lock for it
# ruff: noqa
"""Locks 10,000 single bytes of files, each a piece of the kernel's memory in nobody's account."""

import fcntl
import posix


def solve(numbers):
    held = [posix.open(f"l{n}", posix.O_CREAT | posix.O_RDWR) for n in range(50)]
    for file in held:
        for byte in range(200):
            fcntl.lockf(file, fcntl.LOCK_EX, 1, 2 * byte)
    ours, theirs = posix.pipe()
    if posix.fork() == 0:
        try:
            fcntl.lockf(held[0], fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
            posix.write(theirs, b"free")
        finally:
            posix._exit(0)
    posix.close(theirs)
    free = posix.read(ours, 4)
    for number in (ours, *held):
        posix.close(number)
    return sum(n for n in numbers if n > 0) if free else None
