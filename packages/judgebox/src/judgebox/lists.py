"""Long lists in the codec, written and read a part at a time."""

import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import msgpack

from judgebox import codec
from judgebox.codec import CodecError

#: Size of a part.
_PIECE = 256 * 1024


def pieces(value: Any) -> Iterator[bytes]:
    """The bytes of a value in pieces, so that those of a long list need not be held at once.

    Raises:
        CodecError: see `pack`.
    """
    if type(value) is not list:
        yield codec.pack(value)
        return
    yield codec.header(len(value))
    held: list[bytes] = []
    size = 0
    for item in value:
        held.append(codec.pack(item))
        size += len(held[-1])
        if size >= _PIECE:
            yield b"".join(held)
            held.clear()
            size = 0
    yield b"".join(held)


def opened(data: memoryview) -> tuple[int, memoryview]:
    """How many items a list claims to have, and what follows; ``(0, ...)`` where it is no list."""
    kind = data[0] if data else 0
    if 0x90 <= kind <= 0x9F:
        return kind & 0x0F, data[1:]
    size = {0xDC: 2, 0xDD: 4}.get(kind, 0)
    return int.from_bytes(data[1 : 1 + size], "big"), data[1 + size :]


def is_text(start: int) -> bool:
    """Whether a value with this first byte is a string, which is as large as its bytes."""
    return 0xA0 <= start <= 0xBF or start in (0xD9, 0xDA, 0xDB)


def items(file: BinaryIO, size: int, largest: int | None = None) -> Iterator[Any] | None:
    """The items of a list, read one at a time; first of all their number.

    Args:
        file: stands at the list's first byte.
        size: of all its bytes.
        largest: the most bytes of an item, if not all.

    Returns:
        None where it is no list; the file then stands where it stood. Iterating may raise
        `CodecError`, also for parts that are `Opaque`.
    """
    kind = file.read(1)
    file.seek(-1, os.SEEK_CUR)
    if not kind or not (0x90 <= kind[0] <= 0x9F or kind[0] in (0xDC, 0xDD)):
        return None
    return _items(file, size, largest or size)


def _items(file: BinaryIO, size: int, largest: int) -> Iterator[Any]:
    start = file.tell()

    def unpacker() -> msgpack.Unpacker:
        file.seek(start)
        part = _Part(file, size)
        most = min(_PIECE, largest)
        return msgpack.Unpacker(part, read_size=most, max_buffer_size=largest, **codec.reader())

    try:
        walker = unpacker()  # as in `codec.unpack`
        for _ in range(walker.read_array_header()):
            walker.skip()
        if walker.tell() != size:
            raise CodecError("more than a list")
        maker = unpacker()
        length = maker.read_array_header()
        yield length
        for _ in range(length):
            yield maker.unpack()
    except CodecError:
        raise
    except Exception as error:
        raise CodecError(f"{type(error).__name__}: {error}") from None


class _Part:
    """So many bytes of a file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def read(self, count: int) -> bytes:
        data = self._file.read(min(count, self._left))
        self._left -= len(data)
        return data
