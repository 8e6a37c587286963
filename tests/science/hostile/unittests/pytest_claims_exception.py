# expect: fail
# problem: approx
# ruff: noqa
"""Answers with the mark of an exception of every name, in place of a number."""

from judgebox.codec import Raised


def solve(numbers):
    return Raised(["Exception", "BaseException", "AssertionError"])
