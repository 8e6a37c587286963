# expect: fail
# problem: list
# ruff: noqa
"""Replaces the builtins that a comparison may use, so that every comparison is true."""

import builtins


def always(*arguments, **named):
    return True


def nothing(*arguments, **named):
    return iter(())


def poison():
    for name in ("all", "any", "isinstance", "issubclass", "bool", "abs", "callable", "hasattr"):
        setattr(builtins, name, always)
    for name in ("zip", "enumerate", "map", "filter", "range"):
        setattr(builtins, name, nothing)
    builtins.type = always
    builtins.len = lambda thing: 0
    builtins.sum = lambda *things: 0
    return None


def solve(numbers):
    poison()
    return [1]
