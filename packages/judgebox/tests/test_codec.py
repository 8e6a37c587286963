"""The codec: what goes in comes out, exact types included; bytes of any origin do no harm."""

import enum
import math
import random
import sys
import tracemalloc
import types
from collections import (
    ChainMap,
    Counter,
    OrderedDict,
    UserDict,
    UserList,
    UserString,
    defaultdict,
    deque,
    namedtuple,
)
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgpack
import numpy
import pytest
import sympy

from boxed import table
from judgebox.codec import MAX_DEPTH, CodecError, Opaque, pack, unpack
from judgebox.codec_types import KINDS, spread

#: A limit that no test reaches.
ENOUGH = 2**30

SCALARS: list[Callable[[random.Random], Any]] = [
    lambda r: None,
    lambda r: r.random() < 0.5,
    lambda r: r.randint(-300, 300),
    lambda r: r.choice([-1, 1]) * 2 ** r.randint(0, 400) + r.randint(-2, 2),
    lambda r: r.choice([0.0, -0.0, 1.5, 1e308, 5e-324, math.inf, -math.inf, r.random()]),
    lambda r: complex(r.random(), -0.0),
    lambda r: "".join(chr(r.choice([65, 233, 0, 0x1F600, 0xD800])) for _ in range(r.randint(0, 9))),
    lambda r: r.randbytes(r.randint(0, 9)),
    lambda r: range(r.randint(-9, 9), r.randint(-9, 9), r.choice([-2, 1, 3])),
    lambda r: Decimal(r.choice(["0.10", "-Infinity", "1E+1000000", "3.00"])),
    lambda r: Fraction(r.randint(-99, 99), r.randint(1, 99)),
    lambda r: date(r.randint(1, 9999), 2, 3),
    lambda r: datetime(1999, 12, 31, 23, 59, 59, 7, tzinfo=r.choice([None, UTC]), fold=1),
    lambda r: time(1, 2, 3, 4, tzinfo=timezone(timedelta(hours=r.randint(-9, 9)))),
    lambda r: timedelta(r.randint(-9, 9), 3, 4),
]
HASHABLE = [
    lambda r, make: tuple(make() for _ in range(r.randint(0, 4))),
    lambda r, make: frozenset(make() for _ in range(r.randint(0, 1))),
]
CONTAINERS = [
    lambda r, make, key: [make() for _ in range(r.randint(0, 5))],
    lambda r, make, key: tuple(make() for _ in range(r.randint(0, 5))),
    lambda r, make, key: {key(): make() for _ in range(r.randint(0, 4))},
    lambda r, make, key: {key() for _ in range(r.randint(0, 1))},  # of more, the order may change
    lambda r, make, key: OrderedDict((key(), make()) for _ in range(3)),
    lambda r, make, key: defaultdict(None, {key(): make()}),
    lambda r, make, key: Counter(key() for _ in range(3)),
    lambda r, make, key: deque([make()], r.choice([None, 7])),
    lambda r, make, key: {key(): 1}.keys(),
    lambda r, make, key: {key(): make()}.items(),
    lambda r, make, key: {1: make(), 2: make()}.values(),
    lambda r, make, key: slice(make(), None, make()),
]


def value(r: random.Random, depth: int = 0) -> Any:
    """Any value, with others within."""

    def key(inner: int = 0) -> Any:
        if inner < 3 and r.random() < 0.3:
            return r.choice(HASHABLE)(r, lambda: key(inner + 1))
        return r.choice(SCALARS)(r)

    if depth < 4 and r.random() < 0.6:
        return r.choice(CONTAINERS)(r, lambda: value(r, depth + 1), key)
    return r.choice(SCALARS)(r)


Point = namedtuple("Point", "x y")


class Colour(enum.IntEnum):
    RED = 1


class Shade(enum.Enum):
    DARK = 1


class Name(str):
    pass


class UserForged(UserList):
    __eq__ = lambda self, other: True  # noqa: E731
    __hash__ = None


class Forged(list):
    __eq__ = lambda self, other: True  # noqa: E731
    __hash__ = None


@pytest.mark.parametrize("seed", range(8))
def test_what_goes_in_comes_out(seed: int) -> None:
    """A value's ``repr`` tells its type, and those of its parts."""
    r = random.Random(seed)
    for _ in range(200):
        one = value(r)
        data = pack(one)
        back = unpack(data, len(data), opaque=False)
        assert repr(back) == repr(one)
        assert repr(unpack(pack(back), ENOUGH)) == repr(one)


def test_sets_of_several_items_and_not_a_number() -> None:
    for one in ({1, "x", (2.5, None)}, frozenset({1, frozenset({2, 3})}), {"a": 1, "b": 2}.keys()):
        back = unpack(pack(one), ENOUGH)
        assert back == one and type(back) is type(one)
    assert math.isnan(unpack(pack(math.nan)))


@pytest.mark.parametrize(
    "one",
    [
        numpy.float32(1.5), numpy.int8(-3), numpy.bool_(True), numpy.complex128(2j),
        numpy.str_("é"), numpy.str_(""), numpy.bytes_(b""), numpy.timedelta64(3, "s"),
        numpy.datetime64("2020-01-02"),
        numpy.arange(6).reshape(2, 3), numpy.arange(6, dtype=">i2")[::2], numpy.zeros((0, 3)),
        numpy.array([True, False]), numpy.array(["a", "bc"]), numpy.array(5.0),
        numpy.array([(1, 2), None, "x"], dtype=object), numpy.longdouble(1) / 3,
    ],
)  # fmt: skip
def test_numpy(one: Any) -> None:
    back = unpack(pack(one), ENOUGH, opaque=False)
    assert type(back) is type(one)
    assert back.dtype == one.dtype
    assert back.shape == one.shape
    assert numpy.array_equal(back, one)


@pytest.mark.parametrize(
    ("one", "plain"),
    [
        (Point(1, (2,)), (1, (2,))), (Colour.RED, 1), (Name("x"), "x"),
        (type("L", (list,), {"__iter__": lambda self: iter("forged")})([1]), [1]),
        (UserString("x"), "x"), (UserList([1]), [1]), (UserDict(a=1), {"a": 1}),
        (ChainMap({"a": 1}, {"b": 2}), {"a": 1, "b": 2}), (types.MappingProxyType({1: 2}), {1: 2}),
        (sympy.Integer(10**30), 10**30), (sympy.Float(0.1), 0.1),
    ],
)  # fmt: skip
def test_an_instance_of_a_subclass_stays_one_of_a_subclass(one: Any, plain: Any) -> None:
    back = unpack(pack([one]), ENOUGH, opaque=False)[0]
    assert back == plain and plain == back
    assert isinstance(back, type(plain))
    assert type(back) is not type(plain)
    assert pack(unpack(pack(back), ENOUGH)) == pack(back)


@pytest.mark.parametrize(
    "one",
    [
        print, object(), int, Shade.DARK, iter([1]), (n for n in [1]), Forged(), ..., zip(),
        numpy.zeros(2, dtype=[("a", "i4")]), numpy.ma.array([1]), Path("x"), UserForged(),
    ],
)  # fmt: skip
def test_what_is_no_data_is_opaque(one: Any) -> None:
    back = unpack(pack(one), ENOUGH)
    assert type(back) is Opaque
    assert type(unpack(pack({"k": [one]}), ENOUGH)["k"][0]) is Opaque
    assert type(one).__qualname__ in back.kind
    assert back != one and back != back and [back] != [unpack(pack(one), ENOUGH)]
    with pytest.raises(CodecError, match="not plain data"):
        unpack(pack(one), ENOUGH, opaque=False)


def test_buffers() -> None:
    assert type(unpack(pack(bytearray(b"x")), ENOUGH)) is bytearray
    assert unpack(pack(memoryview(b"x")), ENOUGH) == b"x"
    within = unpack(pack([bytearray(b"x"), b"y", memoryview(b"z")]), ENOUGH)
    assert within == [b"x", b"y", b"z"] == [bytearray(b"x"), b"y", memoryview(b"z")]


#: Type's name -> its extension's code.
CODES = {getattr(kind.of, "__name__", ""): code for code, kind in enumerate(KINDS, start=1)}
ARRAY, SUBCLASS = 24, 26
BOMBS = table("hostile_bytes")


def extension(code: int, data: bytes) -> bytes:
    return msgpack.packb(msgpack.ExtType(code, data))


@pytest.mark.parametrize("kind", ["set", "frozenset", "dict_keys", "map", "OrderedDict"])
def test_keys_that_are_chosen_for_their_hash(kind: str) -> None:
    """A set of 100,000 of them would take a minute; 10,000 are told as well."""
    bad = [number * (2**61 - 1) for number in range(1, 10_000)]
    good = [number * 2**61 for number in range(10_000)]
    for numbers, fits in ((bad, False), (good, True)):
        if kind == "map":
            data = b"\xdf" + len(numbers).to_bytes(4, "big")
            data += b"".join(pack(number) + b"\x01" for number in numbers)
        else:
            pairs = [[number, 1] for number in numbers]
            data = extension(CODES[kind], pack(pairs if kind == "OrderedDict" else numbers))
        if fits:
            assert len(unpack(data)) == len(numbers)
            continue
        with pytest.raises(CodecError, match="same hash"):
            unpack(data)


def test_many_equal_items_are_no_such_keys() -> None:
    spread([7] * 100_000 + [True, 1.0, 1] * 1000)
    assert unpack(pack(Counter([1] * 200 + ["x"] * 300))) == {1: 200, "x": 300}


def test_depth_is_bounded() -> None:
    fits: Any = 0
    for _ in range(MAX_DEPTH - 1):
        fits = (fits,)
    assert unpack(pack(fits), ENOUGH) == fits
    itself: list[Any] = []
    itself.append(itself)
    lists: Any = 0
    for _ in range(100_000):
        lists = [lists]
    beyond = (fits, (fits,))
    for deep in (beyond, itself, (itself,), lists):
        with pytest.raises(CodecError):
            pack(deep)
    assert pack((1, [2])) == pack((1, [2]))  # the packers are as before
    while lists:
        lists = lists[0]


def nested(data: bytes, levels: int) -> bytes:
    for _ in range(levels):
        data = extension(CODES["tuple"], data)
    return data


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_before_they_are_built(name: str) -> None:
    data = eval(BOMBS[name])
    tracemalloc.start()
    try:
        with pytest.raises(CodecError):
            unpack(data, ENOUGH)
        assert tracemalloc.get_traced_memory()[1] < 120 * len(data) + 2**20
    finally:
        tracemalloc.stop()


def test_longer_than_the_limit() -> None:
    data = pack("x" * 1000)
    assert unpack(data, len(data)) == "x" * 1000
    with pytest.raises(CodecError, match="of at most"):
        unpack(data, len(data) - 1)


@pytest.mark.parametrize("seed", range(4))
def test_hostile_bytes_are_data_or_the_codecs_own_error(seed: int) -> None:
    r = random.Random(seed)
    before = set(sys.modules)
    read = 0
    for _ in range(200):
        data = bytearray(pack([value(r) for _ in range(3)]))
        for _ in range(r.randint(0, 4)):
            place = r.randrange(len(data))
            if r.random() < 0.5:
                data[place] = r.randrange(256)
            else:
                data[place : place + r.randint(0, 9)] = r.randbytes(r.randint(0, 9))
        tracemalloc.start()
        try:
            unpack(bytes(data), ENOUGH)
            read += 1
        except CodecError:
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 120 * len(data) + 2**20
    assert 0 < read < 200
    assert {name for name in set(sys.modules) - before if not name.startswith("numpy")} == set()


def test_the_densest_values_stay_within_the_bound() -> None:
    empty = [b"\x90", b"\x80", *(pack(kind()) for kind in (set, deque, OrderedDict, Counter))]
    for one in empty:
        data = b"\xdc\x4e\x20" + one * 20_000
        tracemalloc.start()
        held = unpack(data, ENOUGH)
        assert tracemalloc.get_traced_memory()[1] < 120 * len(data) + 2**20
        tracemalloc.stop()
        assert len(held) == 20_000
