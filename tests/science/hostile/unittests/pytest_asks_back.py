# expect: fail
# problem: pytest
# ruff: noqa
"""Asks the tests' process for things that nobody lent it: each number, each way."""

import gc


def _link():
    for one in gc.get_objects():
        if type(one).__name__ == "SolutionLink":
            return one


def solve(numbers):
    for number in range(20):
        for do in ("getattr", "setattr", "call", "next", "operator", "input", "stdin"):
            try:
                at = {"on": number, "name": "__eq__", "size": 1}
                return _link().ask(do, at, args=[1], named={}, value=1, prompt="")
            except Exception:
                pass
    return 1
