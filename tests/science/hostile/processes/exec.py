# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Replaces itself by another program: the interpreter anew, a shell, busybox."""

import posix
import sys

CODE = "import time; print('pass'); time.sleep(20)"


def solve(numbers):
    for path in (sys.executable, "/proc/self/exe", "/usr/bin/python3", "/bin/sh", "/bin/busybox"):
        try:
            posix.execv(path, [path, "-c", CODE, "hx-exec-@@MARK@@"])
        except (OSError, TypeError, ValueError):
            continue
    return None
