"""The types that msgpack lacks: how the codec takes their values apart and makes them again."""

import struct
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

from judgebox import codec_foreign as foreign
from judgebox.codec_foreign import CodecError, listed

TUPLE, SET, FROZENSET, INT, COMPLEX, BYTEARRAY, RANGE, SLICE = range(1, 9)
DECIMAL, FRACTION, DATE, DATETIME, TIME, TIMEDELTA, TIMEZONE = range(9, 16)
DEQUE, COUNTER, ORDERED, DEFAULT, KEYS, VALUES, ITEMS = range(16, 23)
SCALAR, NDARRAY, OBJECTS, SUBCLASS, OPAQUE, RAISED = range(23, 29)

#: Bytes of a fraction's numerator or denominator: making one looks for their common divisor.
_FRACTION_BYTES = 512
#: Items of a set or keys that need no look at their hashes, and distinct ones with the same hash.
_FEW, _SAME = 100, 64
_NAME = 200


class Opaque:
    """What takes the place of a value that is no data; it equals nothing, not even itself."""

    __slots__ = ("items", "kind")

    def __init__(self, kind: str, items: list[Any] | None = None) -> None:
        self.kind = kind
        """Name of the type that it had."""
        self.items = items
        """What iterating over it gave, where somebody asked."""

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"Opaque({self.kind!r}, {self.items!r})"


class Raised:
    """Stands for an exception in place of a value; equals another if they share a type's name.

    So one holds the names of an exception's types, from its own to `BaseException`, and the other
    of those that are right.
    """

    __slots__ = ("names",)

    def __init__(self, names: list[str]) -> None:
        self.names = names
        """Names of types of exceptions, without their modules."""

    @classmethod
    def of(cls, error: BaseException) -> "Raised":
        """What stands for an exception that was raised."""
        kinds = [kind for kind in type(error).__mro__ if issubclass(kind, BaseException)]
        return cls([str(kind.__name__) for kind in kinds])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Raised) and not {*self.names}.isdisjoint(other.names)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"Raised({self.names!r})"


_TAKEN: dict[type, tuple[int, Callable[[Any], Any]]] = {
    tuple: (TUPLE, list),
    set: (SET, list),
    frozenset: (FROZENSET, list),
    int: (INT, lambda v: v.to_bytes(v.bit_length() // 8 + 1, "big", signed=True)),
    complex: (COMPLEX, lambda v: struct.pack("<dd", v.real, v.imag)),
    bytearray: (BYTEARRAY, bytes),
    range: (RANGE, lambda v: [v.start, v.stop, v.step]),
    slice: (SLICE, lambda v: [v.start, v.stop, v.step]),
    Decimal: (DECIMAL, lambda v: str(v).encode("ascii")),
    Fraction: (FRACTION, lambda v: [v.numerator, v.denominator]),
    date: (DATE, lambda v: [v.year, v.month, v.day]),
    datetime: (DATETIME, lambda v: [v.year, v.month, v.day, *_clock(v)]),
    time: (TIME, lambda v: [*_clock(v)]),
    timedelta: (TIMEDELTA, lambda v: [v.days, v.seconds, v.microseconds]),
    timezone: (TIMEZONE, lambda v: v.utcoffset(None)),
    deque: (DEQUE, lambda v: [v.maxlen, list(v)]),
    Counter: (COUNTER, dict),
    OrderedDict: (ORDERED, lambda v: [[key, item] for key, item in v.items()]),
    defaultdict: (DEFAULT, dict),
    type({}.keys()): (KEYS, list),
    type({}.values()): (VALUES, list),
    type({}.items()): (ITEMS, lambda v: [[key, item] for key, item in v]),
    Opaque: (OPAQUE, lambda v: [v.kind, v.items]),
    Raised: (RAISED, lambda v: v.names),
}


def _clock(value: Any) -> tuple[Any, ...]:
    zone = value.tzinfo if type(value.tzinfo) is timezone else None
    if zone is not value.tzinfo:
        raise CodecError("a time zone that is no fixed offset")
    return value.hour, value.minute, value.second, value.microsecond, zone, value.fold


def taken_apart(value: Any) -> tuple[int, Any]:
    """The code of a value's type, and bytes or a simpler value that hold what it is.

    Raises:
        CodecError: a date with a time zone of its own making.
    """
    kind = type(value)
    if kind in _TAKEN:
        code, take = _TAKEN[kind]
        return code, take(value)
    found = foreign.numpy_parts(value)
    if found is not None:
        return {"scalar": SCALAR, "array": NDARRAY, "objects": OBJECTS}[found[0]], found[1]
    like = foreign.as_builtin(value)
    if like is not None:
        return SUBCLASS, [*like]
    return OPAQUE, [f"{kind.__module__}.{kind.__qualname__}"[:_NAME], None]


def check_spread(items: list[Any]) -> None:
    """Refuse items that are chosen for their hashes: a set of them would take for ever.

    Raises:
        CodecError: many different items have the same hash.
        TypeError: some have none.
    """
    if len(items) <= _FEW or len({*map(hash, items)}) == len(items):
        return
    seen: dict[int, list[Any]] = {}
    for item in items:
        same = seen.setdefault(hash(item), [])
        if item not in same:
            same.append(item)
            if len(same) > _SAME:
                raise CodecError("many items with the same hash")


def mapping(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    """The dict of pairs of which any may be hostile; raises what `check_spread` raises."""
    check_spread([key for key, _ in pairs])
    return dict(pairs)


def _spread(make: Callable[[list[Any]], Any]) -> Callable[[Any], Any]:
    def made(content: Any) -> Any:
        if type(content) is not list:
            raise CodecError("an extension that holds no list")
        check_spread(content)
        return make(content)

    return made


def _of(kind: type, make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def made(content: Any) -> Any:
        if type(content) is not kind:
            raise CodecError(f"an extension that holds no {kind.__name__}")
        return make(content)

    return made


def _pairs(content: Any) -> list[Any]:
    if type(content) is not list:
        raise CodecError("pairs that are no list")
    pairs = [listed(pair, object, object) for pair in content]
    check_spread([key for key, _ in pairs])
    return pairs


def _fraction(content: Any) -> Fraction:
    parts = listed(content, int, int)
    if any(part.bit_length() > 8 * _FRACTION_BYTES for part in parts):
        raise CodecError("a fraction of huge numbers")
    return Fraction(*parts)


def _datetime(content: Any) -> datetime:
    *parts, zone, fold = listed(content, *(int,) * 7, (timezone, type(None)), int)
    return datetime(*parts).replace(tzinfo=zone, fold=fold)


def _time(content: Any) -> time:
    *parts, zone, fold = listed(content, *(int,) * 4, (timezone, type(None)), int)
    return time(*parts).replace(tzinfo=zone, fold=fold)


def _deque(content: Any) -> "deque[Any]":
    longest, items = listed(content, (int, type(None)), list)
    return deque(items, longest)


def _counter(content: dict[Any, int]) -> "Counter[Any]":
    made: Counter[Any] = Counter()
    dict.update(made, content)
    return made


def _subclass(content: Any) -> Any:
    name, value = listed(content, str, object)
    base = foreign.BY_NAME.get(name)
    if base is None or type(value) is not base:
        raise CodecError("an instance of a subclass of something else")
    return foreign.STAND_INS[base](value)


def _opaque(content: Any) -> Opaque:
    kind, items = listed(content, str, (list, type(None)))
    return Opaque(kind[:_NAME], items)


def _raised(content: Any) -> Raised:
    if type(content) is not list or not all(type(name) is str for name in content):
        raise CodecError("an exception without names")
    return Raised(content)


#: Code -> what makes the value of an extension's bytes.
FROM_BYTES: dict[int, Callable[[bytes], Any]] = {
    INT: lambda data: int.from_bytes(data, "big", signed=True),
    COMPLEX: lambda data: complex(*struct.unpack("<dd", data)),
    BYTEARRAY: bytearray,
    DECIMAL: lambda data: Decimal(data.decode("ascii")),
}
#: Code -> what makes it of the value that the bytes hold.
FROM_VALUE: dict[int, Callable[[Any], Any]] = {
    SET: _spread(set),
    FROZENSET: _spread(frozenset),
    RANGE: lambda content: range(*listed(content, int, int, int)),
    SLICE: lambda content: slice(*listed(content, object, object, object)),
    FRACTION: _fraction,
    DATE: lambda content: date(*listed(content, int, int, int)),
    DATETIME: _datetime,
    TIME: _time,
    TIMEDELTA: lambda content: timedelta(*listed(content, int, int, int)),
    TIMEZONE: _of(timedelta, timezone),
    DEQUE: _deque,
    COUNTER: _of(dict, _counter),
    ORDERED: lambda content: OrderedDict(_pairs(content)),
    DEFAULT: _of(dict, lambda content: defaultdict(None, content)),
    KEYS: _spread(lambda content: dict.fromkeys(content).keys()),
    VALUES: _of(list, lambda content: dict(enumerate(content)).values()),
    ITEMS: lambda content: dict(_pairs(content)).items(),
    SCALAR: foreign.scalar,
    NDARRAY: foreign.array,
    OBJECTS: foreign.objects,
    SUBCLASS: _subclass,
    OPAQUE: _opaque,
    RAISED: _raised,
}
