"""What a judge and the harness `calls` in the box say to each other, and the digests in it.

Messages from the judge, one byte and what belongs to it:

- ``B``: inputs to call the function with (`batch`).
- ``N``, ``W``: in answer to ``L``: go on; or send the value itself.

Messages to the judge:

- ``R``: a list of values that the next calls returned.
- ``L``: the digest of a large one; the judge answers.
- ``W``: a large one itself.
- ``F``, ``F0``: the program raised something, or there is no function to call; the end.
- ``T``: a call took longer than it may, and came back; said once.
- ``X``: a call was ended because it did not come back; said once.
- ``P``, ``O``: for ground truth, a piece of a value's bytes; its end, with the seconds it took.
- ``E``: for ground truth, what was raised.
"""

import hashlib
import marshal
import struct
from operator import eq
from typing import Any

from judgebox import codec

#: Bytes (of marshal, or of the codec) above which a value goes alone, and its digest first.
LARGE = 4096

_ATOMS = {type(None), bool, int, float, complex, str}
_NESTS = {list, tuple, dict, set, frozenset}


def batch(limits: list[float], inputs: list[bytes]) -> bytes:
    """The message with inputs to call the function with.

    Args:
        limits: seconds of processor time that each call may take.
        inputs: packed argument lists.
    """
    times = struct.pack(f"<I{len(limits)}d", len(limits), *limits)
    return b"".join([b"B", times, codec.array(inputs)])


def read_batch(message: bytes) -> tuple[tuple[float, ...], list[list[Any]]]:
    """Limits and argument lists of a batch."""
    (count,) = struct.unpack_from("<I", message, 1)
    limits = struct.unpack_from(f"<{count}d", message, 5)
    return limits, codec.unpack(message[5 + 8 * count :])


def call_frame(call: bytes, result: bytes, seconds: float) -> bytes:
    """The harness `record`'s message with a call: its seconds, packed call, packed result."""
    return b"C" + struct.pack("<dQ", seconds, len(call)) + call + result


def read_call(frame: bytes) -> tuple[bytes, bytes, float]:
    """Packed call, packed result and seconds of a `call_frame`.

    Raises:
        struct.error: it is too short.
    """
    seconds, size = struct.unpack_from("<dQ", frame, 1)
    return frame[17 : 17 + size], frame[17 + size :], seconds


def digest(value: Any) -> tuple[int, bytes]:
    """Length and SHA-256 of a value's marshalled bytes; ``(0, b"")`` where it has none.

    Nobody ever reads such bytes: equal ones come from equal values (`is_digestable`).
    """
    try:
        data = marshal.dumps(value, 2)  # version 2 has no references: nothing but the value counts
    except (ValueError, TypeError, MemoryError, RecursionError):
        return 0, b""
    # Hashing is left out where nobody will ask.
    return len(data), hashlib.sha256(data).digest() if len(data) > LARGE else b""


class ListDigest:
    """What `digest` makes of a list, without the list.

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


def is_digestable(value: Any) -> bool:
    """Whether values with the same marshalled bytes as this one equal it.

    Numbers, strings and nests of them, of exact types. Not bytes, as anything with a buffer has the
    same; nothing with NaN, which does not equal itself.
    """
    if type(value) in _ATOMS:
        return bool(value == value)
    if type(value) is dict:
        return is_digestable([*value]) and is_digestable([*value.values()])
    if type(value) not in _NESTS:
        return False
    kinds = {*map(type, value)}
    if not kinds <= _ATOMS | _NESTS:
        return False
    # `eq` compares an item with itself; a list would take it for equal unseen.
    if kinds & {float, complex} and not all(map(eq, value, value)):
        return False
    return kinds <= _ATOMS or all(is_digestable(item) for item in value if type(item) in _NESTS)
