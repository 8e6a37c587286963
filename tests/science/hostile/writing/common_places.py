# expect: pass
# problem: open
# honest: answers rightly; what it writes must stay in its box
# ruff: noqa
"""Writes a marked file wherever a process may usually write: /tmp, /dev/shm, /var/tmp, home."""

import io

PLACES = (
    "/tmp",
    "/dev/shm",
    "/var/tmp",
    "/run",
    "/var/lock",
    "@@HOME@@",
    "@@REPOSITORY@@",
    "/",
    ".",
)


def solve(numbers):
    for place in PLACES:
        try:
            with io.open(f"{place}/@@MARK@@-common", "w") as file:
                file.write("escaped")
        except OSError:
            continue
    return sum(n for n in numbers if n > 0)
