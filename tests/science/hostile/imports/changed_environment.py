# expect: pass
# problem: open
# honest: answers rightly; environment and working folder must be its own alone
# ruff: noqa
"""Changes environment, working folder, locale, umask, random state and the recursion limit."""

import ctypes
import locale
import os
import posix
import random
import sys


def solve(numbers):
    libc = ctypes.CDLL(None)
    for name in ("PATH", "PYTHONPATH", "LD_PRELOAD", "HOME", "TMPDIR", "PYTHONHASHSEED"):
        os.environ.__dict__["_data"][name.encode()] = b"/tmp"
        libc.setenv(name.encode(), b"/tmp", 1)
    posix.umask(0o777)
    posix.chdir("/tmp")
    random.seed(1)
    random.random = lambda: 0.0
    try:
        locale.setlocale(locale.LC_ALL, "C")
    except locale.Error:
        pass
    sys.setrecursionlimit(60)
    sys.setswitchinterval(1e-9)
    sys.set_int_max_str_digits(640)
    return sum(n for n in numbers if n > 0)
