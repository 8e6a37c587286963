"""Tar streams from outside, unpacked within bounds; see `mixmerge.core.archives`."""

import tarfile
from pathlib import Path
from typing import IO

from mixmerge.core.archives import BadArchive, Bounds, Wanted, checked_name, unbroken, write_new


def untar(
    stream: IO[bytes], archive: Path, target: Path, wanted: Wanted, bounds: Bounds
) -> list[str]:
    """Unpack the wanted files of an uncompressed tar stream below ``target``; returns their names.

    Links and devices that are not wanted are passed over.

    Args:
        stream: read to its end, or to the first fault.
        archive: the file it comes from, for messages and for its size.
        target: directory, made where it is missing.
        wanted: whether to unpack a file.
        bounds: of the whole stream.

    Raises:
        BadArchive, FileExistsError: see `mixmerge.core.archives.unzip`.
    """
    counted = _Counted(stream, archive, bounds)
    names: list[str] = []
    with unbroken(archive), tarfile.open(fileobj=counted, mode="r|") as file:  # type: ignore[call-overload]
        for number, entry in enumerate(file):
            if number >= bounds.members:
                raise BadArchive(archive, f"holds over {number:,} entries")
            if entry.name in (".", "./"):
                continue
            name = checked_name(archive, entry.name.removeprefix("./"))
            if entry.isdir() or not wanted(name):
                continue
            source = file.extractfile(entry) if entry.isreg() else None
            if source is None:
                raise BadArchive(archive, f"{name!r} is a link or a device and no file")
            if name in names:
                raise BadArchive(archive, f"holds {name!r} twice")
            write_new(source, target / name)
            names.append(name)
    return names


class _Counted:
    """A stream of a tar that raises `BadArchive` when more comes out than may."""

    def __init__(self, stream: IO[bytes], archive: Path, bounds: Bounds) -> None:
        self._stream, self._archive, self._bounds = stream, archive, bounds
        self._packed, self._size = archive.stat().st_size, 0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._size += len(data)
        self._bounds.check(self._archive, self._size, self._packed)
        return data
