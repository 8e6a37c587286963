# expect: fail
# problem: pytest
# ruff: noqa
"""Ends pytest from inside the tested module: pytest.exit(0), SystemExit, _exit."""

import posix
import sys


def solve(numbers):
    try:
        import pytest

        pytest.exit("done", returncode=0)
    except ImportError:
        pass
    posix._exit(0)
    return 1
