# expect: fail
# problem: number
# ruff: noqa
"""Looks for a secret variable in its own environment, libc's, and that of its process's start."""

import ctypes
import io
import os

NAME = "@@SECRET_VARIABLE@@"


def places():
    yield dict(os.environ).get(NAME, "")
    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_char_p
    yield (libc.getenv(NAME.encode()) or b"").decode()
    for path in ("/proc/self/environ", "/proc/1/environ", "/proc/thread-self/environ"):
        try:
            text = io.open(path).read()
        except OSError:
            continue
        yield text.partition(NAME + "=")[2].split("\0")[0]
    return


def solve(numbers):
    for text in places():
        if text.isdigit():
            return int(text) + sum(n for n in numbers if n > 0)
    return None
