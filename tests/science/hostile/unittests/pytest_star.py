# expect: fail
# problem: star
# ruff: noqa
"""Offers names that shadow what tests use, to a test file that imports all of its names."""


def abs(value):
    return 0


def isinstance(value, kind):
    return True


def test_0():
    return None


def test_1():
    return None


def solve(numbers):
    return 1
