"""Whether an output is right: EvalPlus's comparison, over data that came out of the box.

The same steps as in EvalPlus 0.3.1's `unsafe_execute`, with three differences. Special oracles see
the inputs as they were given, not as the program left them. `find_zero` (HumanEval/32) is judged by
its oracle, whose bookkeeping 0.3.1 skips, so that no solution passes there; upstream has mended it
since. And what holds no number is close to none: of `[[]]` numpy's `allclose` says that it is.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from judgebox import codec
from judgebox.codec_types import Opaque, spread

#: Of these, EvalPlus only asks whether there is an output.
NOT_NONE = ("check_str", "text_match_three", "text_starta_endb")
#: Of these, it compares outputs as sets.
SET_EQUALITY = (
    *("similar_elements", "find_char_long", "common_in_nested_lists", "extract_singly"),
    *("larg_nnum", "intersection_array", "find_dissimilar", "Diff"),
)
_ORACLES = ("are_equivalent", "sum_div", "surface_Area", "digit_distance_nums")
#: Types of values that equal their like for sure.
_SURE = {type(None), bool, int, str}
#: Gives a test's argument list, which few oracles look at.
Arguments = Callable[[], list[Any]]

#: Numbers that numpy may make of what is not spelled out: ranges, or rows beside columns.
_MOST_NUMBERS = 1_000_000
#: numpy's relative tolerance in `allclose` as EvalPlus calls it.
_RTOL = 1e-07
#: Absolute tolerance from the first expected float on, where a problem names none.
_ATOL = 1e-6


class Comparison:
    """The comparison of one set of tests, in the tests' order.

    Special oracles of a dataset ("humaneval", "mbpp") apply to its functions. Where the absolute
    tolerance of floats is 0, it is 1e-6 from the first test on whose expected output is of floats,
    for all that follow, as in EvalPlus. Results of recorded calls are compared part by part
    (`nearly`) where no special oracle applies.
    """

    def __init__(self, dataset: str, entry_point: str, atol: float, recorded: bool = False) -> None:
        self._recorded, self._atol = recorded, atol
        special = dataset == "mbpp" and entry_point in {*_ORACLES, *SET_EQUALITY, *NOT_NONE}
        self._mbpp = entry_point if special else ""
        self._zero = dataset == "humaneval" and entry_point == "find_zero"
        #: Whether what an iterable yields is compared.
        self.iterates = self._mbpp in SET_EQUALITY
        #: Whether an oracle of its own judges this function.
        self.special = bool(self._mbpp) or self._zero

    def passes(self, out: Any, expected: Any, arguments: Arguments) -> bool:
        """Whether an output is right; whatever goes wrong in comparing it, it is not."""
        try:
            if too_wide(out, expected):
                return False
            if self._zero:
                return bool(abs(_polynomial(arguments()[0], out)) <= self._atol)
            if self._recorded:
                return nearly(out, expected, self._atol)
            exact = self._exact(out, expected, arguments)
            self.equal(is_floats(expected))
            if exact or self._atol == 0:
                return bool(exact)
            if type(out) is not type(expected):
                return False
            if isinstance(expected, list | tuple) and len(out) != len(expected):
                return False
            return close(out, expected, self._atol)
        except Exception:  # memory and recursion included: the output may be made for it
            return False

    def passes_long(self, out: Iterator[Any], expected: Iterator[Any]) -> bool:
        """Whether the items of a list are right; it stops at the first that is wrong.

        With a tolerance, items that are lists are compared one by one; EvalPlus makes one array of
        all.
        """
        exact = numeric = True
        try:
            for output, wanted in zip(out, expected, strict=True):
                numeric = numeric and not isinstance(output, str | bytes | None)
                if too_wide(output, wanted):
                    return False
                if output == wanted:
                    continue
                exact = False
                if self._atol == 0 or not _item_close(output, wanted, self._atol):
                    return False
        except Exception:  # as in `passes`
            return False
        return exact or numeric

    def equal(self, floats: bool) -> None:
        """Take note of a test whose output equals the expected one, which is of floats or not."""
        if self._atol == 0 and floats and not self._zero:
            self._atol = _ATOL

    def _exact(self, out: Any, expected: Any, arguments: Arguments) -> Any:
        exact = out == expected
        if self._mbpp == "are_equivalent":  # Mbpp/164: EvalPlus takes any answer
            return exact or True
        if self._mbpp == "sum_div":  # Mbpp/295
            return exact or out == 0
        if self._mbpp == "surface_Area":  # Mbpp/581
            return exact or abs(out - _surface_area(*arguments())) <= self._atol
        if self._mbpp == "digit_distance_nums":  # Mbpp/558
            return exact or out == _digit_distance(*arguments())
        if self._mbpp in SET_EQUALITY:
            items = out if not isinstance(out, Opaque) or out.items is None else out.items
            if isinstance(items, range) and len(items) > len(expected):
                return False  # without making a set of it, however long it is
            return set(spread([*items])) == set(expected)
        if self._mbpp in NOT_NONE:
            return exact if isinstance(out, bool) else expected == (out is not None)
        return exact


def too_wide(out: Any, expected: Any) -> bool:
    """Whether numpy, asked if these are equal, would lay rows beside columns, and make far more.

    A column of 60,000 numbers beside a list of as many is a table of 4 GB.
    """
    sizes = sum(int(value.size) for value in (out, expected) if _is_array(value))
    return _compared(out, expected) > _MOST_NUMBERS + 4 * sizes


def _compared(out: Any, expected: Any) -> int:
    """How many pairs numpy would compare at once."""
    if _is_array(out) or _is_array(expected):
        import numpy

        try:
            return math.prod(numpy.broadcast_shapes(numpy.shape(out), numpy.shape(expected)))
        except ValueError:  # they don't fit, or are ragged
            return 0
    for kind in (list, tuple, deque):
        if isinstance(out, kind) and isinstance(expected, kind):
            return max(map(_compared, out, expected), default=0)
    if isinstance(out, dict) and isinstance(expected, dict):
        both = (key for key in out if key in expected)
        return max((_compared(out[key], expected[key]) for key in both), default=0)
    return 0


def _is_array(value: Any) -> bool:
    return type(value).__module__ == "numpy" and type(value).__name__ == "ndarray"


def close(out: Any, expected: Any, atol: float) -> bool:
    """Numpy's `allclose`, unless it would make something huge of a small output, or nothing."""
    import numpy

    if _in_ranges(out) > _MOST_NUMBERS:
        return False
    left, right = numpy.asarray(out), numpy.asarray(expected)
    if not left.size * right.size and left.shape != right.shape:
        return False  # without a number between them, `allclose` calls anything close
    return not too_wide(left, right) and bool(numpy.allclose(left, right, rtol=_RTOL, atol=atol))


def _item_close(out: Any, expected: Any, atol: float) -> bool:
    if {type(out), type(expected)} <= {int, float, bool}:
        finite = math.isfinite(out) and math.isfinite(expected)
        return finite and abs(out - expected) <= atol + _RTOL * abs(expected)
    return close(out, expected, atol)


def nearly(out: Any, expected: Any, tolerance: float) -> bool:
    """Whether two values are equal but for rounding of floats, wherever these stand.

    The tolerance of floats is absolute and relative.
    """
    if isinstance(expected, float) and isinstance(out, float | int):
        if math.isnan(expected):
            return math.isnan(out)
        return out == expected or math.isclose(out, expected, rel_tol=tolerance, abs_tol=tolerance)
    if isinstance(expected, complex) and isinstance(out, complex | float | int):
        return out == expected or abs(out - expected) <= tolerance * max(1.0, abs(expected))
    for kind in (list, tuple, dict):
        if isinstance(expected, kind):
            if not isinstance(out, kind) or len(out) != len(expected):
                return False
            keys = expected if kind is dict else range(len(expected))
            if kind is dict and {*out} != {*expected}:
                return False
            return all(nearly(out[key], expected[key], tolerance) for key in keys)
    if _is_array(expected) or _is_array(out):
        import numpy

        left, right = numpy.asarray(out), numpy.asarray(expected)
        same = left.shape == right.shape
        if same and left.dtype.kind in "fc" and right.dtype.kind in "biufc":
            return bool(numpy.allclose(left, right, tolerance, tolerance, equal_nan=True))
        return same and bool((left == right).all())
    return bool(out == expected)


def _in_ranges(value: Any) -> int:
    """How many numbers numpy would make of the ranges in a value."""
    if isinstance(value, range):
        return len(value)
    if isinstance(value, list | tuple | deque):
        return sum(map(_in_ranges, value))
    return 0


def is_floats(value: Any) -> bool:
    """EvalPlus's `is_floats`: a float, or a list, tuple or array of nothing else."""
    if isinstance(value, float):
        return True
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(item, float) for item in value)
    return _is_array(value) and value.dtype.str[1:] in ("f4", "f8")


def equals_its_like(value: Any) -> bool:
    """Whether a value equals one of the same bytes, as NaN does not; `CodecError`: no data."""
    same = True
    for part in value if type(value) is list else [value]:  # a copy of all may be huge
        if type(part) in _SURE or (type(part) in (list, tuple) and {*map(type, part)} <= _SURE):
            continue
        like = codec.unpack(codec.pack(part), 2**62, opaque=False)
        try:
            same = same and bool(part == like)
        except Exception:  # an array of several numbers is neither equal nor not
            same = False
    return same


def _surface_area(base_edge: Any, height: Any) -> Any:
    slant = math.sqrt((base_edge / 2) ** 2 + height**2)
    return round(base_edge**2 + 4 * (base_edge * slant) / 2)


def _digit_distance(left: Any, right: Any) -> int:
    length = max(len(str(left)), len(str(right)))
    pairs = zip(str(left).zfill(length), str(right).zfill(length), strict=True)
    return sum(abs(int(a) - int(b)) for a, b in pairs)


def _polynomial(coefficients: Any, x: Any) -> Any:
    return sum([coefficient * math.pow(x, i) for i, coefficient in enumerate(coefficients)])
