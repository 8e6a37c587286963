# expect: fail
# problem: seteq
# ruff: noqa
"""Returns members whose hash and equality fit any set, for the oracle that compares sets."""


class Member(int):
    def __eq__(self, other):
        return True

    def __hash__(self):
        return 3


class Members(tuple):
    def __iter__(self):
        return iter(())

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0


def similar_elements(first, second):
    return Members([Member(1), Member(2)])
