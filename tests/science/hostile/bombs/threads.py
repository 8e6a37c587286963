# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Starts up to 300 threads that wait for three seconds."""

import threading
import time


def solve(numbers):
    started = []
    for _ in range(300):
        try:
            thread = threading.Thread(target=time.sleep, args=(3,), daemon=True)
            thread.start()
            started.append(thread)
        except RuntimeError:
            break
    return len(started)
