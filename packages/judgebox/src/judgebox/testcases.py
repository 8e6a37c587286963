"""A problem's tests on disk, one file a problem: inputs, expected outputs and reference times.

Data in the codec of `judgebox.codec`, never pickles. First all inputs and outputs, one
after another, so that they can be written as they are made and read one by one; then where they
are; last the length of that. A judge reads what it needs: of an output that is large and plain it
needs its digest only, until a program's differs.
"""

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from judgebox import codec
from judgebox.protocol import LARGE, ListDigest, digest, is_digestable
from judgebox.runtime import SetupError

_START, _END = b"mixmerge tests 1\n", b"\nend\n"
_WORD = 8
#: Bytes that are made into values at once.
_AT_ONCE = 2**20


class CaseSet:
    """One set of tests, base or plus.

    Args:
        file: where they stand; must stay open.
        index: where what is.
    """

    def __init__(self, file: BinaryIO, index: dict[str, Any]) -> None:
        self._file = file
        self._index = index
        self._inputs: list[int] = [*accumulate(index["inputs"], initial=index["at"])]
        self._expected: list[int] = [*accumulate(index["expected"], initial=self._inputs[-1])]

    def __len__(self) -> int:
        return len(self._index["inputs"])

    @property
    def times(self) -> list[float]:
        """Seconds that the reference took for each test, coarsely."""
        times: list[float] = self._index["times"]
        return times

    @property
    def output_bytes(self) -> int:
        """Size of all expected outputs."""
        return self._expected[-1] - self._expected[0]

    def inputs(self, first: int, last: int) -> list[bytes]:
        """Packed argument lists of tests ``first`` to ``last``, which is not among them."""
        starts = self._inputs
        data = self._read(starts[first], starts[last])
        return [data[starts[i] - starts[first] : starts[i + 1] - starts[first]]
                for i in range(first, last)]  # fmt: skip

    def input_bytes(self, number: int) -> int:
        """Size of one argument list."""
        size: int = self._index["inputs"][number]
        return size

    def arguments(self, number: int) -> list[Any]:
        """One argument list."""
        made: list[Any] = codec.unpack(self.inputs(number, number + 1)[0])
        return made

    def expected(self, first: int, last: int) -> Iterator[Any]:
        """Expected outputs of tests ``first`` to ``last``, which is not among them."""
        starts = self._expected
        if starts[last] - starts[first] <= _AT_ONCE:
            data = self._read(starts[first], starts[last])
            yield from codec.unpack(codec.header(last - first) + data)
            return
        for number in range(first, last):
            yield codec.unpack(self._read(starts[number], starts[number + 1]), 2**62)

    def same(self, first: int, last: int, data: memoryview) -> bool:
        """Whether these are the bytes of the expected outputs of tests ``first`` to ``last``.

        Then they are those outputs. Never so where one does not equal itself, as with NaN.
        """
        start, end = self._expected[first], self._expected[last]
        if len(data) != end - start or any(map(self._index["varying"].get, range(first, last))):
            return False
        return self._read(start, end) == data

    def items(self, number: int) -> Iterator[Any] | None:
        """The items of an expected output that is a list (`codec.items`); None for others."""
        self._file.seek(self._expected[number])
        return codec.items(self._file, self.expected_bytes(number))

    def expected_bytes(self, number: int) -> int:
        """Size of one expected output."""
        size: int = self._index["expected"][number]
        return size

    def digest(self, number: int) -> bytes | None:
        """Of an expected output that is large (`judgebox.protocol.is_digestable`)."""
        found: bytes | None = self._index["digests"].get(number)
        return found

    def floats(self, number: int) -> bool:
        """Whether one of the expected outputs so far is of floats."""
        first = self._index["floats_from"]
        return first is not None and number >= first

    def _read(self, start: int, end: int) -> bytes:
        self._file.seek(start)
        return self._file.read(end - start)


class TestCases(AbstractContextManager["TestCases"]):
    """A file of test sets, open for reading.

    Args:
        path: what `CaseWriter` wrote.

    Raises:
        SetupError: it is no such file, as one that an earlier version made.
    """

    __test__ = False  # the name is pytest's pattern

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("rb")
        try:
            self._sets: dict[str, dict[str, Any]] = _index(self._file)
        except (codec.CodecError, OSError, EOFError):
            self._file.close()
            raise SetupError(
                f"{path}: holds no tests in this version's format (earlier ones kept pickles, "
                f"which are not read any more); remove {path.parent.parent} and run again"
            ) from None
        self.names = list(self._sets)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def read(self, name: str) -> CaseSet:
        """One set, usable until the reader is closed."""
        return CaseSet(self._file, self._sets[name])


def is_floats(value: Any) -> bool:
    """EvalPlus's `is_floats`: a float, or a list, tuple or array of nothing else."""
    if isinstance(value, float):
        return True
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(item, float) for item in value)
    if type(value).__module__ == "numpy" and type(value).__name__ == "ndarray":
        return bool(value.dtype.str[1:] in ("f4", "f8"))
    return False


def _index(file: BinaryIO) -> dict[str, dict[str, Any]]:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    tail = len(_END) + _WORD
    if file.read(len(_START)) != _START or size < len(_START) + tail:
        raise EOFError
    file.seek(size - tail)
    length = int.from_bytes(file.read(_WORD), "little")
    if file.read() != _END or length > size - tail:
        raise EOFError
    file.seek(size - tail - length)
    index: dict[str, dict[str, Any]] = codec.unpack(file.read(length), opaque=False)
    return index


class CaseWriter(AbstractContextManager["CaseWriter"]):
    """Writes a file of test sets; whole once it was left without an error.

    Args:
        path: is replaced.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._file.write(_START)
        self._sets: dict[str, dict[str, Any]] = {}
        self._index: dict[str, Any] = {}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            index = codec.pack(self._sets)
            self._file.write(index + len(index).to_bytes(_WORD, "little") + _END)
        self._file.close()

    def begin(self, name: str, inputs: Iterable[bytes]) -> None:
        """Start a set.

        Args:
            name: base or plus.
            inputs: packed argument lists.
        """
        at, sizes = self._file.tell(), []
        for data in inputs:
            self._file.write(data)
            sizes.append(len(data))
        self._index = self._sets[name] = {
            "at": at,
            "inputs": sizes,
            "expected": [],
            "digests": {},
            "varying": {},
            "times": [],
            "floats_from": None,
        }
        self._started = self._file.tell()

    def piece(self, data: bytes) -> None:
        """Add bytes to the expected output of the set's next test."""
        self._file.write(data)

    def end(self, seconds: float) -> None:
        """End that output.

        Args:
            seconds: the reference's time.

        Raises:
            CodecError: it is no plain data.
        """
        size = self._file.tell() - self._started
        number = len(self._index["expected"])
        self._file.seek(self._started)
        mark, floats, equal = _examined(self._file, size)
        self._started = self._file.seek(0, os.SEEK_END)
        self._index["expected"].append(size)
        self._index["times"].append(seconds)
        if not equal:
            self._index["varying"][number] = True
        if mark is not None:
            self._index["digests"][number] = mark
        if floats and self._index["floats_from"] is None:
            self._index["floats_from"] = number


def _examined(file: BinaryIO, size: int) -> tuple[bytes | None, bool, bool]:
    """Look at an expected output.

    Args:
        file: stands where it begins.
        size: of its bytes.

    Returns:
        Its digest, if it is large and has one; whether it is of floats; whether it equals its like.
    """
    if size <= _AT_ONCE:
        data = file.read(size)
        value = codec.unpack(data, opaque=False)
        mark = digest(value)[1] if size > LARGE // 8 and is_digestable(value) else None
        return mark or None, is_floats(value), _equals_its_like(value, codec.unpack(data))
    items = codec.items(file, size)
    if items is None:
        value = codec.unpack(file.read(size), size, opaque=False)
        whole = is_digestable(value)
        return digest(value)[1] if whole else None, is_floats(value), whole
    # A list, item by item: all of it may be many times as large in memory.
    whole = floats = True
    total = ListDigest(next(items))
    for item in items:
        whole = whole and is_digestable(item)
        floats = floats and isinstance(item, float)
        if whole:
            total.add(item)
    return total.digest() if whole else None, floats, whole


def _equals_its_like(value: Any, other: Any) -> bool:
    try:
        return bool(value == other)
    except Exception:  # an array of several numbers is neither equal nor not
        return False
