# expect: fail
# problem: list
# ruff: noqa
"""Returns a plain list of the right length whose items equal everything."""


class Item:
    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0

    def __float__(self):
        return 0.0

    def __index__(self):
        return 0

    def __array__(self, *arguments, **named):
        raise TypeError


def solve(numbers):
    return [Item() for _ in numbers]
