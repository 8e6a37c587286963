"""Archives from outside, unpacked within bounds: nothing leaves the folder, nothing fills the disk.

Python's own `zipfile` and `tarfile` bound neither sizes nor numbers, and each has its own idea of
what to do with a link, a device or a name that climbs out of its folder. Here all of these are
refused, never mended: an archive that holds one is not what it claims to be.
"""

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mixmerge.core.errors import UserError

_CHUNK = 1 << 20
#: Longest name of a file or folder that ordinary file systems take, in bytes.
_NAME_BYTES = 255
_DEPTH = 32
_ENCRYPTED = 0x1

Wanted = Callable[[str], bool]


class BadArchive(UserError):
    """An archive that is broken, or made to do harm; the message names it and what is wrong."""


@dataclass(frozen=True)
class Bounds:
    """What an archive may unpack to."""

    bytes: int = 1 << 30
    """Bytes of all its files."""
    members: int = 100_000
    """Entries, wanted or not."""
    ratio: int = 300
    """How many times its own size; text shrinks to a tenth, a bomb to a thousandth."""
    free: int = 64 << 20
    """Bytes up to which the ratio does not matter."""

    def check(self, archive: Path, unpacked: int, packed: int) -> None:
        """Raise `BadArchive` where ``packed`` bytes hold more than they may."""
        if unpacked > self.bytes or (unpacked > self.free and unpacked > self.ratio * packed):
            raise BadArchive(
                f"{archive}: {packed:,} bytes that unpack to more than {unpacked:,}: no archive "
                f"of ours does (at most {self.bytes:,}, and {self.ratio} times its size); it was "
                "made to fill a disk, or is damaged. Fetch it again from where you trust it"
            )


def check_name(archive: Path, name: str) -> str:
    """The name of an entry, if it can only be a place below the folder that is unpacked into.

    Raises:
        BadArchive: an absolute name, one with ``..``, with control characters, without an
            encoding, too long or too deep.
    """
    parts = name.rstrip("/").split("/")
    try:
        longest = max(len(part.encode("utf-8")) for part in parts)
    except UnicodeEncodeError:
        longest = _NAME_BYTES + 1
    is_plain = name.isprintable() and "\\" not in name and ":" not in parts[0]
    is_below = not name.startswith("/") and ".." not in parts and all(parts)
    if not (is_plain and is_below) or longest > _NAME_BYTES or len(parts) > _DEPTH:
        raise BadArchive(
            f"{archive}: holds an entry named {name[:80]!r}, which is no plain path below the "
            "folder that it is unpacked into. Fetch the archive again from where you trust it"
        )
    return "/".join(part for part in parts if part != ".")


def unzip(archive: Path, target: Path, wanted: Wanted, bounds: Bounds | None = None) -> list[str]:
    """Unpack the wanted files of a zip file or wheel below ``target``; returns their names.

    Args:
        archive: the file.
        target: directory, made where it is missing; files in it are not overwritten.
        wanted: says of a name whether to unpack it. All names are checked.
        bounds: of what is unpacked, and of the number of entries.

    Raises:
        BadArchive: broken, encrypted, out of bounds, two entries of one name, or an entry that is
            a link or a device or would lie elsewhere.
    """
    bounds = bounds or Bounds()
    taken: list[str] = []
    with opened(archive) as file:
        names = members(archive, file, bounds)
        chosen = [(name, entry) for name, entry in names.items() if wanted(name)]
        declared = sum(entry.file_size for _, entry in chosen)
        bounds.check(archive, declared, archive.stat().st_size)
        for name, entry in chosen:
            with _unbroken(archive), file.open(entry) as source:
                _write(archive, source, target / name, entry.file_size)
            taken.append(name)
    return taken


def opened(archive: Path) -> zipfile.ZipFile:
    """Open a zip file; `BadArchive` where it is none."""
    with _unbroken(archive):
        return zipfile.ZipFile(archive)


def members(
    archive: Path, file: zipfile.ZipFile, bounds: Bounds | None = None
) -> dict[str, zipfile.ZipInfo]:
    """The files of a zip, by checked name; raises what `unzip` does."""
    entries = file.infolist()
    if len(entries) > (bounds or Bounds()).members:
        raise BadArchive(f"{archive}: holds {len(entries):,} entries; fetch it again")
    found: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        # `filename` was cut at a NUL and mended; what the archive really says is checked.
        name = check_name(archive, entry.orig_filename)
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise BadArchive(_link(archive, name))
        if entry.flag_bits & _ENCRYPTED:
            raise BadArchive(f"{archive}: {name!r} is encrypted; fetch the archive again")
        if entry.is_dir():
            continue
        if name in found:
            raise BadArchive(f"{archive}: holds {name!r} twice; fetch it again")
        found[name] = entry
    return found


def untar(
    stream: IO[bytes], archive: Path, target: Path, wanted: Wanted, bounds: Bounds | None = None
) -> list[str]:
    """Unpack the wanted files of an uncompressed tar stream below ``target``.

    Args:
        stream: read to its end, or to the first fault.
        archive: the file it comes from, for messages and for its size.
        target: see `unzip`.
        wanted: see `unzip`. Links and devices that are not wanted are passed over.
        bounds: of the whole stream.

    Returns and raises what `unzip` does.
    """
    bounds = bounds or Bounds()
    counted = _Counted(stream, archive, bounds)
    taken: list[str] = []
    with _unbroken(archive), tarfile.open(fileobj=counted, mode="r|") as file:  # type: ignore[call-overload]
        for number, entry in enumerate(file):
            if number >= bounds.members:
                raise BadArchive(f"{archive}: holds over {number:,} entries; fetch it again")
            if entry.name in (".", "./"):
                continue
            name = check_name(archive, entry.name.removeprefix("./"))
            if entry.isdir() or not wanted(name):
                continue
            source = file.extractfile(entry) if entry.isreg() else None
            if source is None:
                raise BadArchive(_link(archive, name))
            if name in taken:
                raise BadArchive(f"{archive}: holds {name!r} twice; fetch it again")
            _write(archive, source, target / name, entry.size)
            taken.append(name)
    return taken


def gunzip(stream: IO[bytes], archive: Path | str, packed: int, bounds: Bounds) -> bytes:
    """The content of a gzip file that is small enough for memory.

    Args:
        stream: the packed bytes.
        archive: what to call it in messages.
        packed: how many packed bytes there are.
        bounds: of the content.

    Raises:
        BadArchive: broken, or out of bounds.
    """
    pieces: list[bytes] = []
    size = 0
    with _unbroken(Path(archive)), gzip.open(stream) as file:
        while piece := file.read(_CHUNK):
            size += len(piece)
            bounds.check(Path(archive), size, packed)
            pieces.append(piece)
    return b"".join(pieces)


def _write(archive: Path, source: IO[bytes], path: Path, size: int) -> None:
    """Write a new file of at most ``size`` bytes; whatever the entry says, no more come out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    left = size
    # "x": never through something that stands there already.
    with path.open("xb") as file:
        while piece := source.read(_CHUNK):
            left -= len(piece)
            if left < 0:
                raise BadArchive(f"{archive}: {path.name!r} is longer than it says; fetch it again")
            file.write(piece)


class _Counted:
    """A stream of a tar that raises `BadArchive` when more comes out than may."""

    def __init__(self, stream: IO[bytes], archive: Path, bounds: Bounds) -> None:
        self._stream, self._archive, self._bounds = stream, archive, bounds
        self._packed = archive.stat().st_size
        self._size = 0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._size += len(data)
        self._bounds.check(self._archive, self._size, self._packed)
        return data


@contextmanager
def _unbroken(archive: Path) -> Iterator[None]:
    """Turn what the libraries raise for broken archives into `BadArchive`."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        gzip.BadGzipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        UnicodeError,
        OverflowError,
    ) as error:
        said = str(error) or type(error).__name__
        raise BadArchive(f"{archive}: broken archive ({said}); fetch it again") from None


def _link(archive: Path, name: str) -> str:
    return (
        f"{archive}: {name!r} is a link or a device and no file; it was not unpacked. Fetch "
        "the archive again from where you trust it"
    )


def folder(prefix: str) -> Wanted:
    """Wants what lies below a folder of the archive."""
    return lambda name: name.startswith(prefix.rstrip("/") + "/")
