"""Archives from outside, unpacked within bounds: nothing leaves the folder, nothing fills the disk.

`zipfile` and `tarfile` bound neither sizes nor numbers, and mend links and names that climb out.
"""

import gzip
import io
import shutil
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

#: Longest name of a file or folder that ordinary file systems take, in bytes.
_NAME_BYTES = 255
_DEPTH = 32
_ENCRYPTED = 0x1
#: What the libraries raise for broken archives.
_BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error),
    *(EOFError, NotImplementedError, UnicodeError, OverflowError),
)

#: Says of an entry's name whether to unpack it.
Wanted = Callable[[str], bool]


class BadArchive(UserError):
    """An archive that is broken, or made to do harm; the message names it and what is wrong."""

    def __init__(self, archive: Path | str, problem: str) -> None:
        super().__init__(f"{archive}: {problem}; fetch it again from where you trust it")


@dataclass(frozen=True)
class Bounds:
    """What an archive may unpack to; text shrinks to a tenth, a bomb to a thousandth."""

    bytes: int = 1 << 30
    members: int = 100_000
    ratio: int = 300  # how many times its own size
    free: int = 64 << 20  # bytes up to which the ratio does not matter

    def check(self, archive: Path | str, unpacked: int, packed: int) -> None:
        """Raise `BadArchive` where ``packed`` bytes hold more than they may."""
        if unpacked > self.bytes or (unpacked > self.free and unpacked > self.ratio * packed):
            problem = f"{packed:,} bytes unpack to more than {unpacked:,} (at most {self.bytes:,}, "
            problem += (
                f"and {self.ratio} times its size); it was made to fill a disk, or is damaged"
            )
            raise BadArchive(archive, problem)


def unzip(archive: Path, target: Path, wanted: Wanted, bounds: Bounds = Bounds()) -> list[str]:
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


def gunzip(packed: bytes, archive: Path | str, bounds: Bounds) -> bytes:
    """The content of a gzip file that is small enough for memory; `BadArchive` where it is not."""
    content = bytearray()
    with unbroken(archive), gzip.open(io.BytesIO(packed)) as file:
        while piece := file.read(1 << 20):
            content += piece
            bounds.check(archive, len(content), len(packed))
    return bytes(content)


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
