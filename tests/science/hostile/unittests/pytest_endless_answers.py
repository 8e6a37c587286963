# expect: fail-or-timeout
# problem: pytest
# ruff: noqa
"""Returns iterators without end and objects that grow each time they are looked at."""


def endless():
    while True:
        yield 1
    return


class Growing:
    def __iter__(self):
        return endless()

    def __getattr__(self, name):
        return Growing()

    def __eq__(self, other):
        return Growing()

    def __bool__(self):
        return True


def solve(numbers):
    return endless() if len(numbers) == 1 else Growing()
