# expect: fail-or-timeout
# problem: pytest
# ruff: noqa
"""Writes messages of its own to the tests: replies before they are asked for, and malformed ones."""

import posix
import struct


def solve(numbers):
    import msgpack

    values = [
        ["reply", {}, [], {"value": 0}, [["d", True]]],
        ["reply", {}, [], {"value": 0}, [["g", [["operator", "eq"]]]]],
        ["reply", {}, [], {"value": 0}, [["y", 0]]],
        ["raise", {}, [], {"error": 0}, [["e", [0, None], 0, 0, None]]],
        ["getattr", {"on": 0, "name": "__globals__"}, [], {}, []],
        ["call", {"on": 0}, [], {"args": 0, "named": 0}, [["d", ()]]],
        {"passed": 99, "interface": []},
    ]
    for value in values:
        for mark in (b"", b"E", b"C"):
            data = mark + msgpack.packb(value)
            try:
                posix.write(4, struct.pack("<Q", len(data)) + data)
            except OSError:
                break
    posix._exit(0)
    return 1
