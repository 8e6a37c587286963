# ruff: noqa
"""An honest program among hostile ones: right, unless it finds traces of them.

It looks for what the checks before it left, for company, and for the state that all start from.
"""

import builtins
import json
import os
import posix
import random
import signal
import sys


def stained():
    if hasattr(builtins, "left_behind") or hasattr(json, "left_behind"):
        return "modules"
    if "left_behind" in sys.modules or "LEFT_BEHIND" in os.environ or sys.gettrace():
        return "state"
    if random.random() != 0.8444218515250481 or sys.getrecursionlimit() < 500:
        return "settings"
    if signal.getsignal(signal.SIGTERM) != signal.SIG_DFL or len(sys.meta_path) > 6:
        return "handlers"
    for place in ("/tmp", "/dev/shm", "."):
        try:
            names = posix.listdir(place)
        except OSError:
            continue
        if names:
            return place
    try:
        company = [name for name in posix.listdir("/proc") if name.isdigit()]
    except OSError:
        company = []
    return "company" if len(company) > 3 else None


STAINED = stained()


def solve(numbers):
    if STAINED:
        raise RuntimeError(STAINED)
    return sum(n for n in numbers if n > 0)
