# expect: fail
# problem: text
# ruff: noqa
"""A UserString, which compares by the string in it: one that equals everything."""

import collections


class Text(str):
    def __eq__(self, other):
        return True

    def __str__(self):
        return self

    __hash__ = str.__hash__


def solve(numbers):
    found = collections.UserString("")
    found.data = Text("x")
    return found
