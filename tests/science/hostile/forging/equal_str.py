# expect: fail
# problem: text
# ruff: noqa
"""Returns a str subclass that equals every other string and lies about its content."""


class Text(str):
    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    def __hash__(self):
        return 0

    def __len__(self):
        return 9

    def encode(self, *arguments):
        return b""


def solve(numbers):
    return Text("anything")
