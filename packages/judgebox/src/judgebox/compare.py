"""Whether an output is right: EvalPlus's comparison, but for what README.md lists."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy

from judgebox import codec
from judgebox.codec_types import Opaque, spread

#: Of these, EvalPlus only asks whether there is an output.
NOT_NONE = ("check_str", "text_match_three", "text_starta_endb")
#: Of these, it compares outputs as sets.
SET_EQUALITY = (
    *("similar_elements", "find_char_long", "common_in_nested_lists", "extract_singly"),
    *("larg_nnum", "intersection_array", "find_dissimilar", "Diff"),
)
#: Gives a test's argument list, which few oracles look at.
Arguments = Callable[[], list[Any]]
#: Of these, it takes other outputs besides: (output, arguments, tolerance) -> whether this one.
_ORACLES: dict[str, Callable[[Any, Arguments, float], Any]] = {
    "are_equivalent": lambda out, arguments, atol: True,  # Mbpp/164: any answer
    "sum_div": lambda out, arguments, atol: out == 0,  # Mbpp/295
    "surface_Area": lambda out, arguments, atol: abs(out - _surface_area(*arguments())) <= atol,
    "digit_distance_nums": lambda out, arguments, atol: out == _digit_distance(*arguments()),
}
#: Types of values that equal their like for sure.
_SURE = {type(None), bool, int, str}
#: Numbers that numpy may make of what is not spelled out: ranges, or rows beside columns.
_MOST_NUMBERS = 1_000_000
#: Relative tolerance in `allclose` as EvalPlus calls it, and the absolute one from the first
#: expected float on, where a problem names none.
_RTOL, _ATOL = 1e-07, 1e-6


class Comparison:
    """The comparison of one set of tests, in the tests' order, with a dataset's special oracles.

    A tolerance of 0 is 1e-6 from the first expected floats on. Recorded results: see `nearly`.
    """

    def __init__(self, dataset: str, entry_point: str, atol: float, recorded: bool = False) -> None:
        self._recorded, self._atol = recorded, atol
        special = {"mbpp": {*_ORACLES, *SET_EQUALITY, *NOT_NONE}, "humaneval": {"find_zero"}}
        #: The function, where an oracle of its own judges it.
        self.special = entry_point if entry_point in special.get(dataset, ()) else ""
        self.iterates = self.special in SET_EQUALITY  # what an iterable yields is compared

    def passes(self, out: Any, expected: Any, arguments: Arguments) -> bool:
        """Whether an output is right; whatever goes wrong in comparing it, it is not."""
        try:
            if too_wide(out, expected):
                return False
            if self.special == "find_zero":
                return bool(abs(_polynomial(arguments()[0], out)) <= self._atol)
            if self._recorded:
                return nearly(out, expected, self._atol)
            exact = self._exact(out, expected, arguments)
            self.equal(is_floats(expected))
            if exact or self._atol == 0 or type(out) is not type(expected):
                return bool(exact)
            if isinstance(expected, list | tuple) and len(out) != len(expected):
                return False
            return close(out, expected, self._atol)
        except Exception:  # memory and recursion included: the output may be made for it
            return False

    def passes_long(self, out: Iterator[Any], expected: Iterator[Any]) -> bool:
        """Whether the items of a list are right; with a tolerance one by one, not as one array."""
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
        if self._atol == 0 and floats and self.special != "find_zero":
            self._atol = _ATOL

    def _exact(self, out: Any, expected: Any, arguments: Arguments) -> Any:
        exact = out == expected
        if self.special in _ORACLES:
            return exact or _ORACLES[self.special](out, arguments, self._atol)
        if self.iterates:
            items = out if not isinstance(out, Opaque) or out.items is None else out.items
            if isinstance(items, range) and len(items) > len(expected):
                return False  # without making a set of it, however long it is
            return set(spread([*items])) == set(expected)
        if self.special in NOT_NONE:
            return exact if isinstance(out, bool) else expected == (out is not None)
        return exact


def too_wide(out: Any, expected: Any) -> bool:
    """Whether numpy would lay rows beside columns: two times 60,000 numbers make 4 GB."""
    sizes = sum(int(value.size) for value in (out, expected) if isinstance(value, numpy.ndarray))
    return _compared(out, expected) > _MOST_NUMBERS + 4 * sizes


def _compared(out: Any, expected: Any) -> int:
    """How many pairs numpy would compare at once."""
    if isinstance(out, numpy.ndarray) or isinstance(expected, numpy.ndarray):
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


def close(out: Any, expected: Any, atol: float) -> bool:
    """Numpy's `allclose`, unless it would make something huge of a small output, or nothing."""
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
    """Whether two values are equal but for floats within a tolerance, absolute and relative."""
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
            same = kind is not dict or {*out} == {*expected}
            return same and all(nearly(out[key], expected[key], tolerance) for key in keys)
    if isinstance(out, numpy.ndarray) or isinstance(expected, numpy.ndarray):
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
    return isinstance(value, numpy.ndarray) and value.dtype.str[1:] in ("f4", "f8")


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
