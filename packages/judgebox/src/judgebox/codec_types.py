"""The types that msgpack lacks: how the codec takes their values apart and makes them again.

An extension's code is its type's place in `KINDS`, from 1; numpy is imported where it is met.
"""

import collections
import re
import struct
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from math import prod
from numbers import Integral, Rational, Real
from types import MappingProxyType, NoneType
from typing import Any, NamedTuple

#: Bytes of a fraction's numerator or denominator: making one looks for their common divisor.
_FRACTION_BYTES = 512
#: Items of a set or keys that need no look at their hashes, and distinct ones with the same hash.
_FEW, _SAME = 100, 64
#: numpy's plain types: no objects, no records.
_DTYPE = re.compile(r"[<>|=](?:[biufcUS]\d{1,9}|[mM]8(?:\[[0-9a-zA-Z]{1,12}\])?)")


class CodecError(Exception):
    """A value that can't be packed, or bytes that hold none."""


@dataclass(eq=False, slots=True)
class Opaque:
    """What takes the place of a value that is no data; it equals nothing, not even itself."""

    kind: str  # name of the type that it had
    items: list[Any] | None = None  # what iterating over it gave, where somebody asked

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = object.__hash__


@dataclass(eq=False, slots=True)
class Raised:
    """Stands for an exception in place of a value; equals another if they share a type's name.

    One names an exception's types, from its own to `BaseException`, the other those that are right.
    """

    names: list[str]

    @classmethod
    def of(cls, error: BaseException) -> "Raised":
        """What stands for an exception that was raised."""
        kinds = [kind for kind in type(error).__mro__ if issubclass(kind, BaseException)]
        return cls([str(kind.__name__) for kind in kinds])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Raised) and not {*self.names}.isdisjoint(other.names)

    __hash__ = object.__hash__


class Kind(NamedTuple):
    """A type of values, and how they are kept.

    `take` gives what is kept, as in `holds`: bytes, a value of one type, or a list of parts. `make`
    makes the value of it, or of its parts. `of` is None for several types.
    """

    of: type | None
    holds: type | tuple[Any, ...]
    take: Callable[[Any], Any]
    make: Callable[..., Any]

    def made(self, content: Any) -> Any:
        """The value of what `take` gave, or somebody claims that it gave."""
        if not isinstance(self.holds, tuple):
            if type(content) is not self.holds:
                raise CodecError(f"an extension that holds no {self.holds.__name__}")
            return self.make(content)
        if type(content) is not list or len(content) != len(self.holds):
            raise CodecError("an extension of another shape")
        if not all(map(isinstance, content, self.holds)):
            raise CodecError("an extension's part of another type")
        return self.make(*content)


def spread(items: list[Any]) -> list[Any]:
    """The items of a set, or keys, unless so many share a hash that a set would take for ever."""
    if len(items) <= _FEW or len({*map(hash, items)}) == len(items):
        return items
    seen: dict[int, list[Any]] = {}
    for item in items:
        same = seen.setdefault(hash(item), [])
        if item not in same:
            same.append(item)
            if len(same) > _SAME:
                raise CodecError("many items with the same hash")
    return items


def mapping(pairs: Any) -> dict[Any, Any]:
    """The dict of a list of pairs of which any may be hostile; raises what `spread` raises."""
    spread([key for key, _ in pairs])
    return dict(pairs)


def _as_pairs(items: Any) -> list[list[Any]]:
    return [[*pair] for pair in items]


def _fields(*names: str) -> Callable[[Any], list[Any]]:
    def take(value: Any) -> list[Any]:
        zone = getattr(value, "tzinfo", None)
        if zone is not None and type(zone) is not timezone:
            raise CodecError("a time zone that is no fixed offset")
        return [getattr(value, name) for name in names]

    return take


def _folded(kind: Any) -> Callable[..., Any]:
    return lambda *parts: kind(*parts[:-1], fold=parts[-1])


def _fraction(*parts: int) -> Fraction:
    if any(part.bit_length() > 8 * _FRACTION_BYTES for part in parts):
        raise CodecError("a fraction of huge numbers")
    return Fraction(*parts)


def _counter(content: dict[Any, Any]) -> "Counter[Any]":
    made: Counter[Any] = Counter()
    dict.update(made, content)
    return made


def _raised(names: list[Any]) -> Raised:
    if not all(type(name) is str for name in names):
        raise CodecError("an exception without names")
    return Raised(names)


def _array(text: str, shape: list[Any], data: bytes) -> Any:
    import numpy

    if not _DTYPE.fullmatch(text):
        raise CodecError("an array of another type")
    dtype = numpy.dtype(text)
    _check_shape(shape, dtype.itemsize, len(data))
    return numpy.frombuffer(data, dtype).reshape(shape) if data else numpy.empty(shape, dtype)


def _scalar(text: str, data: bytes) -> Any:
    import numpy

    empty = text in ("<U0", ">U0", "|S0")
    return numpy.dtype(text).type() if empty else _array(text, [1], data)[0]


def _objects(shape: list[Any], items: list[Any]) -> Any:
    import numpy

    _check_shape(shape, 1, len(items))
    made = numpy.empty(len(items), object)
    for number, item in enumerate(items):
        made[number] = item
    return made.reshape(shape)


def _check_shape(shape: list[Any], itemsize: int, size: int) -> None:
    numbers = itemsize and all(type(length) is int and length >= 0 for length in shape)
    if not numbers or prod(shape) * itemsize != size:
        raise CodecError("an array of another shape")


#: Builtin type -> what gives the plain value of an instance of a subclass, whatever that overrides.
_PLAIN: dict[type, Callable[[Any], Any]] = {
    int: int.__int__,
    float: float.__float__,
    complex: complex.__pos__,
    str: str.__str__,
    bytes: lambda value: bytes(memoryview(value)),
    bytearray: lambda value: bytearray(memoryview(value)),
    tuple: lambda value: tuple(tuple.__iter__(value)),
    list: lambda value: list(list.__iter__(value)),
    set: lambda value: set(set.__iter__(value)),
    frozenset: lambda value: frozenset(frozenset.__iter__(value)),
    dict: lambda value: dict(dict.items(value)),
}
#: Type that is no subclass -> the builtin as which it compares.
_COMPARES_AS: dict[type, type] = {
    collections.UserString: str,
    collections.UserList: list,
    memoryview: bytes,
    **dict.fromkeys((collections.UserDict, collections.ChainMap, MappingProxyType), dict),
}
#: Name of a builtin type -> its stand-in subclass.
_STAND_INS: dict[str, type] = {
    base.__name__: type(f"Subclass of {base.__name__}", (base,), {}) for base in _PLAIN
}


def as_builtin(value: Any) -> list[Any] | None:
    """The name of the builtin type as which a value compares, and its value as one of that.

    None for another type, or where its class compares as it likes: that is no data.
    """
    kind = type(value)
    for base, made in _PLAIN.items():
        if isinstance(value, base):
            same = kind.__eq__ is base.__eq__ and base in kind.__mro__
            return [base.__name__, made(value)] if same else None
    if kind in _COMPARES_AS:
        return [_COMPARES_AS[kind].__name__, _COMPARES_AS[kind](value)]
    if isinstance(value, Integral):  # such as sympy's
        return ["int", int(value)]
    if isinstance(value, Real) and not isinstance(value, Rational):
        return ["float", float(value)]
    return None


def _subclass(name: str, value: Any) -> Any:
    made = _STAND_INS.get(name)
    if made is None or type(value) is not made.__base__:
        raise CodecError("an instance of a subclass of something else")
    return made(value)


def _int_bytes(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _complex_bytes(value: complex) -> bytes:
    return struct.pack("<dd", value.real, value.imag)


_DATE, _CLOCK = ("year", "month", "day"), ("hour", "minute", "second", "microsecond")
_LAST, _RANGE, _ZONE = ("tzinfo", "fold"), ("start", "stop", "step"), (timezone, NoneType)
_INT, _SEVEN, _FOUR = (int,) * 3, (*(int,) * 7, _ZONE, int), (*(int,) * 4, _ZONE, int)
KINDS: list[Kind] = [
    Kind(tuple, list, list, tuple),
    Kind(set, list, list, lambda v: set(spread(v))),
    Kind(frozenset, list, list, lambda v: frozenset(spread(v))),
    Kind(int, bytes, _int_bytes, lambda v: int.from_bytes(v, "big", signed=True)),
    Kind(complex, bytes, _complex_bytes, lambda v: complex(*struct.unpack("<dd", v))),
    Kind(bytearray, bytes, bytes, bytearray),
    Kind(range, _INT, _fields(*_RANGE), range),
    Kind(slice, (object,) * 3, _fields(*_RANGE), slice),
    Kind(Decimal, bytes, lambda v: str(v).encode("ascii"), lambda v: Decimal(v.decode("ascii"))),
    Kind(Fraction, (int, int), _fields("numerator", "denominator"), _fraction),
    Kind(date, _INT, _fields(*_DATE), date),
    Kind(datetime, _SEVEN, _fields(*_DATE, *_CLOCK, *_LAST), _folded(datetime)),
    Kind(time, _FOUR, _fields(*_CLOCK, *_LAST), _folded(time)),
    Kind(timedelta, _INT, _fields("days", "seconds", "microseconds"), timedelta),
    Kind(timezone, timedelta, lambda v: v.utcoffset(None), timezone),
    Kind(deque, ((int, NoneType), list), lambda v: [v.maxlen, [*v]], lambda n, v: deque(v, n)),
    Kind(Counter, dict, dict, _counter),
    Kind(OrderedDict, list, lambda v: _as_pairs(v.items()), lambda v: OrderedDict(mapping(v))),
    Kind(defaultdict, dict, dict, lambda v: defaultdict(None, v)),
    Kind(type({}.keys()), list, list, lambda v: dict.fromkeys(spread(v)).keys()),
    Kind(type({}.values()), list, list, lambda v: dict(enumerate(v)).values()),
    Kind(type({}.items()), list, _as_pairs, lambda v: mapping(v).items()),
    Kind(None, (str, bytes), lambda v: [v.dtype.str, v.tobytes()], _scalar),
    Kind(None, (str, list, bytes), lambda v: [v.dtype.str, [*v.shape], v.tobytes()], _array),
    Kind(None, (list, list), lambda v: [[*v.shape], [*v.flat]], _objects),
    Kind(None, (str, object), as_builtin, _subclass),
    Kind(Opaque, (str, (list, NoneType)), _fields("kind", "items"), Opaque),
    Kind(Raised, list, lambda v: v.names, _raised),
]
_CODES: dict[type | None, int] = {kind.of: code for code, kind in enumerate(KINDS, start=1)}
_SCALAR, _ARRAY, _OBJECTS, _SUBCLASS, OPAQUE = range(23, 28)


def taken_apart(value: Any) -> tuple[int, Any]:
    """The code of a value's type, and bytes or a simpler value that hold what it is."""
    kind = type(value)
    code = _CODES.get(kind) or _numpys_code(value)
    if code is not None:
        return code, KINDS[code - 1].take(value)
    plain = as_builtin(value)
    if plain is not None:
        return _SUBCLASS, plain
    return OPAQUE, [f"{kind.__module__}.{kind.__qualname__}"[:200], None]


def _numpys_code(value: Any) -> int | None:
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    if type(value) is numpy.ndarray:
        if value.dtype == object:
            return _OBJECTS
        return _ARRAY if _DTYPE.fullmatch(value.dtype.str) else None
    plain = type(value) in numpy.sctypeDict.values() and _DTYPE.fullmatch(value.dtype.str)
    return _SCALAR if plain else None
