# expect: fail-or-timeout
# problem: list
# ruff: noqa
"""Returns a list, a dictionary and a tuple that contain themselves."""


def solve(numbers):
    circle = list(numbers)
    around = {"self": circle}
    around["me"] = around
    circle[:] = [circle, around, (circle,)]
    return circle
