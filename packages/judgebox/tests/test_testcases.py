"""Tests on disk: what is written is read; digests stand for equal values and for nothing else."""

import hashlib
import random
from pathlib import Path
from typing import Any

import numpy
import pytest

from judgebox import SetupError, codec
from judgebox.codec import CaseWriter, open_cases
from scripted_box import add, written

SMALL = [{1, 2}, (1, [2.0]), None, "x", 2**80, 1j, [1.0], {"a": (1,)}]
#: These do not equal their like, however large they are.
VARYING: list[Any] = [
    float("nan"),
    [float("nan")] * 900,
    [{1j, complex("nan")}] * 900,
    {1: (2, float("nan"))},
    numpy.array([1, 2]),
    [(1, 2), numpy.array([1, 2])],
]
LARGE: list[Any] = [list(range(5000)), "y" * 3_000_000, {"k": [1.0] * 900}, [b"x"] * 3000]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.tests"
    outputs = SMALL + VARYING + LARGE
    with CaseWriter(path) as writer:
        for name in ("base", "plus"):
            writer.begin(name, [codec.pack([name, number]) for number in range(len(outputs))])
            for number, output in enumerate(outputs):
                add(writer, output, float(number))
    with open_cases(path) as sets:
        assert [*sets] == ["base", "plus"]
        for name, tests in sets.items():
            assert len(tests) == len(outputs)
            assert tests.times == [float(number) for number in range(len(outputs))]
            assert codec.unpack(tests.input(3)) == [name, 3]
            assert tests.output_bytes == sum(len(codec.pack(output)) for output in outputs)
            assert tests.floats_from == 6
            for number, output in enumerate(outputs):
                data = codec.pack(output)
                assert tests.expected(number) == data
                assert tests.expected_bytes(number) == len(data)
                varying = len(SMALL) <= number < len(SMALL) + len(VARYING)
                assert tests.is_expected(number, data) is not varying
                assert not tests.is_expected(number, data[:-1] + b"!")
                large = number >= len(SMALL) + len(VARYING)
                assert tests.digests.get(number) == (
                    hashlib.sha256(data).digest() if large else None
                )


@pytest.mark.parametrize("output", [[print], [1, float("nan"), print], print])
def test_an_output_that_is_no_data_is_refused(tmp_path: Path, output: Any) -> None:
    with pytest.raises(codec.CodecError, match="not plain data"):
        written(tmp_path / "x", [output])


@pytest.mark.parametrize("cut", [0, 1, 16, 17, 30, -1, -6, -14])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, cut: int) -> None:
    path = written(tmp_path / "x", SMALL)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(SetupError, match="holds no tests"), open_cases(path):
        pass


def test_a_file_that_is_broken_anywhere_is_refused_or_read(tmp_path: Path) -> None:
    """The index's bytes are checked by the codec; what it says may be nonsense, never harm."""
    path = written(tmp_path / "x", SMALL)
    whole = path.read_bytes()
    r = random.Random(1)
    for _ in range(300):
        data = bytearray(whole)
        data[r.randrange(len(data))] = r.randrange(256)
        path.write_bytes(data)
        try:
            with open_cases(path) as sets:
                tests = sets["base"]
                [codec.unpack(tests.expected(number)) for number in range(len(tests))]
        except (SetupError, codec.CodecError, KeyError, IndexError):
            continue
