# expect: fail
# problem: number
# ruff: noqa
"""Raises what `except Exception` does not catch, anew in its own context manager's exit."""


class Stubborn(BaseException):
    pass


class Manager:
    def __enter__(self):
        return self

    def __exit__(self, *arguments):
        raise KeyboardInterrupt from Stubborn()
        return True


def solve(numbers):
    with Manager():
        raise Stubborn
    return 1
