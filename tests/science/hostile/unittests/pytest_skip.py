# expect: fail
# problem: pytest
# ruff: noqa
"""Skips or xfails every test from inside the tested function."""


def solve(numbers):
    import pytest

    pytest.skip("all is well") if len(numbers) == 1 else pytest.xfail("all is well")
    return 1
