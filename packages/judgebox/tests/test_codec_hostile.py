"""The codec: bytes of any origin do no harm."""

import random
import sys
import tracemalloc
from collections import Counter, OrderedDict, deque
from typing import Any

import msgpack
import numpy  # noqa: F401  that its import is in no measurement
import pytest

from codec_values import ENOUGH, value
from judgebox.codec import MAX_DEPTH, CodecError, pack, unpack
from judgebox.codec_types import KINDS, spread

#: Type's name -> its extension's code.
CODES = {getattr(kind.of, "__name__", ""): code for code, kind in enumerate(KINDS, start=1)}
ARRAY, SUBCLASS = 24, 26


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
    "a fraction of huge numbers": extension(CODES["Fraction"], pack([3**900_000, 7**400_000])),
    "an array of many nothings": extension(ARRAY, pack(["<U0", [10**15], b""])),
    "an array larger than its bytes": extension(ARRAY, pack(["<f8", [10**10], b"x" * 8])),
    "an array of objects": extension(ARRAY, pack(["|O", [1], b"x" * 8])),
    "an unhashable key": b"\x81\x90\x01",
    "a set of lists": extension(CODES["set"], pack([[1]])),
    "no number": extension(CODES["Decimal"], b"x" * 100_000),
    "no text": b"\xa2\xff\xff",
    "two values": b"\x01\x02",
    "nothing": b"",
    "a tuple of a long range": extension(CODES["tuple"], pack(range(10**7))),
    "a deque of one": extension(CODES["deque"], pack([None, range(10**7)])),
    "an unknown extension": extension(99, b""),
    "a subclass of what it is not": extension(SUBCLASS, pack(["object", None])),
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
