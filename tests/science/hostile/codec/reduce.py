# expect: fail
# problem: number
# ruff: noqa
"""Returns objects whose __reduce__ runs a program where they are unpickled."""

import posix


class Payload:
    def __reduce__(self):
        return (posix.system, ("echo escaped > @@OUTSIDE@@/@@MARK@@-reduced",))

    __reduce_ex__ = lambda self, protocol: self.__reduce__()


def solve(numbers):
    return Payload()
