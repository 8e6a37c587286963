# expect: fail
# problem: number
# ruff: noqa
"""Returns an object that borrows int's __class__, name and module and equals everything."""


class Meta(type):
    def __eq__(self, other):
        return True

    def __hash__(self):
        return hash(int)

    def __instancecheck__(self, instance):
        return True

    def __subclasscheck__(self, other):
        return True


class Borrowed(metaclass=Meta):
    __class__ = int
    __module__ = "builtins"
    __qualname__ = "int"

    def __eq__(self, other):
        return True

    def __reduce__(self):
        return (int, (1,))

    def __hash__(self):
        return 0


Borrowed.__name__ = "int"


def solve(numbers):
    return Borrowed()
