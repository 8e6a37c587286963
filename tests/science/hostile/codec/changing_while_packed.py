# expect: fail-or-timeout
# problem: list
# ruff: noqa
"""Returns containers that change and grow while they are looked at."""


class Growing(list):
    def __iter__(self):
        while True:
            self.append(1)
            yield self[-1]
        return

    def __len__(self):
        return 2**62


class Items(dict):
    def items(self):
        while True:
            yield (1, 2)
        return

    def __iter__(self):
        while True:
            yield 1
        return

    def __len__(self):
        return -1


def solve(numbers):
    return Growing([1]) if len(numbers) % 2 else [Items(a=1)]
