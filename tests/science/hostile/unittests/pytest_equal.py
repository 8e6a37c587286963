# expect: fail
# problem: pytest
# ruff: noqa
"""Returns an object that equals everything to a file of tests for pytest."""


class Equal:
    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0


def solve(numbers):
    return Equal()
