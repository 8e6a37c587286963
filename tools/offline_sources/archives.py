"""Archives from outside, unpacked within bounds: nothing leaves the folder, nothing fills the disk.

`zipfile` and `tarfile` bound neither sizes nor numbers, and mend links and names that climb out.
"""

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mixmerge.core.archives import BadArchive, Bounds

#: Longest name of a file or folder that ordinary file systems take, in bytes.
_NAME_BYTES = 255
_DEPTH = 32
_ENCRYPTED = 0x1
#: What the libraries raise for broken archives.
_BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error),
    *(EOFError, NotImplementedError, UnicodeError, OverflowError),
)

#: Says of an entry's name whether to unpack it.
Wanted = Callable[[str], bool]


def unzip(archive: Path, target: Path, wanted: Wanted, bounds: Bounds) -> list[str]:
    """Unpack the wanted files of a zip file or wheel below ``target``; returns their names.

    Raises:
        BadArchive: broken, encrypted, out of bounds, two entries of one name, or an entry (wanted
            or not) that is a link or a device or would lie elsewhere.
        FileExistsError: a file stands there already.
    """
    with unbroken(archive), zipfile.ZipFile(archive) as file:
        entries: dict[str, zipfile.ZipInfo] = {}
        if len(file.infolist()) > bounds.members:
            raise BadArchive(archive, f"holds {len(file.infolist()):,} entries")
        for entry in file.infolist():
            # `filename` was cut at a NUL and mended; what the archive really says is checked.
            name = checked_name(archive, entry.orig_filename)
            if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise BadArchive(archive, f"{name!r} is a link or a device and no file")
            if entry.flag_bits & _ENCRYPTED:
                raise BadArchive(archive, f"{name!r} is encrypted")
            if name in entries:
                raise BadArchive(archive, f"holds {name!r} twice")
            if not entry.is_dir():
                entries[name] = entry
        chosen = {name: entry for name, entry in entries.items() if wanted(name)}
        size = sum(entry.file_size for entry in chosen.values())
        bounds.check(archive, size, archive.stat().st_size)
        for name, entry in chosen.items():
            with file.open(entry) as source:
                write_new(source, target / name)
    return list(chosen)


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
        BadArchive, FileExistsError: see `unzip`.
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


def folder(prefix: str) -> Wanted:
    """Wants what lies below a folder of the archive."""
    return lambda name: name.startswith(prefix.rstrip("/") + "/")


def checked_name(archive: Path, name: str) -> str:
    """The name of an entry, if it can only be a place below the folder that is unpacked into."""
    parts = name.rstrip("/").split("/")
    is_plain = name.isprintable() and "\\" not in name and ":" not in parts[0]
    is_below = all(parts) and ".." not in parts and len(parts) <= _DEPTH
    is_short = all(len(part.encode("utf-8", "surrogatepass")) <= _NAME_BYTES for part in parts)
    if not (is_plain and is_below and is_short):
        raise BadArchive(archive, f"holds {name[:80]!r}, which is no plain path below its folder")
    return "/".join(part for part in parts if part != ".")


def write_new(source: IO[bytes], path: Path) -> None:
    """Write a new file; zipfile and tarfile give no more bytes than an entry says it has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:  # never through something that stands there already
        shutil.copyfileobj(source, file)


@contextmanager
def unbroken(archive: Path | str) -> Iterator[None]:
    """Turn what the libraries raise for broken archives into `BadArchive`."""
    try:
        yield
    except _BROKEN as error:
        raise BadArchive(
            archive, f"broken archive ({str(error) or type(error).__name__})"
        ) from None
