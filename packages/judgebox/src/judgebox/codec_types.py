"""The types that msgpack lacks: how the codec takes their values apart and makes them again."""

import collections
import re
import struct
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from numbers import Integral, Rational, Real
from types import MappingProxyType, NoneType
from typing import Any, NamedTuple

import numpy

#: Bytes of a fraction's numerator or denominator: making one looks for their common divisor.
_FRACTION_BYTES = 512
#: Items of a set or keys that need no look at their hashes, and distinct ones with the same hash.
_FEW, _SAME = 100, 64
#: numpy's types of scalars, and its plain ones by name: no objects, no records.
_SCALARS = {*numpy.sctypeDict.values()}
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
    """Stands for an exception by its types' names; equals another that shares one of them."""

    names: list[str]

    @classmethod
    def of(cls, error: BaseException) -> "Raised":
        """What stands for an exception that was raised."""
        kinds = [kind for kind in type(error).__mro__ if issubclass(kind, BaseException)]
        return cls([str(kind.__name__) for kind in kinds])

    def __eq__(self, other: object) -> bool:
        # Without hashes: names may come from the box, where numbers are chosen for theirs.
        return isinstance(other, Raised) and any(name in other.names for name in self.names)

    __hash__ = object.__hash__


class Kind(NamedTuple):
    """A type of values (None: several); `take` gives parts of types as in `holds`, for `make`."""

    of: type | None
    holds: tuple[Any, ...]
    take: Callable[[Any], Any]
    make: Callable[..., Any]

    def made(self, content: Any) -> Any:
        """The value of what `take` gave, or somebody claims that it gave."""
        parts = [content] if len(self.holds) == 1 else content
        if not isinstance(parts, list) or len(parts) != len(self.holds):
            raise CodecError("an extension of another shape")
        if not all(map(isinstance, parts, self.holds)):
            raise CodecError("an extension's part of another type")
        return self.make(*parts)


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
        if type(getattr(value, "tzinfo", None)) not in _ZONE:
            raise CodecError("a time zone that is no fixed offset")
        return [getattr(value, name) for name in names]

    return take


def _int_bytes(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _folded(kind: Any) -> Callable[..., Any]:
    return lambda *parts: kind(*parts[:-1], fold=parts[-1])


def _fraction(*parts: int) -> Fraction:
    if any(part.bit_length() > 8 * _FRACTION_BYTES for part in parts):
        raise CodecError("a fraction of huge numbers")
    return Fraction(*parts)


def _array(text: str, shape: list[Any], data: bytes) -> Any:
    if not _DTYPE.fullmatch(text):
        raise CodecError("an array of another type")
    return numpy.frombuffer(data, text).reshape(shape)


def _scalar(text: str, data: bytes) -> Any:
    empty = text in ("<U0", ">U0", "|S0")  # of which numpy makes no array
    return numpy.dtype(text).type() if empty else _array(text, [], data)[()]


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
#: Builtin type -> its stand-in subclass.
_STAND_INS = {base: type(f"Subclass of {base.__name__}", (base,), {}) for base in _PLAIN}


def _as_builtin(value: Any) -> list[Any] | None:
    """A builtin type's name and the value as one of it; None: its class compares as it likes."""
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


_DATE, _CLOCK = ("year", "month", "day"), ("hour", "minute", "second", "microsecond")
_LAST, _RANGE, _ZONE = ("tzinfo", "fold"), ("start", "stop", "step"), (timezone, NoneType)
_INT, _SEVEN, _FOUR = (int,) * 3, (*(int,) * 7, _ZONE, int), (*(int,) * 4, _ZONE, int)
_RAW, _LIST = (bytes,), (list,)
_PAIR = struct.Struct("<dd")
#: An extension's code is its type's place in here, from 1.
KINDS: list[Kind] = [
    Kind(tuple, _LIST, list, tuple),
    Kind(set, _LIST, list, lambda v: set(spread(v))),
    Kind(frozenset, _LIST, list, lambda v: frozenset(spread(v))),
    Kind(int, _RAW, _int_bytes, lambda v: int.from_bytes(v, "big", signed=True)),
    Kind(complex, _RAW, lambda v: _PAIR.pack(v.real, v.imag), lambda v: complex(*_PAIR.unpack(v))),
    Kind(bytearray, _RAW, bytes, bytearray),
    Kind(range, _INT, _fields(*_RANGE), range),
    Kind(slice, (object,) * 3, _fields(*_RANGE), slice),
    Kind(Decimal, _RAW, lambda v: str(v).encode("ascii"), lambda v: Decimal(v.decode("ascii"))),
    Kind(Fraction, (int, int), _fields("numerator", "denominator"), _fraction),
    Kind(date, _INT, _fields(*_DATE), date),
    Kind(datetime, _SEVEN, _fields(*_DATE, *_CLOCK, *_LAST), _folded(datetime)),
    Kind(time, _FOUR, _fields(*_CLOCK, *_LAST), _folded(time)),
    Kind(timedelta, _INT, _fields("days", "seconds", "microseconds"), timedelta),
    Kind(timezone, (timedelta,), lambda v: v.utcoffset(None), timezone),
    Kind(deque, ((int, NoneType), list), lambda v: [v.maxlen, [*v]], lambda n, v: deque(v, n)),
    Kind(Counter, (dict,), dict, Counter),
    Kind(OrderedDict, _LIST, lambda v: _as_pairs(v.items()), lambda v: OrderedDict(mapping(v))),
    Kind(defaultdict, (dict,), dict, lambda v: defaultdict(None, v)),
    Kind(type({}.keys()), _LIST, list, lambda v: dict.fromkeys(spread(v)).keys()),
    Kind(type({}.values()), _LIST, list, lambda v: dict(enumerate(v)).values()),
    Kind(type({}.items()), _LIST, _as_pairs, lambda v: mapping(v).items()),
    # numpy's scalars and arrays, of plain types and of objects.
    Kind(None, (str, bytes), lambda v: [v.dtype.str, v.tobytes()], _scalar),
    Kind(None, (str, list, bytes), lambda v: [v.dtype.str, [*v.shape], v.tobytes()], _array),
    Kind(
        None,
        (list, list),
        lambda v: [[*v.shape], [*v.flat]],
        lambda shape, v: numpy.fromiter(v, object).reshape(shape),
    ),
    Kind(None, (str, object), _as_builtin, lambda name, v: _STAND_INS[type(v)](v)),
    Kind(Opaque, (str, (list, NoneType)), lambda v: [v.kind, v.items], Opaque),
    Kind(Raised, _LIST, lambda v: v.names, Raised),
]
_CODES: dict[type | None, int] = {kind.of: code for code, kind in enumerate(KINDS, start=1)}
_SCALAR, _ARRAY, _OBJECTS, _SUBCLASS, OPAQUE = range(23, 28)


def taken_apart(value: Any) -> tuple[int, Any]:
    """The code of a value's type, and bytes or a simpler value that hold what it is."""
    kind = type(value)
    code = _CODES.get(kind)
    if kind is numpy.ndarray and value.dtype == object:
        code = _OBJECTS
    elif kind is numpy.ndarray or kind in _SCALARS:
        plain = _DTYPE.fullmatch(value.dtype.str)
        code = (_ARRAY if kind is numpy.ndarray else _SCALAR) if plain else None
    if code is not None:
        return code, KINDS[code - 1].take(value)
    parts = _as_builtin(value)
    name = f"{kind.__module__}.{kind.__qualname__}"[:200]
    return (OPAQUE, [name, None]) if parts is None else (_SUBCLASS, parts)
