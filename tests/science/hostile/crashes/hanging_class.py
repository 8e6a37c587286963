# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Returns an object whose type answers no question: name, module, hash, iteration all hang."""

import time


def hang(*arguments):
    time.sleep(60)
    return "never"


class Meta(type):
    __name__ = property(hang)
    __module__ = property(hang)
    __qualname__ = property(hang)
    mro = type.mro
    __instancecheck__ = hang
    __repr__ = hang
    __hash__ = hang


class Hanging(metaclass=Meta):
    __eq__ = hang
    __hash__ = hang
    __iter__ = hang
    __len__ = hang
    __class__ = property(hang)
    __getattribute__ = hang


def solve(numbers):
    return Hanging()
