"""Which expected outputs a digest can stand for, and what it is."""

import hashlib
import marshal
from operator import eq
from typing import Any, BinaryIO

from judgebox import codec, lists
from judgebox.exchange import LARGE, digest
from mixmerge.evaluate.compare import is_floats

#: Bytes that are made into values at once.
AT_ONCE = 2**20

_ATOMS = {type(None), bool, int, float, complex, str}
_NESTS = {list, tuple, dict, set, frozenset}


def is_plain(value: Any) -> bool:
    """Whether values with the same marshalled bytes as this one equal it.

    Numbers, strings and nests of them, of exact types. Not bytes, as anything with a buffer has the
    same; nothing with NaN, which does not equal itself.
    """
    if type(value) in _ATOMS:
        return bool(value == value)
    if type(value) is dict:
        return is_plain([*value]) and is_plain([*value.values()])
    if type(value) not in _NESTS:
        return False
    found = {*map(type, value)}
    if not found <= _ATOMS | _NESTS:
        return False
    # `eq` compares an item with itself; a list would take it for equal unseen.
    if found & {float, complex} and not all(map(eq, value, value)):
        return False
    return found <= _ATOMS or all(is_plain(item) for item in value if type(item) in _NESTS)


def examined(file: BinaryIO, size: int) -> tuple[bytes | None, bool, bool]:
    """Look at an expected output.

    Args:
        file: stands where it begins.
        size: of its bytes.

    Returns:
        Its digest, if it is large and plain; whether it is of floats; whether it equals its like.
    """
    if size <= AT_ONCE:
        data = file.read(size)
        value = codec.unpack(data, opaque=False)
        mark = digest(value)[1] if size > LARGE // 8 and is_plain(value) else None
        return mark or None, is_floats(value), _equals_its_like(value, codec.unpack(data))
    items = lists.items(file, size)
    if items is None:
        value = codec.unpack(file.read(size), size, opaque=False)
        plain = is_plain(value)
        return digest(value)[1] if plain else None, is_floats(value), plain
    # A list, item by item: all of it may be many times as large in memory.
    plain = floats = True
    total = ListDigest(next(items))
    for item in items:
        plain = plain and is_plain(item)
        floats = floats and isinstance(item, float)
        if plain:
            total.add(item)
    return total.digest() if plain else None, floats, plain


def _equals_its_like(value: Any, other: Any) -> bool:
    try:
        return bool(value == other)
    except Exception:  # an array of several numbers is neither equal nor not
        return False


class ListDigest:
    """What `exchange.digest` makes of a list, without the list.

    Args:
        length: of the list.
    """

    def __init__(self, length: int) -> None:
        self._total = hashlib.sha256(b"[" + length.to_bytes(4, "little"))

    def add(self, item: Any) -> None:
        """The next item.

        Raises:
            ValueError: it can't be marshalled.
        """
        self._total.update(marshal.dumps(item, 2))

    def digest(self) -> bytes:
        """Of all items."""
        return self._total.digest()
