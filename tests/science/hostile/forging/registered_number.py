# expect: fail
# problem: number
# ruff: noqa
"""Calls itself an integer of Python's own kinds, whose value equals everything."""

import numbers as kinds


class Value(int):
    def __eq__(self, other):
        return True

    __hash__ = int.__hash__


class Number:
    def __int__(self):
        return Value(3)

    def __eq__(self, other):
        return True


kinds.Integral.register(Number)


def solve(numbers):
    return Number()
