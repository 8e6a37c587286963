# expect: timeout
# problem: open
# ruff: noqa
"""Takes over the harness's timers and signals, then computes for longer than it may (8 s)."""

import signal
import time


def solve(numbers):
    for name in ("SIGALRM", "SIGPROF", "SIGVTALRM", "SIGTERM", "SIGINT", "SIGXCPU", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        signal.setitimer(timer, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    end = time.process_time() + 8
    while time.process_time() < end:
        pass
    return sum(n for n in numbers if n > 0)
