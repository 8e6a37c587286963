# expect: fail
# problem: list
# ruff: noqa
"""Returns a list subclass with its own __eq__, __len__, __iter__ and __getitem__."""


class Numbers(list):
    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    def __len__(self):
        return 3

    def __iter__(self):
        return iter([self, self, self])

    def __getitem__(self, index):
        return self

    def __hash__(self):
        return 0


def solve(numbers):
    return Numbers([1, 2, 3])
