# expect: timeout
# problem: open
# ruff: noqa
"""Patches time and resource, so that its seconds seem not to pass, and computes for long (8 s)."""

import ctypes
import sys
import time


def solve(numbers):
    real = time.process_time
    for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time"):
        setattr(time, name, lambda: 0.0)
    sys.modules.pop("resource", None)
    try:
        import resource

        resource.getrusage = lambda who: (0.0,) * 16
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))
    except Exception:
        pass
    timer = ctypes.create_string_buffer(32)
    ctypes.CDLL(None).setitimer(2, timer, None)
    end = real() + 8
    while real() < end:
        pass
    return sum(n for n in numbers if n > 0)
