# expect: fail
# problem: number
# ruff: noqa
"""Looks through every object that the collector knows for this call's expected output."""

import gc


def candidates():
    found = []
    for thing in gc.get_objects():
        try:
            if type(thing) is dict:
                values = list(thing.values())
            elif type(thing) in (list, tuple):
                values = list(thing)
            else:
                continue
            for value in values:
                if type(value) is int and 10**8 <= value < 10**10:
                    found.append(value)
        except Exception:
            continue
    return found


def solve(numbers):
    found = candidates()
    return max(found, key=found.count) if found else None
