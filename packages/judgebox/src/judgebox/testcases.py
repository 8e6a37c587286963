"""A problem's tests on disk, one file a problem: inputs, expected outputs and reference times.

Data in `judgebox.codec`, never pickles. First all inputs and outputs, packed, one after another, so
that they can be written as they come and read one by one; then where they are; last the length of
that.
"""

import hashlib
import mmap
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

from judgebox import codec
from judgebox.runtime import SetupError

_START, _END = b"mixmerge tests 1\n", b"\nend\n"
_WORD = 8


class CaseSet:
    """One set of tests, base or plus.

    Args:
        data: the whole file.
        index: where what is.
    """

    def __init__(self, data: "mmap.mmap", index: dict[str, Any]) -> None:
        self._data, self._index = data, index
        self._inputs = [*accumulate(index["inputs"], initial=index["at"])]
        self._expected = [*accumulate(index["expected"], initial=self._inputs[-1])]
        self.times: list[float] = index["times"]
        """Seconds that the reference took for each test, coarsely."""
        self.output_bytes = self._expected[-1] - self._expected[0]
        """Size of all expected outputs."""

    def __len__(self) -> int:
        return len(self._inputs) - 1

    def input(self, number: int) -> bytes:
        """A test's argument list, packed."""
        return self._data[self._inputs[number] : self._inputs[number + 1]]

    def expected(self, number: int) -> bytes:
        """Its expected output, packed."""
        return self._data[self._expected[number] : self._expected[number + 1]]

    def expected_bytes(self, number: int) -> int:
        """Size of that."""
        return int(self._expected[number + 1] - self._expected[number])

    def is_expected(self, number: int, output: bytes) -> bool:
        """Whether these are the very bytes of an expected output, and right therefore.

        Never so where that does not equal itself, as with NaN.
        """
        same_size = len(output) == self.expected_bytes(number)
        return (
            same_size and number not in self._index["varying"] and output == self.expected(number)
        )

    def digest(self, number: int) -> bytes | None:
        """SHA-256 of an expected output that is large, and equals itself."""
        digest: bytes | None = self._index["digests"].get(number)
        return digest

    def floats(self, number: int) -> bool:
        """Whether one of the expected outputs so far is of floats."""
        first = self._index["floats_from"]
        return first is not None and number >= first


@contextmanager
def open_cases(path: Path) -> Iterator[dict[str, CaseSet]]:
    """The sets of tests in a file that `CaseWriter` wrote, by name, usable within.

    Raises:
        SetupError: it is no such file, as one that an earlier version made.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
            data = stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            end = len(data) - len(_END) - _WORD
            start = end - int.from_bytes(data[end : end + _WORD], "little")
            if data[: len(_START)] != _START or data[-len(_END) :] != _END or start < len(_START):
                raise ValueError(path)
            index = codec.unpack(data[start:end], opaque=False)
            sets = {name: CaseSet(data, places) for name, places in index.items()}
        except (codec.CodecError, OSError, ValueError, KeyError, TypeError, AttributeError):
            raise SetupError(
                f"{path}: holds no tests in this version's format (earlier ones kept pickles, "
                f"which are not read any more); remove {path.parent.parent} and run again"
            ) from None
        yield sets


class CaseWriter(AbstractContextManager["CaseWriter"]):
    """Writes a file of test sets; whole once it was left without an error.

    Args:
        path: is replaced.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._file.write(_START)
        self._sets: dict[str, dict[str, Any]] = {}
        self._index: dict[str, Any] = {}
        self._size, self._sum = 0, hashlib.sha256()

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            index = codec.pack(self._sets)
            self._file.write(index + len(index).to_bytes(_WORD, "little") + _END)
        self._file.close()

    def begin(self, name: str, inputs: Iterable[bytes]) -> None:
        """Start a set, base or plus, with the packed argument lists of its tests."""
        at = self._file.tell()
        self._index = self._sets[name] = {
            "at": at,
            "inputs": [self._file.write(data) for data in inputs],
            "expected": [],
            "digests": {},
            "varying": {},
            "times": [],
            "floats_from": None,
        }

    def piece(self, data: bytes) -> None:
        """Add bytes to the expected output of the set's next test."""
        self._size += self._file.write(data)
        self._sum.update(data)

    def end(self, seconds: float, floats: bool, same: bool) -> None:
        """End that output.

        Args:
            seconds: the reference's time.
            floats: whether it is of floats (`judgebox.compare.is_floats`).
            same: whether it equals itself (`judgebox.compare.equals_its_like`).
        """
        number = len(self._index["expected"])
        self._index["expected"].append(self._size)
        self._index["times"].append(seconds)
        if not same:
            self._index["varying"][number] = True
        elif self._size > codec.LARGE:
            self._index["digests"][number] = self._sum.digest()
        if floats and self._index["floats_from"] is None:
            self._index["floats_from"] = number
        self._size, self._sum = 0, hashlib.sha256()
