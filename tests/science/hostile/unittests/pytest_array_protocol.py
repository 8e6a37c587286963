# expect: fail-or-timeout
# problem: object
# ruff: noqa
"""Claims that its class has numpy's protocols, so that numpy asks it whether all is close."""

import sys


class Sequence:
    def __array_function__(self, function, types, arguments, named):
        return True

    def __array_ufunc__(self, *arguments, **named):
        return True

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return [1][index]


def claim():
    for name, module in list(sys.modules.items()):
        if name.startswith("judgebox.harness") and hasattr(module, "OPERATORS"):
            more = {"__array_function__", "__array_ufunc__", "__array_priority__", "__array__"}
            module.OPERATORS = module.OPERATORS | more
    return True


def solve(numbers):
    claim()
    return Sequence()
