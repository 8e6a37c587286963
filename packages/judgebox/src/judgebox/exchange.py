"""What a judge and the harness `calls` in the box say to each other.

Messages from the judge, one byte and what belongs to it:

- ``B``: inputs to call the function with (`batch`).
- ``N``, ``W``: in answer to ``L``: go on; or send the value itself.

Messages to the judge:

- ``R``: a list of values that the next calls returned.
- ``L``: the digest of a large one; the judge answers.
- ``W``: a large one itself.
- ``F``: the program raised something; the end.
- ``T``: a call took longer than it may, and came back; said once.
- ``X``: a call was ended because it did not come back; said once.
- ``P``, ``O``: for ground truth, a piece of a value's bytes; its end, with the seconds it took.
- ``E``: for ground truth, what was raised.
"""

import hashlib
import marshal
import struct
from typing import Any

from judgebox import codec

#: Bytes (of marshal, or of the codec) above which a value goes alone, and its digest first.
LARGE = 4096


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


def digest(value: Any) -> tuple[int, bytes]:
    """Length and SHA-256 of a value's marshalled bytes; ``(0, b"")`` where it has none.

    Nobody ever reads such bytes: equal ones come from equal values.
    """
    try:
        data = marshal.dumps(value, 2)  # version 2 has no references: nothing but the value counts
    except (ValueError, TypeError, MemoryError, RecursionError):
        return 0, b""
    # Hashing is left out where nobody will ask.
    return len(data), hashlib.sha256(data).digest() if len(data) > LARGE else b""
