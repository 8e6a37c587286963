"""A GGUF file's header, walked within bounds before any library reads it.

The libraries believe what a header says: of 2**60 strings or tensors they would try to read each,
and arrays may hold arrays as deep as one likes. Format: ggml-org/ggml, docs/gguf.md (little endian:
magic, version, number of tensors, number of keys; then keys with typed values; then tensors with
name, dimensions, type and offset).
"""

import math
import struct
from pathlib import Path
from typing import IO

from mixmerge.core.errors import UserError

#: What no real model comes near: DeepSeek-V3 has 91 000 tensors as single matrices, a hundredth of
#: that as GGUF; the longest list, of merges, has half a million entries.
_TENSORS, _KEYS, _ENTRIES = 100_000, 10_000, 10_000_000
_STRING_BYTES = 64 << 20
_NAME_BYTES = 65_535
_DIMENSIONS = 4

#: Type of a value -> bytes of one; a string is 8, an array is 9.
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9


class _Broken(Exception):
    pass


def check_header(file: Path) -> None:
    """Check that a GGUF file's counts, lengths and offsets are those of a file of its size.

    Raises:
        UserError: they are not; names what is absurd.
    """
    with file.open("rb") as stream:
        try:
            _Walk(stream, file.stat().st_size).check()
        except (_Broken, struct.error) as error:
            said = "it ends within its header" if isinstance(error, struct.error) else error
            raise UserError(
                f"{file}: cannot be read ({said}); it was cut off, damaged or made to do harm. "
                "Fetch it again from where you trust it"
            ) from None


class _Walk:
    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream, self._size = stream, size

    def check(self) -> None:
        self._stream.seek(4)
        version, tensors, keys = self._read("<IQQ")
        if version not in (2, 3):
            raise _Broken(f"GGUF version {version}; 2 and 3 are known")
        self._bound("tensors", tensors, _TENSORS)
        self._bound("keys", keys, _KEYS)
        names: set[bytes] = set()
        for _ in range(keys):
            name = self._string(_NAME_BYTES)
            self._unknown(name, names)
            self._value(self._read("<I")[0], name)
        alignment = 32  # of the data; a file may say otherwise, which moves its start by little
        ends, names = [0], set()
        for _ in range(tensors):
            name = self._string(_NAME_BYTES)
            self._unknown(name, names)
            ends.append(self._tensor(name))
        start = self._stream.tell()
        if start + max(ends) > self._size + alignment:
            raise _Broken(f"{self._size:,} bytes, too few for the tensors that it lists")

    def _value(self, kind: int, name: bytes) -> None:
        if kind == _STRING:
            self._string(_STRING_BYTES)
        elif kind == _ARRAY:
            inner, count = self._read("<IQ")
            self._bound(f"entries in {_shown(name)}", count, _ENTRIES)
            if inner == _STRING:
                for _ in range(count):
                    self._string(_STRING_BYTES)
            elif inner in _SIZES:
                self._skip(count * _SIZES[inner])
            else:
                raise _Broken(f"{_shown(name)} is a list of lists or of an unknown type {inner}")
        elif kind in _SIZES:
            self._skip(_SIZES[kind])
        else:
            raise _Broken(f"{_shown(name)} has the unknown type {kind}")

    def _tensor(self, name: bytes) -> int:
        """The end of the part of a tensor's data that its type cannot shorten."""
        (dimensions,) = self._read("<I")
        if not 1 <= dimensions <= _DIMENSIONS:
            raise _Broken(f"tensor {_shown(name)} has {dimensions} dimensions")
        shape = self._read(f"<{dimensions}Q")
        _, offset = self._read("<IQ")
        # The tightest quantisation takes over a bit a weight.
        if math.prod(shape) > 8 * self._size or offset > self._size:
            raise _Broken(f"tensor {_shown(name)} of shape {list(shape)} lies beyond its end")
        return offset + math.prod(shape) // 8

    def _string(self, most: int) -> bytes:
        (length,) = self._read("<Q")
        self._bound("bytes in a text", length, most)
        if self._stream.tell() + length > self._size:
            raise _Broken("a text ends beyond its end")
        return self._stream.read(length)

    def _skip(self, count: int) -> None:
        if self._stream.tell() + count > self._size:
            raise _Broken("a list ends beyond its end")
        self._stream.seek(count, 1)

    def _read(self, form: str) -> tuple[int, ...]:
        return struct.unpack(form, self._stream.read(struct.calcsize(form)))

    def _bound(self, what: str, count: int, most: int) -> None:
        if count > min(most, self._size):
            raise _Broken(f"it says that it has {count:,} {what}")

    @staticmethod
    def _unknown(name: bytes, names: set[bytes]) -> None:
        if name in names:
            raise _Broken(f"{_shown(name)} stands there twice")
        names.add(name)


def _shown(name: bytes) -> str:
    return repr(name[:60].decode("utf-8", "replace"))
