# expect: fail
# problem: number
# ruff: noqa
"""Answers wrongly at once, while threads left behind go on to send other answers."""

import posix
import struct
import threading
import time


def later():
    for _ in range(20):
        for value in range(16):
            for number in range(3, 16):
                try:
                    posix.write(number, struct.pack("<Q", 1) + bytes([value]))
                except OSError:
                    pass
        time.sleep(0.05)
    return None


def solve(numbers):
    for _ in range(4):
        threading.Thread(target=later).start()
    return 1
