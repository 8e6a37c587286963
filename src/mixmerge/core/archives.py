"""Bounds of what a compressed file unpacks to, and gzip files within them."""

import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path

from mixmerge.core.errors import UserError


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
            bounds = f"at most {self.bytes:,}, and {self.ratio} times its size"
            problem = f"{packed:,} bytes unpack to more than {unpacked:,} ({bounds})"
            raise BadArchive(archive, f"{problem}; it was made to fill a disk, or is damaged")


def gunzip(packed: bytes, archive: Path | str, bounds: Bounds) -> bytes:
    """The content of a gzip file that is small enough for memory; `BadArchive` where it is not."""
    content = bytearray()
    try:
        with gzip.open(io.BytesIO(packed)) as file:
            while piece := file.read(1 << 20):
                content += piece
                bounds.check(archive, len(content), len(packed))
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise BadArchive(archive, f"broken archive ({error})") from None
    return bytes(content)
