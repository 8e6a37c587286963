# expect: pass
# landlock: fail
# problem: open
# honest: answers rightly, and only if less than 200 MB could be written
# ruff: noqa
"""Writes files until it is stopped, up to 250 MB, by write, fallocate and sparse files."""

import io
import posix
import time


def solve(numbers):
    written = 0
    block = b"\1" * 2**20
    end = time.monotonic() + 2
    for place in ("/tmp", "/dev/shm", ".", "/var/tmp"):
        for number in range(5):
            try:
                with io.open(f"{place}/bomb{number}", "wb") as file:
                    for _ in range(50):
                        if written < 250 * 2**20 and time.monotonic() < end:
                            written += file.write(block)
            except OSError:
                continue
    try:
        with io.open("/tmp/allocated", "wb") as file:
            posix.posix_fallocate(file.fileno(), 0, 250 * 2**20)
            written += 250 * 2**20
    except OSError:
        pass
    time.sleep(0.5)  # where nothing refuses it, somebody has to have the time to look
    return None if written > 200 * 2**20 else sum(n for n in numbers if n > 0)
