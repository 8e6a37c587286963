"""The codec: what goes in comes out, exact types included; bytes of any origin do no harm."""

import enum
import io
import math
import os
import random
import struct
import sys
import tracemalloc
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgpack
import numpy
import pytest

from mixmerge.sandbox import kinds
from mixmerge.sandbox.codec import MAX_DEPTH, CodecError, Opaque, array, pack, unpack
from mixmerge.sandbox.lists import items, pieces

ENOUGH = 2**30

Point = namedtuple("Point", "x y")


class Colour(enum.IntEnum):
    RED = 1


class Shade(enum.Enum):
    DARK = 1


class Name(str):
    pass


class Forged(list):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None


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
    lambda r, make: frozenset(make() for _ in range(r.randint(0, 4))),
]
CONTAINERS = [
    lambda r, make, key: [make() for _ in range(r.randint(0, 5))],
    lambda r, make, key: tuple(make() for _ in range(r.randint(0, 5))),
    lambda r, make, key: {key(): make() for _ in range(r.randint(0, 4))},
    lambda r, make, key: {key() for _ in range(r.randint(0, 4))},
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
    def key(inner: int = 0) -> Any:
        if inner < 3 and r.random() < 0.3:
            return r.choice(HASHABLE)(r, lambda: key(inner + 1))
        return r.choice(SCALARS)(r)

    if depth < 4 and r.random() < 0.6:
        return r.choice(CONTAINERS)(r, lambda: value(r, depth + 1), key)
    return r.choice(SCALARS)(r)


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same types all the way down."""
    kind = type(one)
    if kind is not type(other):
        return False
    if kind is float:
        return struct.pack("d", one) == struct.pack("d", other)
    if kind is complex:
        return same(one.real, other.real) and same(one.imag, other.imag)
    if kind is Decimal:
        return str(one) == str(other)
    if kind is slice:
        return all(same(*p) for p in zip(parts(one), parts(other), strict=True))
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if kind in {list, tuple, deque, type({}.keys()), type({}.values()), type({}.items())}:
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def parts(cut: slice) -> list[Any]:
    return [cut.start, cut.stop, cut.step]


@pytest.mark.parametrize("seed", range(20))
def test_what_goes_in_comes_out(seed: int) -> None:
    r = random.Random(seed)
    for _ in range(200):
        one = value(r)
        data = pack(one)
        back = unpack(data, len(data), opaque=False)
        assert same(one, back), (one, back)
        assert same(unpack(pack(back), ENOUGH), one)
        assert b"".join(pieces(one)) == data


def test_a_list_from_its_items_bytes() -> None:
    for length in (0, 3, 70_000):
        items = [(number, "x") for number in range(length)]
        data = array([pack(item) for item in items])
        assert data == pack(items) == b"".join(pieces(items))
        assert unpack(data, ENOUGH) == items


def test_pieces_are_small() -> None:
    sizes = [len(part) for part in pieces([("a", number) for number in range(200_000)])]
    assert len(sizes) > 5
    assert max(sizes) < 300_000


def test_a_list_item_by_item() -> None:
    given = [("a", number, [1.5]) for number in range(100_000)]
    data = pack(given)
    read = items(io.BytesIO(b"##" + data), len(data))  # from where the file stands
    assert read is None
    file = io.BytesIO(b"##" + data + b"##")
    file.seek(2)
    found = items(file, len(data))
    assert found is not None
    assert next(found) == len(given)
    assert [*found] == given
    for other in (5, "text", (1, 2), {1: 2}, None):
        assert items(io.BytesIO(pack(other)), len(pack(other))) is None
    for bad in (data[:-1], data + b"x", b"\xdd\xff\xff\xff\xff\x01"):
        broken = items(io.BytesIO(bad), len(bad))
        assert broken is not None
        with pytest.raises(CodecError):
            list(broken)
    large = pack(["x" * 1000])
    most = items(io.BytesIO(large), len(large), 500)
    assert most is not None
    with pytest.raises(CodecError):
        list(most)


def test_a_list_that_claims_much_is_not_made() -> None:
    data = b"\x91" + b"\xdd\x00\x10\x00\x00" * 200_000
    tracemalloc.start()
    claims = items(io.BytesIO(data), len(data))
    assert claims is not None
    with pytest.raises(CodecError):
        list(claims)
    assert tracemalloc.get_traced_memory()[1] < 10 * len(data) + 2**20
    tracemalloc.stop()


@pytest.mark.parametrize("kind", [kinds.SET, kinds.FROZENSET, kinds.KEYS, "map", "ordered"])
def test_keys_that_are_chosen_for_their_hash(kind: Any) -> None:
    """A set of 100,000 of them would take a minute."""
    bad = [number * (2**61 - 1) for number in range(1, 100_000)]
    good = [number * 2**61 for number in range(100_000)]
    for numbers, fits in ((bad, False), (good, True)):
        if kind == "map":
            data = b"\xdf" + len(numbers).to_bytes(4, "big")
            data += b"".join(pack(number) + b"\x01" for number in numbers)
        elif kind == "ordered":
            content = pack([[number, 1] for number in numbers])
            data = msgpack.packb(msgpack.ExtType(kinds.ORDERED, content))
        else:
            data = msgpack.packb(msgpack.ExtType(kind, pack(numbers)))
        if fits:
            assert len(unpack(data)) == len(numbers)
            continue
        with pytest.raises(CodecError, match="same hash"):
            unpack(data)


def test_many_equal_items_are_no_such_keys() -> None:
    kinds.check_spread([7] * 100_000 + [True, 1.0, 1] * 1000)
    assert unpack(pack(Counter([1] * 200 + ["x"] * 300))) == {1: 200, "x": 300}


def test_not_a_number_equals_nothing_but_comes_out() -> None:
    back = unpack(pack([math.nan]), ENOUGH)
    assert math.isnan(back[0])
    assert back != [math.nan]


@pytest.mark.parametrize(
    "one",
    [
        numpy.float32(1.5), numpy.int8(-3), numpy.bool_(True), numpy.complex128(2j),
        numpy.str_("é"), numpy.datetime64("2020-01-02"), numpy.timedelta64(3, "s"),
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
        numpy.zeros(2, dtype=[("a", "i4")]), numpy.ma.array([1]), memoryview(b"x"), Path("x"),
    ],
)  # fmt: skip
def test_what_is_no_data_is_opaque(one: Any) -> None:
    back = unpack(pack(one), ENOUGH)
    assert type(back) is Opaque
    if type(one) is not memoryview:
        assert type(unpack(pack({"k": [one]}), ENOUGH)["k"][0]) is Opaque
    assert type(one).__qualname__ in back.kind
    assert back != one and back != back and [back] != [unpack(pack(one), ENOUGH)]
    with pytest.raises(CodecError, match="not plain data"):
        unpack(pack(one), ENOUGH, opaque=False)


def test_buffers() -> None:
    assert type(unpack(pack(bytearray(b"x")), ENOUGH)) is bytearray
    within = unpack(pack([bytearray(b"x"), b"y", memoryview(b"z")]), ENOUGH)
    assert within == [b"x", b"y", b"z"] == [bytearray(b"x"), b"y", memoryview(b"z")]


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
        data = msgpack.packb(msgpack.ExtType(kinds.TUPLE, data))
    return data


BOMBS = {
    "a list of four billion": b"\xdd\xff\xff\xff\xff",
    "lists that claim a million each": b"\xdd\x00\x10\x00\x00" * 200_000,
    "maps that claim a million each": b"\xdf\x00\x10\x00\x00" * 200_000,
    "small ones": b"\xdc\x01\xff" * 160,
    "small ones in extensions": nested(b"\xdc\x01\xff" * 160, 60),
    "a string of four billion": b"\xdb\xff\xff\xff\xffx",
    "an extension of four billion": b"\xc9\xff\xff\xff\xff\x01x",
    "lists within each other": b"\x91" * 100_000,
    "tuples within each other": nested(b"\x90", 10_000),
    "a fraction of huge numbers": msgpack.packb(
        msgpack.ExtType(kinds.FRACTION, pack([3**900_000, 7**400_000]))
    ),
    "an array of many nothings": msgpack.packb(
        msgpack.ExtType(kinds.NDARRAY, pack(["<U0", [10**15], b""]))
    ),
    "an array larger than its bytes": msgpack.packb(
        msgpack.ExtType(kinds.NDARRAY, pack(["<f8", [10**10], b"x" * 8]))
    ),
    "an array of objects": msgpack.packb(
        msgpack.ExtType(kinds.NDARRAY, pack(["|O", [1], b"x" * 8]))
    ),
    "an unhashable key": b"\x81\x90\x01",
    "a set of lists": msgpack.packb(msgpack.ExtType(kinds.SET, pack([[1]]))),
    "no number": msgpack.packb(msgpack.ExtType(kinds.DECIMAL, b"x" * 100_000)),
    "no text": b"\xa2\xff\xff",
    "two values": b"\x01\x02",
    "nothing": b"",
    "an unknown extension": msgpack.packb(msgpack.ExtType(99, b"")),
    "a subclass of what it is not": msgpack.packb(
        msgpack.ExtType(kinds.SUBCLASS, pack(["object", None]))
    ),
    "a reserved byte": b"\xc1",
}


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS)
def test_bombs_are_refused_before_they_are_built(data: bytes) -> None:
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


@pytest.mark.parametrize("seed", range(10))
def test_hostile_bytes_are_data_or_the_codecs_own_error(seed: int) -> None:
    r = random.Random(seed)
    before = set(sys.modules)
    os.environ.pop("PWNED", None)
    read = 0
    for _ in range(400):
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
    assert 0 < read < 400
    assert {name for name in set(sys.modules) - before if not name.startswith("numpy")} == set()


def test_the_densest_values_stay_within_the_bound() -> None:
    empty = [b"\x90", b"\x80", *(pack(kind()) for kind in (set, deque, OrderedDict, Counter))]
    for one in empty:
        data = array([one] * 20_000)
        tracemalloc.start()
        held = unpack(data, ENOUGH)
        assert tracemalloc.get_traced_memory()[1] < 120 * len(data) + 2**20
        tracemalloc.stop()
        assert len(held) == 20_000
