"""Values as bytes, and back: what a program in the box returns, and what tests are kept as.

msgpack holds the plain types; the others are extensions of it (`judgebox.codec_types`). Reading
makes values of these types and nothing else: it imports, calls and instantiates nothing that the
bytes name. Bytes from a hostile program therefore yield data or `CodecError`.

Exact types are kept. An instance of a subclass of a builtin type (a named tuple, an `IntEnum`), or
of a type that compares as one (`ChainMap`, sympy's numbers), becomes one of a stand-in subclass,
which compares as the builtin does. Anything else becomes `Opaque`, which equals nothing. One
exception: within another value a bytearray or a memoryview becomes bytes, which equal it, as
msgpack knows no difference.

Depth is bounded (`MAX_DEPTH` extensions within each other, some 500 lists), and memory by the
bytes: a container's length is believed only once its elements are seen to be there, and no byte
becomes more than about 120 bytes of objects.
"""

import io
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgpack

from judgebox.codec_types import DTYPE, KINDS, CodecError, Opaque, Raised, as_builtin, mapping

__all__ = ["LARGE", "MAX_DEPTH", "OPAQUE", "CodecError", "Opaque", "Raised", "items"]
__all__ += ["pack", "taken_apart", "unpack"]

#: Extensions within each other. Each level of reading takes 40 KB of the stack.
MAX_DEPTH = 64
#: Bytes of a packed output above which a program's side sends its digest first.
LARGE = 4096
#: Bytes below which a container's claimed length may be believed without having been checked.
_SMALL = 512
_NAME = 200

_CODES: dict[type | None, int] = {kind.of: code for code, kind in enumerate(KINDS, start=1)}
_SCALAR, _ARRAY, _OBJECTS, _SUBCLASS, OPAQUE = range(23, 28)


def pack(value: Any) -> bytes:
    """The bytes of a value; never those of the code that the value may bring along.

    Raises:
        CodecError: nested too deep (or within itself), or longer than msgpack can say (4 GiB).
    """
    try:
        buffer = type(value) in (bytearray, memoryview)
        return _packed(_extension(value, 0) if buffer else value, 0)
    except CodecError:
        raise
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
    raw = KINDS[code - 1].holds is bytes
    return msgpack.ExtType(code, content if raw else _packed(content, depth))


def taken_apart(value: Any) -> tuple[int, Any]:
    """The code of a value's type, and bytes or a simpler value that hold what it is.

    Raises:
        CodecError: a date with a time zone of its own making.
    """
    kind = type(value)
    code = _CODES.get(kind) or _numpys_code(value)
    if code is not None:
        return code, KINDS[code - 1].take(value)
    plain = as_builtin(value)
    if plain is not None:
        return _SUBCLASS, plain
    return OPAQUE, [f"{kind.__module__}.{kind.__qualname__}"[:_NAME], None]


def _numpys_code(value: Any) -> int | None:
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    if type(value) is numpy.ndarray:
        if value.dtype == object:
            return _OBJECTS
        return _ARRAY if DTYPE.fullmatch(value.dtype.str) else None
    plain = type(value) in numpy.sctypeDict.values() and DTYPE.fullmatch(value.dtype.str)
    return _SCALAR if plain else None


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
        return _read(data, 0, opaque)
    except CodecError:
        raise
    except Exception as error:  # of msgpack, or of a constructor that was given nonsense
        raise CodecError(f"{type(error).__name__}: {error}") from None


def items(data: bytes, largest: int) -> Iterator[Any]:
    """The items of a list's bytes, of which only one is made at a time.

    Raises:
        CodecError: see `unpack`; they hold no list, or an item of more bytes than ``largest``.
    """
    try:
        _check_complete(data)
        file = io.BytesIO(data)
        unpacker = msgpack.Unpacker(file, max_buffer_size=largest, **_options(0, opaque=True))
        for _ in range(unpacker.read_array_header()):
            yield unpacker.unpack()
    except CodecError:
        raise
    except Exception as error:
        raise CodecError(f"{type(error).__name__}: {error}") from None


def _read(data: bytes, depth: int, opaque: bool) -> Any:
    if depth >= MAX_DEPTH:
        raise CodecError("nested too deep")
    if len(data) > _SMALL:
        _check_complete(data)
    return msgpack.unpackb(data, **_options(depth, opaque))


def _options(depth: int, opaque: bool) -> dict[str, Any]:
    def extension(code: int, data: bytes) -> Any:
        if not 0 < code <= len(KINDS):
            raise CodecError(f"unknown extension {code}")
        raw = KINDS[code - 1].holds is bytes
        value = _made(code, data if raw else _read(data, depth + 1, opaque))
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


def _made(code: int, content: Any) -> Any:
    """The value of what `taken_apart` gave, or somebody claims that it gave."""
    kind = KINDS[code - 1]
    if not isinstance(kind.holds, tuple):
        if type(content) is not kind.holds:
            raise CodecError(f"an extension that holds no {kind.holds.__name__}")
        return kind.make(content)
    if type(content) is not list or len(content) != len(kind.holds):
        raise CodecError("an extension of another shape")
    if not all(map(isinstance, content, kind.holds)):
        raise CodecError("an extension's part of another type")
    return kind.make(*content)


def _check_complete(data: bytes) -> None:
    """Walk over the outermost value without making anything of it.

    Else a list would be made as long as it says before its items are looked for.
    """
    walker = msgpack.Unpacker(max_buffer_size=len(data), read_size=1)
    walker.feed(data)
    walker.skip()
