# expect: fail
# problem: float
# ruff: noqa
"""Replaces numpy's comparisons, so that everything is close to everything."""

import numpy
import numpy.testing


def always(*arguments, **named):
    return True


def poison():
    for module in (numpy, numpy.core, numpy.testing):
        for name in ("allclose", "isclose", "array_equal", "all", "assert_allclose", "equal"):
            try:
                setattr(module, name, always)
            except Exception:
                pass
    try:
        numpy.core.numeric.allclose = always
        numpy.core.numeric.isclose = always
    except Exception:
        pass
    return None


def solve(numbers):
    poison()
    return 0.5
