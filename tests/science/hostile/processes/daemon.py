# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Forks twice with a session of its own in between, names itself, and stays for 20 seconds."""

import ctypes
import posix
import time


def solve(numbers):
    if posix.fork() == 0:
        try:
            posix.setsid()
        except OSError:
            pass
        if posix.fork() == 0:
            posix.closerange(0, 256)
            ctypes.CDLL(None).prctl(15, b"hx-daemon-@@SHORT@@"[:15])
            time.sleep(20)
        posix._exit(0)
    time.sleep(0.2)
    return 1
