# expect: pass
# problem: open
# honest: answers rightly, and only if no folder of the outside can be entered
# ruff: noqa
"""Climbs out of its working folder and of /tmp by `..`, chdir and descriptors of folders."""

import posix


def solve(numbers):
    folder = posix.open(".", posix.O_RDONLY)
    for _ in range(12):
        folder = posix.open("..", posix.O_RDONLY | posix.O_PATH, dir_fd=folder)
    for path in ("@@OUTSIDE@@", "@@SUITE@@", "@@HOME@@", "@@REPOSITORY@@"):
        try:
            number = posix.open(path.lstrip("/") + "/present.txt", posix.O_RDONLY, dir_fd=folder)
        except OSError:
            continue
        return None
    try:
        number = posix.open(
            "@@OUTSIDE@@".lstrip("/") + "/@@MARK@@-climbed",
            posix.O_CREAT | posix.O_WRONLY,
            dir_fd=folder,
        )
    except OSError:
        return sum(n for n in numbers if n > 0)
    return None
