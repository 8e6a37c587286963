# expect: pass
# problem: open
# honest: answers rightly; the honest programs after it look for what it left
# ruff: noqa
"""Leaves files, modules and settings for the check that comes next in the same box."""

import builtins
import io
import json
import os
import sys

LEFT = "import builtins\nbuiltins.left_behind = True\n"


def solve(numbers):
    for place in ("/tmp", "/dev/shm", ".", "/tmp/..", os.path.dirname(json.__file__)):
        for name in (
            "left_behind",
            "numpy.py",
            "json.py",
            "sitecustomize.py",
            "x.pth",
            "random.py",
        ):
            try:
                with io.open(f"{place}/{name}", "w") as file:
                    file.write(LEFT)
            except OSError:
                continue
    builtins.left_behind = True
    os.environ.__dict__["_data"][b"LEFT_BEHIND"] = b"1"
    sys.modules["left_behind"] = sys
    json.left_behind = True
    sys.path.insert(0, "/tmp")
    return sum(n for n in numbers if n > 0)
