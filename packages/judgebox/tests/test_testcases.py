"""Tests on disk: what is written is read; digests stand for equal values and for nothing else."""

import hashlib
import io
import marshal
import random
from pathlib import Path
from typing import Any

import pytest

from judgebox import codec
from judgebox.compare import Comparison, compare_long
from judgebox.protocol import LARGE, digest, is_digestable
from judgebox.runtime import SetupError
from judgebox.testcases import CaseWriter, TestCases

SMALL = [{1, 2}, (1, [2.0]), None, "x", 2**80, 1j, [1.0], {"a": (1,)}]
LARGE_ONES = [
    list(range(2000)),
    [(number, "x") for number in range(200_000)],
    "y" * 3_000_000,
    tuple(range(5000)),
    {"k": [1.0] * 900},
]
#: Large, but without a digest.
NOT_PLAIN = [[float("nan")] * 900, [b"x"] * 2000, [{1j, complex("nan")}] * 900, [b"x"] * 600_000]


def write(path: Path, outputs: list[Any], name: str = "base") -> None:
    with CaseWriter(path) as writer:
        writer.begin(name, [codec.pack([number]) for number in range(len(outputs))])
        for number, output in enumerate(outputs):
            for piece in codec.pieces(output):
                writer.piece(piece)
            writer.end(float(number))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.tests"
    outputs = SMALL + LARGE_ONES
    with CaseWriter(path) as writer:
        for name in ("base", "plus"):
            writer.begin(name, [codec.pack([name, number]) for number in range(len(outputs))])
            for number, output in enumerate(outputs):
                writer.piece(codec.pack(output))
                writer.end(float(number))
    with TestCases(path) as sets:
        assert sets.names == ["base", "plus"]
        for name in ("plus", "base"):
            one = sets.read(name)
            assert len(one) == len(outputs)
            assert one.times == [float(number) for number in range(len(outputs))]
            assert one.arguments(3) == [name, 3]
            assert one.inputs(2, 4) == [codec.pack([name, 2]), codec.pack([name, 3])]
            assert list(one.expected(0, len(outputs))) == outputs
            assert list(one.expected(1, 3)) == outputs[1:3]
            assert one.output_bytes == sum(len(codec.pack(output)) for output in outputs)
            assert [one.digest(number) for number in range(len(SMALL))] == [None] * len(SMALL)
            for number, output in enumerate(LARGE_ONES, len(SMALL)):
                assert one.digest(number) == digest(output)[1] != b""
            assert one.floats(5) is False and one.floats(6) is True and one.floats(9) is True
            items = one.items(len(SMALL) + 1)
            assert items is not None and [*items] == [200_000, *LARGE_ONES[1]]
            assert one.items(3) is None


def test_no_digest_stands_for_what_is_not_plain(tmp_path: Path) -> None:
    write(tmp_path / "x", NOT_PLAIN)
    with TestCases(tmp_path / "x") as sets:
        one = sets.read("base")
        assert [one.digest(number) for number in range(len(NOT_PLAIN))] == [None] * len(NOT_PLAIN)


def test_an_output_that_is_no_data_is_refused(tmp_path: Path) -> None:
    for output in ([print], [print] * 500_000):
        with (
            pytest.raises(codec.CodecError, match="not plain data"),
            CaseWriter(tmp_path / "x") as out,
        ):
            out.begin("base", [b"\x90"])
            for piece in codec.pieces(output):
                out.piece(piece)
            out.end(0.0)


@pytest.mark.parametrize("cut", [0, 1, 16, 17, 30, -1, -6, -14])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "tests" / "x.tests"
    path.parent.mkdir()
    write(path, SMALL)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(SetupError, match="holds no tests"):
        TestCases(path)


def test_a_file_that_is_broken_anywhere_is_refused_or_read(tmp_path: Path) -> None:
    """The index's bytes are checked by the codec; what it says may be nonsense, never harm."""
    path = tmp_path / "x"
    write(path, SMALL)
    whole = path.read_bytes()
    r = random.Random(1)
    for _ in range(300):
        data = bytearray(whole)
        data[r.randrange(len(data))] = r.randrange(256)
        path.write_bytes(data)
        try:
            with TestCases(path) as sets:
                one = sets.read("base")
                list(one.expected(0, len(one)))
        except (SetupError, codec.CodecError, KeyError, TypeError, ValueError, AttributeError):
            continue


PLAIN = [None, True, 1, 1.5, -0.0, 1j, "x", [1, (2.0, {3})], {"a": {1: (2,)}}, frozenset({(1,)})]
OTHERS = [
    float("nan"), [float("nan")], complex("nan"), (1, [float("nan")]), {1: float("nan")}, b"x",
    [b"x"], bytearray(b"x"), memoryview(b"x"), range(3), [range(3)], print, ..., [...], object(),
    type("L", (list,), {})([1]), {1: [b"x"]}, {float("nan")}, {(1, b"x"): 1},
]  # fmt: skip


def test_plain_values() -> None:
    assert [value for value in PLAIN if not is_digestable(value)] == []
    assert [value for value in OTHERS if is_digestable(value)] == []


def test_equal_digests_come_from_equal_values() -> None:
    """Whatever is marshalled to a plain value's bytes equals it, in value and type."""
    rest: list[Any] = [0, 0.0, False, "", (), [], {}, set(), 1.0, -1, 2**40, 2.0**40, "é", "\ud800"]
    values = [[value] * 5000 for value in PLAIN + OTHERS + rest if type(value) is not object]
    for one in values:
        if not is_digestable(one):
            continue
        same = [other for other in values if digest(other)[1] == digest(one)[1] != b""]
        assert len(same) == 1 and same[0] is one


def test_a_digest_does_not_depend_on_sharing() -> None:
    part = ["ab", 10**20, 1.5]
    shared = [part] * 1000
    own = [["".join("ab"), 10**19 * 10, 3.0 / 2] for _ in range(1000)]
    assert shared == own and digest(shared) == digest(own)
    assert len(marshal.dumps(own, 2)) > LARGE
    assert digest(own)[1] == hashlib.sha256(marshal.dumps(own, 2)).digest()


def stream(value: Any) -> Any:
    data = codec.pack(value)
    return codec.items(io.BytesIO(data), len(data))


LONG = [
    ([1, 2.0, "x"], [1, 2.0, "x"]), ([1, 2.0, "x"], [1, 2.0, "y"]), ([1, 2], [1, 2, 3]),
    ([1.0, 2.0], [1.0, 2.0000001]), ([1.0, 2.0], [1.0, 2.1]), ([1, True], [True, 1]),
    ([1.0, float("nan")], [1.0, float("nan")]), ([float("inf")], [float("inf")]),
    ([float("inf")], [1.0]), ([1.0], [float("inf")]), ([[1.0], [2.0]], [[1.0], [2.0000001]]),
    ([(1.0,), (2.0,)], [(1.0,), (2.5,)]), (["x", 1.0], ["x", 1.0000001]), ([], []),
    ([None, 1.0], [None, 1.0000001]), ([10**400], [10**400]), ([10**400], [1.0]),
    ([{1: 2.0}], [{1: 2.0000001}]), ([1j], [1.0000001j]),
]  # fmt: skip


@pytest.mark.parametrize("atol", [0.0, 1e-6, 1e-4])
def test_long_lists_are_compared_as_lists_are(atol: float) -> None:
    for expected, output in LONG:
        whole = Comparison("other", "f", atol)
        if atol == 0 and expected and all(isinstance(item, float) for item in expected):
            continue  # the tolerance that EvalPlus would then take is the caller's affair
        wanted = whole.passes(output, expected, list)
        right, mark = compare_long(stream(output), stream(expected), atol)
        assert right is wanted, (output, expected)
        if right:
            assert mark == hashlib.sha256(marshal.dumps(output, 2)).digest()


def test_a_list_that_is_read_item_by_item_has_the_same_digest(tmp_path: Path) -> None:
    output = [(number, [0.5], {"a": None}) for number in range(150_000)]
    write(tmp_path / "x", [output])
    with TestCases(tmp_path / "x") as sets:
        assert sets.read("base").expected_bytes(0) > 2**20
        assert sets.read("base").digest(0) == digest(output)[1]
