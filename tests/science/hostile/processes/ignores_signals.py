# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Ignores and blocks every signal in a child of another group, and never ends by itself (20 s)."""

import ctypes
import posix
import signal
import time


def deaf():
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    for number in signal.valid_signals():
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    end = time.monotonic() + 20
    while time.monotonic() < end:
        time.sleep(0.05)
    return posix._exit(0)


def solve(numbers):
    if posix.fork() == 0:
        try:
            posix.setpgid(0, 0)
        except OSError:
            pass
        ctypes.CDLL(None).prctl(15, b"hx-deaf-@@SHORT@@"[:15])
        return deaf()
    return deaf()
