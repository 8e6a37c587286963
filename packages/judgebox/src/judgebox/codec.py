"""Values as bytes, and back, and files of test cases; which types are kept: README.md.

Reading bytes of any origin imports, calls and instantiates nothing that they name.
"""

import hashlib
import io
import math
import mmap
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgpack

from judgebox import SetupError
from judgebox.codec_types import KINDS, mapping, taken_apart
from judgebox.codec_types import CodecError as CodecError
from judgebox.codec_types import Opaque as Opaque
from judgebox.codec_types import Raised as Raised

#: Extensions within each other. Each level of reading takes 40 KB of the stack.
MAX_DEPTH = 64
#: Bytes of a packed output above which a program's side sends its digest first.
LARGE = 4096
#: Bytes below which a container's claimed length may be believed without having been checked.
_SMALL = 512


def pack(value: Any) -> bytes:
    """The bytes of a value; `CodecError`: nested too deep, or longer than msgpack can say."""
    try:
        buffer = type(value) in (bytearray, memoryview)
        return _packed(_extension(value, 0) if buffer else value, 0)
    except (ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise CodecError(f"{type(error).__name__}: {error}") from None


def _packed(value: Any, depth: int) -> bytes:
    if depth >= MAX_DEPTH:
        raise CodecError("nested too deep")
    data: bytes = _PACKERS[depth].pack(value)
    return data


def _extension(value: Any, depth: int) -> msgpack.ExtType:
    if type(value) is tuple:  # by far the most frequent
        return msgpack.ExtType(1, _packed([*value], depth))
    code, content = taken_apart(value)
    raw = KINDS[code - 1].holds == (bytes,)
    return msgpack.ExtType(code, content if raw else _packed(content, depth))


# One a level: a packer that calls back must not be used by what it called.
_PACKERS = [
    msgpack.Packer(
        default=partial(_extension, depth=depth + 1),
        strict_types=True,
        unicode_errors="surrogatepass",
        buf_size=4096,
    )
    for depth in range(MAX_DEPTH)
]


@contextmanager
def _as_codec_error() -> Iterator[None]:
    """Whatever goes wrong within, in msgpack or a constructor that was given nonsense."""
    try:
        yield
    except CodecError:
        raise
    except Exception as error:
        raise CodecError(f"{type(error).__name__}: {error}") from None


def unpack(data: bytes, limit: int = 2**30, opaque: bool = True) -> Any:
    """The value of bytes that anybody may have written, of at most `limit`; else `CodecError`."""
    if len(data) > limit:
        raise CodecError(f"{len(data)} bytes, of at most {limit}")
    with _as_codec_error():
        return _unpacked(data, 0, opaque)


def items(data: bytes, largest: int) -> Iterator[Any]:
    """The items of a list's bytes, of at most so many each, made one at a time; see `unpack`."""
    with _as_codec_error():
        _check_complete(data)
        file = io.BytesIO(data)
        unpacker = msgpack.Unpacker(file, max_buffer_size=largest, **_options(0, opaque=True))
        for _ in range(unpacker.read_array_header()):
            yield unpacker.unpack()


def _unpacked(data: bytes, depth: int, opaque: bool) -> Any:
    if depth >= MAX_DEPTH:
        raise CodecError("nested too deep")
    if len(data) > _SMALL:
        _check_complete(data)
    return msgpack.unpackb(data, **_options(depth, opaque))


def _options(depth: int, opaque: bool) -> dict[str, Any]:
    def extension(code: int, data: bytes) -> Any:
        if not 0 < code <= len(KINDS):
            raise CodecError(f"unknown extension {code}")
        kind = KINDS[code - 1]
        raw = kind.holds == (bytes,)
        value = kind.made(data if raw else _unpacked(data, depth + 1, opaque))
        if not opaque and isinstance(value, Opaque):
            raise CodecError(f"a value of type {value.kind} is not plain data")
        return value

    return {
        "ext_hook": extension,
        "object_pairs_hook": mapping,
        "strict_map_key": False,
        "unicode_errors": "surrogatepass",
        "timestamp": 1,  # msgpack's own extension, which is never written: a float
    }


def _check_complete(data: bytes) -> None:
    """Walk over the outermost value: else a list is made as long as it says before its items."""
    walker = msgpack.Unpacker(max_buffer_size=len(data), read_size=1)
    walker.feed(data)
    walker.skip()


# A problem's tests on disk, never pickles. First all inputs and outputs, packed, one after another,
# so that they can be written as they come and read one by one; then where they are; last the length
# of that.
_START, _END = b"mixmerge tests 1\n", b"\nend\n"
_WORD = 8


class CaseSet:
    """One set of tests, base or plus; `index` says where what is in the whole file's data."""

    def __init__(self, data: "mmap.mmap", index: dict[str, Any]) -> None:
        self._data, self._varying = data, index["varying"]
        self._inputs = [*accumulate(index["inputs"], initial=index["at"])]
        self._expected = [*accumulate(index["expected"], initial=self._inputs[-1])]
        self.output_bytes = self._expected[-1] - self._expected[0]
        #: Seconds that the reference took for each test, coarsely.
        self.times: list[float] = index["times"]
        #: Test -> SHA-256 of an expected output that is large, and equals itself.
        self.digests: dict[int, bytes] = index["digests"]
        #: First test whose expected output is of floats.
        self.floats_from = math.inf if index["floats_from"] is None else index["floats_from"]

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
        """Whether these are the bytes of an expected output that, unlike NaN, equals itself."""
        if len(output) != self.expected_bytes(number) or number in self._varying:
            return False
        return output == self.expected(number)


@contextmanager
def open_cases(path: Path) -> Iterator[dict[str, CaseSet]]:
    """The sets of tests in a file that `CaseWriter` wrote, by name; `SetupError`: no such file."""
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
            data = stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            end = len(data) - len(_END) - _WORD
            start = end - int.from_bytes(data[end : end + _WORD], "little")
            if data[: len(_START)] != _START or data[-len(_END) :] != _END or start < len(_START):
                raise ValueError(path)
            index = unpack(data[start:end], opaque=False)
            sets = {name: CaseSet(data, places) for name, places in index.items()}
        except (CodecError, OSError, ValueError, KeyError, TypeError, AttributeError):
            way_out = f"remove {path.parent.parent} and run again"
            raise SetupError(
                f"{path}: holds no tests in this version's format; {way_out}"
            ) from None
        yield sets


class CaseWriter(AbstractContextManager["CaseWriter"]):
    """Writes a file of test sets, in place of another; whole once it was left without an error."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._file.write(_START)
        self._sets: dict[str, dict[str, Any]] = {}
        self._index: dict[str, Any] = {}
        self._size, self._sum = 0, hashlib.sha256()

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            index = pack(self._sets)
            self._file.write(index + len(index).to_bytes(_WORD, "little") + _END)
        self._file.close()

    def begin(self, name: str, inputs: Iterable[bytes]) -> None:
        """Start a set, base or plus, with the packed argument lists of its tests."""
        at, sizes = self._file.tell(), [self._file.write(data) for data in inputs]
        self._index = {"at": at, "inputs": sizes, "expected": [], "digests": {}}
        self._index |= {"varying": {}, "times": [], "floats_from": None}
        self._sets[name] = self._index

    def piece(self, data: bytes) -> None:
        """Add bytes to the expected output of the set's next test."""
        self._size += self._file.write(data)
        self._sum.update(data)

    def end(self, seconds: float, floats: bool, same: bool) -> None:
        """End it; `judgebox.compare.is_floats` and `equals_its_like` say what it is."""
        number = len(self._index["expected"])
        self._index["expected"].append(self._size)
        self._index["times"].append(seconds)
        if not same:
            self._index["varying"][number] = True
        elif self._size > LARGE:
            self._index["digests"][number] = self._sum.digest()
        if floats and self._index["floats_from"] is None:
            self._index["floats_from"] = number
        self._size, self._sum = 0, hashlib.sha256()
