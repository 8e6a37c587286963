"""Values as bytes, and back: what a program in the box returns, and what tests are kept as.

msgpack holds the plain types; the others are extensions of it, one code each (`_READ`). Reading
makes values of these types and nothing else: it imports, calls and instantiates nothing that the
bytes name. Bytes from a hostile program therefore yield data or `CodecError`.

Exact types are kept. An instance of a subclass of a builtin type (a named tuple, an `IntEnum`), or
of a type that compares as one (`ChainMap`, sympy's numbers), becomes one of a stand-in subclass,
which compares as the builtin does. Anything else becomes
`Opaque`, which equals nothing. One exception: within another value a bytearray or a memoryview
becomes bytes, which equal it, as msgpack knows no difference.

Depth is bounded (`MAX_DEPTH` extensions within each other, some 500 lists), and memory by the
bytes: a container's length is believed only once its elements are seen to be there, and no byte
becomes more than about 120 bytes of objects.
"""

import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import msgpack

from judgebox import codec_types as types
from judgebox.codec_foreign import CodecError
from judgebox.codec_types import Opaque, Raised

__all__ = ["MAX_DEPTH", "CodecError", "Opaque", "Raised", "array", "header", "items", "list_head"]
__all__ += ["is_text", "pack", "pieces", "unpack"]

#: Extensions within each other. Each level of reading takes 40 KB of the stack.
MAX_DEPTH = 64

#: Bytes of a long list that are read or written at a time.
_PIECE = 256 * 1024

#: Bytes below which a container's claimed length may be believed without having been checked.
_SMALL = 512


class _Writer:
    """Packers, one a level: a packer that calls back must not be used by what it called."""

    def __init__(self) -> None:
        self._depth = 0
        self._packers: list[msgpack.Packer] = []

    def packed(self, value: Any) -> bytes:
        if self._depth >= MAX_DEPTH:
            raise CodecError("nested too deep")
        if self._depth == len(self._packers):
            packer = msgpack.Packer(
                default=self._extension,
                strict_types=True,
                unicode_errors="surrogatepass",
                buf_size=4096,
            )
            self._packers.append(packer)
        self._depth += 1
        try:
            data: bytes = self._packers[self._depth - 1].pack(value)
            return data
        finally:
            self._depth -= 1

    def extension(self, value: Any) -> bytes:
        return self.packed(self._extension(value))

    def _extension(self, value: Any) -> msgpack.ExtType:
        if type(value) is tuple:  # by far the most frequent
            return msgpack.ExtType(types.TUPLE, self.packed([*value]))
        code, content = types.taken_apart(value)
        return msgpack.ExtType(code, content if type(content) is bytes else self.packed(content))


class _Reader:
    """Reads one value; ``opaque``: whether such parts are allowed."""

    def __init__(self, opaque: bool) -> None:
        self._opaque = opaque
        self._depth = 0
        self.options: dict[str, Any] = {
            "ext_hook": self._extension,
            "object_pairs_hook": types.mapping,
            "strict_map_key": False,
            "unicode_errors": "surrogatepass",
            "timestamp": 1,  # msgpack's own extension, which is never written: a float
        }

    def value(self, data: bytes) -> Any:
        if self._depth >= MAX_DEPTH:
            raise CodecError("nested too deep")
        if len(data) > _SMALL:
            _check_complete(data)
        self._depth += 1
        try:
            return msgpack.unpackb(data, **self.options)
        finally:
            self._depth -= 1

    def _extension(self, code: int, data: bytes) -> Any:
        if code == types.TUPLE:
            content = self.value(data)
            if type(content) is not list:
                raise CodecError("a tuple's items are no list")
            return tuple(content)
        if code in types.FROM_BYTES:
            return types.FROM_BYTES[code](data)
        if code not in types.FROM_VALUE:
            raise CodecError(f"unknown extension {code}")
        value = types.FROM_VALUE[code](self.value(data))
        if not self._opaque and isinstance(value, Opaque):
            raise CodecError(f"a value of type {value.kind} is not plain data")
        return value


def _check_complete(data: bytes) -> None:
    """Walk over the outermost value without making anything of it.

    Else a list would be made as long as it says before its items are looked for.
    """
    walker = msgpack.Unpacker(max_buffer_size=len(data), read_size=1)
    walker.feed(data)
    walker.skip()


_WRITER = _Writer()


def pack(value: Any) -> bytes:
    """The bytes of a value; never those of the code that the value may bring along.

    Raises:
        CodecError: nested too deep (or within itself), or longer than msgpack can say (4 GiB).
    """
    try:
        if type(value) in (bytearray, memoryview):
            return _WRITER.extension(value)
        return _WRITER.packed(value)
    except CodecError:
        raise
    except (ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise CodecError(f"{type(error).__name__}: {error}") from None


def header(count: int) -> bytes:
    """What stands before the bytes of a list's items."""
    data: bytes = msgpack.Packer(buf_size=16).pack_array_header(count)
    return data


def array(parts: list[bytes]) -> bytes:
    """The bytes of the list whose items' bytes are ``parts``."""
    return b"".join([header(len(parts)), *parts])


def unpack(data: bytes, limit: int = 2**30, opaque: bool = True) -> Any:
    """The value of bytes that anybody may have written.

    Args:
        data: the bytes of one value.
        limit: the most bytes that are looked at.
        opaque: whether parts may be `Opaque`.

    Raises:
        CodecError: whatever is wrong, memory that does not suffice included.
    """
    if len(data) > limit:
        raise CodecError(f"{len(data)} bytes, of at most {limit}")
    try:
        return _Reader(opaque).value(data)
    except CodecError:
        raise
    except Exception as error:  # of msgpack, or of a constructor that was given nonsense
        raise CodecError(f"{type(error).__name__}: {error}") from None


def pieces(value: Any) -> Iterator[bytes]:
    """The bytes of a value in pieces, so that those of a long list need not be held at once.

    Raises:
        CodecError: see `pack`.
    """
    if type(value) is not list:
        yield pack(value)
        return
    yield header(len(value))
    held: list[bytes] = []
    size = 0
    for item in value:
        held.append(pack(item))
        size += len(held[-1])
        if size >= _PIECE:
            yield b"".join(held)
            held.clear()
            size = 0
    yield b"".join(held)


def list_head(data: memoryview) -> tuple[int, memoryview]:
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
        return msgpack.Unpacker(
            part, read_size=most, max_buffer_size=largest, **_Reader(opaque=False).options
        )

    try:
        walker = unpacker()  # as in `unpack`
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
