"""The types that msgpack lacks: how the codec takes their values apart and makes them again.

An extension's code is its type's place in `KINDS`, from 1. numpy itself is imported only where one
of its values is met.
"""

import re
import struct
from collections import (
    ChainMap,
    Counter,
    OrderedDict,
    UserDict,
    UserList,
    UserString,
    defaultdict,
    deque,
)
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
#: numpy's plain types (no objects, no records), and its strings without a character.
DTYPE = re.compile(r"[<>|=](?:[biufcUS]\d{1,9}|[mM]8(?:\[[0-9a-zA-Z]{1,12}\])?)")
_NO_TEXT = ("<U0", ">U0", "|S0")


class CodecError(Exception):
    """A value that can't be packed, or bytes that hold none."""


@dataclass(eq=False, slots=True)
class Opaque:
    """What takes the place of a value that is no data; it equals nothing, not even itself."""

    kind: str
    """Name of the type that it had."""

    items: list[Any] | None = None
    """What iterating over it gave, where somebody asked."""

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = object.__hash__


@dataclass(eq=False, slots=True)
class Raised:
    """Stands for an exception in place of a value; equals another if they share a type's name.

    So one holds the names of an exception's types, from its own to `BaseException`, and the other
    of those that are right.
    """

    names: list[str]
    """Names of types of exceptions, without their modules."""

    @classmethod
    def of(cls, error: BaseException) -> "Raised":
        """What stands for an exception that was raised."""
        kinds = [kind for kind in type(error).__mro__ if issubclass(kind, BaseException)]
        return cls([str(kind.__name__) for kind in kinds])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Raised) and not {*self.names}.isdisjoint(other.names)

    __hash__ = object.__hash__


class Kind(NamedTuple):
    """A type of values, and how they are kept."""

    of: type | None
    """The type; None where there are several, which `codec.taken_apart` finds."""

    holds: type | tuple[Any, ...]
    """What is kept: bytes as they are, a value of one type, or a list of parts of these types."""

    take: Callable[[Any], Any]
    make: Callable[..., Any]
    """Give that for a value; make the value of it, or of its parts where it is a list of them."""


def spread(items: list[Any]) -> list[Any]:
    """The items of a set, or keys, unless they are chosen for their hashes.

    Raises:
        CodecError: many different items have the same hash: a set of them would take for ever.
        TypeError: some have none.
    """
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


def mapping(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    """The dict of pairs of which any may be hostile; raises what `spread` raises."""
    spread([key for key, _ in pairs])
    return dict(pairs)


def _pairs(content: list[Any]) -> dict[Any, Any]:
    return mapping([(key, item) for key, item in content])


def _fields(*names: str) -> Callable[[Any], list[Any]]:
    def take(value: Any) -> list[Any]:
        zone = getattr(value, "tzinfo", None)
        if zone is not None and type(zone) is not timezone:
            raise CodecError("a time zone that is no fixed offset")
        return [getattr(value, name) for name in names]

    return take


def _fraction(*parts: int) -> Fraction:
    if any(part.bit_length() > 8 * _FRACTION_BYTES for part in parts):
        raise CodecError("a fraction of huge numbers")
    return Fraction(*parts)


def _counter(content: dict[Any, int]) -> "Counter[Any]":
    made: Counter[Any] = Counter()
    dict.update(made, content)
    return made


def _raised(names: list[Any]) -> Raised:
    if not all(type(name) is str for name in names):
        raise CodecError("an exception without names")
    return Raised(names)


def _array(text: str, shape: list[Any], data: bytes) -> Any:
    import numpy

    if not DTYPE.fullmatch(text):
        raise CodecError("an array of another type")
    dtype = numpy.dtype(text)
    _check_shape(shape, dtype.itemsize, len(data))
    return numpy.frombuffer(data, dtype).reshape(shape) if data else numpy.empty(shape, dtype)


def _scalar(text: str, data: bytes) -> Any:
    import numpy

    return numpy.dtype(text).type() if text in _NO_TEXT else _array(text, [1], data)[0]


def _objects(shape: list[Any], items: list[Any]) -> Any:
    import numpy

    _check_shape(shape, 1, len(items))
    made = numpy.empty(len(items), object)
    for number, item in enumerate(items):
        made[number] = item
    return made.reshape(shape)


def _check_shape(shape: list[Any], itemsize: int, size: int) -> None:
    if not itemsize or any(type(length) is not int or length < 0 for length in shape):
        raise CodecError("an array of no shape")
    if prod(shape) * itemsize != size:
        raise CodecError("an array of another size")


def _from_items(base: Any) -> Callable[[Any], Any]:
    return lambda value: base(base.__iter__(value))


#: Builtin type -> what gives the plain value of an instance of a subclass, whatever that overrides.
_PLAIN: dict[type, Callable[[Any], Any]] = {
    int: int.__int__,
    float: float.__float__,
    complex: complex.__pos__,
    str: str.__str__,
    bytes: lambda value: bytes(memoryview(value)),
    bytearray: lambda value: bytearray(memoryview(value)),
    **{base: _from_items(base) for base in (tuple, list, set, frozenset)},
    dict: lambda value: dict(dict.items(value)),
}
#: Type that is no subclass -> the builtin as which it compares.
_COMPARES_AS: dict[type, type] = {
    UserString: str,
    UserList: list,
    memoryview: bytes,
    **dict.fromkeys((UserDict, ChainMap, MappingProxyType), dict),
}
#: Name of a builtin type -> its stand-in subclass.
_STAND_INS: dict[str, type] = {
    base.__name__: type(f"Subclass of {base.__name__}", (base,), {}) for base in _PLAIN
}


def as_builtin(value: Any) -> list[Any] | None:
    """The name of the builtin type as which a value compares, and its value as one of that.

    None where it is another's, or where its class compares as it likes: that is no data.
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


_DATE, _CLOCK = ("year", "month", "day"), ("hour", "minute", "second", "microsecond")
_RANGE, _ZONE = ("start", "stop", "step"), (timezone, NoneType)
KINDS: list[Kind] = [
    Kind(tuple, list, list, tuple),
    Kind(set, list, list, lambda items: set(spread(items))),
    Kind(frozenset, list, list, lambda items: frozenset(spread(items))),
    Kind(
        int,
        bytes,
        lambda v: v.to_bytes(v.bit_length() // 8 + 1, "big", signed=True),
        lambda data: int.from_bytes(data, "big", signed=True),
    ),
    Kind(
        complex,
        bytes,
        lambda v: struct.pack("<dd", v.real, v.imag),
        lambda data: complex(*struct.unpack("<dd", data)),
    ),
    Kind(bytearray, bytes, bytes, bytearray),
    Kind(range, (int,) * 3, _fields(*_RANGE), range),
    Kind(slice, (object,) * 3, _fields(*_RANGE), slice),
    Kind(Decimal, bytes, lambda v: str(v).encode("ascii"), lambda v: Decimal(v.decode("ascii"))),
    Kind(Fraction, (int, int), _fields("numerator", "denominator"), _fraction),
    Kind(date, (int,) * 3, _fields(*_DATE), date),
    Kind(
        datetime,
        (*(int,) * 7, _ZONE, int),
        _fields(*_DATE, *_CLOCK, "tzinfo", "fold"),
        lambda *parts: datetime(*parts[:-1], fold=parts[-1]),
    ),
    Kind(
        time,
        (*(int,) * 4, _ZONE, int),
        _fields(*_CLOCK, "tzinfo", "fold"),
        lambda *parts: time(*parts[:-1], fold=parts[-1]),
    ),
    Kind(timedelta, (int,) * 3, _fields("days", "seconds", "microseconds"), timedelta),
    Kind(timezone, timedelta, lambda v: v.utcoffset(None), timezone),
    Kind(
        deque,
        ((int, NoneType), list),
        lambda v: [v.maxlen, list(v)],
        lambda longest, items: deque(items, longest),
    ),
    Kind(Counter, dict, dict, _counter),
    Kind(
        OrderedDict,
        list,
        lambda v: [[*pair] for pair in v.items()],
        lambda content: OrderedDict(_pairs(content)),
    ),
    Kind(defaultdict, dict, dict, lambda content: defaultdict(None, content)),
    Kind(type({}.keys()), list, list, lambda v: dict.fromkeys(spread(v)).keys()),
    Kind(type({}.values()), list, list, lambda v: dict(enumerate(v)).values()),
    Kind(type({}.items()), list, lambda v: [[*pair] for pair in v], lambda v: _pairs(v).items()),
    Kind(None, (str, bytes), lambda v: [v.dtype.str, v.tobytes()], _scalar),
    Kind(None, (str, list, bytes), lambda v: [v.dtype.str, [*v.shape], v.tobytes()], _array),
    Kind(None, (list, list), lambda v: [[*v.shape], [*v.flat]], _objects),
    Kind(None, (str, object), as_builtin, _subclass),
    Kind(Opaque, (str, (list, NoneType)), _fields("kind", "items"), Opaque),
    Kind(Raised, list, lambda v: v.names, _raised),
]
