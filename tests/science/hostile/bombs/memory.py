# expect: fail-or-timeout
# problem: number
# ruff: noqa
"""Takes memory and writes to all of it, up to 300 MB."""


def solve(numbers):
    held = []
    for _ in range(30):
        held.append(bytearray(b"\1") * (10 * 2**20))
    return len(held)
