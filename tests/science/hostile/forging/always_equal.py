# expect: fail
# problem: number
# ruff: noqa
"""Returns an object that says it equals everything."""


class Equal:
    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    def __hash__(self):
        return 0

    def __bool__(self):
        return True


def solve(numbers):
    return Equal()
