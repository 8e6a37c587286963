"""A shuffle of more rows than fit into memory, reading and writing in sequence only."""

import struct
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import IO

_HEAD = struct.Struct(">QI")  # key, length of the line
_MAX_BUCKETS = 256


def sort_lines(
    keyed: Iterable[tuple[int, bytes]], target: Path, scratch: Path, total_bytes: int, bucket: int
) -> int:
    """Write lines in the order of their 64-bit keys; returns their number.

    Lines are dealt into bucket files by their key's high bits, then each bucket is sorted in
    memory. Keys that are hashes fill the buckets evenly; equal keys keep their order.

    Args:
        keyed: (key, line without line break).
        target: the file to write.
        scratch: an existing directory for the buckets, which are deleted on the way.
        total_bytes: about what all lines take, to choose the number of buckets.
        bucket: bytes to sort in memory at once.
    """
    number = min(_MAX_BUCKETS, 1 + total_bytes // bucket)
    paths = [scratch / f"bucket-{index:03d}" for index in range(number)]
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("wb")) for path in paths]
        for key, line in keyed:
            files[key * number >> 64].write(_HEAD.pack(key, len(line)) + line)
    count = 0
    with target.open("wb") as out:
        for path in paths:
            with path.open("rb") as file:
                lines = _read_bucket(file)
            path.unlink()
            lines.sort(key=lambda pair: pair[0])
            out.writelines(line + b"\n" for _, line in lines)
            count += len(lines)
    return count


def _read_bucket(file: IO[bytes]) -> list[tuple[int, bytes]]:
    lines = []
    while head := file.read(_HEAD.size):
        key, length = _HEAD.unpack(head)
        lines.append((key, file.read(length)))
    return lines
