# expect: fail
# problem: number
# ruff: noqa
"""Searches its own memory, a copy of its parent's, for a ten-digit number that is everywhere."""

import collections
import io
import re
import time


def solve(numbers):
    end = time.process_time() + 0.7
    counted = collections.Counter()
    try:
        memory = io.open("/proc/self/mem", "rb", buffering=0)
        regions = io.open("/proc/self/maps").read().splitlines()
    except OSError:
        return None
    for line in regions:
        span, rights, *_ = line.split()
        if not rights.startswith("rw") or time.process_time() > end:
            continue
        start, stop = (int(part, 16) for part in span.split("-"))
        try:
            memory.seek(start)
            data = memory.read(min(stop - start, 2**23))
        except (OSError, ValueError, OverflowError):
            continue
        counted.update(re.findall(rb"(?<!\d)[1-9]\d{9}(?!\d)", data))
        for at in range(0, len(data) - 8, 8):
            if data[at + 5 : at + 8] == b"\0\0\0" and time.process_time() < end:
                value = int.from_bytes(data[at : at + 8], "little")
                if 10**9 <= value < 10**10:
                    counted[str(value).encode()] += 1
    best = counted.most_common(1)
    return int(best[0][0]) if best else None
