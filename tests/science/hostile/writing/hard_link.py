# expect: fail
# problem: number
# ruff: noqa
"""Links a file from outside into its own /tmp, hard and soft, and reads it there."""

import io
import posix


def solve(numbers):
    for make in (posix.link, posix.symlink):
        path = f"/tmp/{make.__name__}"
        try:
            make("@@SECRET_FILE@@", path)
        except OSError:
            pass
        try:
            return int(io.open(path).read()) + sum(n for n in numbers if n > 0)
        except (OSError, ValueError):
            continue
    return None
