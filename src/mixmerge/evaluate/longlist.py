"""Lists that are too long to be made as a whole, compared item by item."""

import math
from collections.abc import Iterator
from typing import Any

from mixmerge.evaluate.compare import close, too_wide
from mixmerge.evaluate.plain import ListDigest

_RTOL = 1e-07


def compare(
    outputs: Iterator[Any], expected: Iterator[Any], atol: float
) -> tuple[bool, bytes | None]:
    """Whether a list is right, as EvalPlus compares lists; and its digest.

    It stops at the first item that is wrong. With a tolerance, items that are lists themselves are
    compared one by one; EvalPlus makes one array of all.

    Args:
        outputs: the list's length, then its items (`lists.items`).
        expected: the same of the expected list.
        atol: absolute tolerance; with 0, items must be equal.
    """
    length = next(outputs)
    if length != next(expected):
        return False, None
    total = ListDigest(length)
    exact = numeric = True
    try:
        for output, wanted in zip(outputs, expected, strict=True):
            total.add(output)
            numeric = numeric and not isinstance(output, str | bytes | None)
            if too_wide(output, wanted):
                return False, None
            if output == wanted:
                continue
            exact = False
            if atol == 0 or not _close(output, wanted, atol):
                return False, None
    except Exception:  # as in `Comparison.passes`
        return False, None
    return exact or numeric, total.digest()


def _close(output: Any, wanted: Any, atol: float) -> bool:
    if {type(output), type(wanted)} <= {int, float, bool}:
        finite = math.isfinite(output) and math.isfinite(wanted)
        return finite and abs(output - wanted) <= atol + _RTOL * abs(wanted)
    return close(output, wanted, atol)
