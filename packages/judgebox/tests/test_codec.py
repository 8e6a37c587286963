"""The codec: what goes in comes out, exact types included."""

import enum
import math
import random
import struct
import types
from collections import ChainMap, UserDict, UserList, UserString, deque, namedtuple
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy
import pytest
import sympy

from codec_values import ENOUGH, value
from judgebox.codec import CodecError, Opaque, pack, unpack

Point = namedtuple("Point", "x y")


class Colour(enum.IntEnum):
    RED = 1


class Shade(enum.Enum):
    DARK = 1


class Name(str):
    pass


class UserForged(UserList):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None


class Forged(list):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None


def same(one: Any, other: Any) -> bool:
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


@pytest.mark.parametrize("seed", range(8))
def test_what_goes_in_comes_out(seed: int) -> None:
    r = random.Random(seed)
    for _ in range(200):
        one = value(r)
        data = pack(one)
        back = unpack(data, len(data), opaque=False)
        assert same(one, back), (one, back)
        assert same(unpack(pack(back), ENOUGH), one)


def test_not_a_number_equals_nothing_but_comes_out() -> None:
    back = unpack(pack([math.nan]), ENOUGH)
    assert math.isnan(back[0])
    assert back != [math.nan]


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
