# expect: fail
# problem: number
# ruff: noqa
"""Replaces every function of the harness and of the runner with one that says yes."""

import sys
import types


def yes(*arguments, **named):
    return True


def solve(numbers):
    for name, module in list(sys.modules.items()):
        if name == "__main__" or name.startswith(("mixmerge", "evalplus")):
            for key, value in list(vars(module).items()):
                if isinstance(value, types.FunctionType):
                    setattr(module, key, yes)
                elif isinstance(value, type):
                    for inner in ("send", "receive", "close", "write"):
                        try:
                            setattr(value, inner, yes)
                        except Exception:
                            pass
    return 1
