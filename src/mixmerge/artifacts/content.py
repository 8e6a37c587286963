"""What a job reads is what was written: each listed file's SHA-256 before anything is made of it.

A bit that flips on a disk changes no time and no size, and what it spoils is only a slightly other
number in a tensor. So no stage trusts a directory before its bytes have been compared with its
manifest. What was compared is remembered within one process and no longer: a memory that outlives
it could only go by times and sizes, which rot does not touch.
"""

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mixmerge.artifacts.hashing import digests
from mixmerge.core.errors import UserError

#: From so many bytes on (half a second) a bar is shown.
_BAR = 500_000_000

#: File as it was when this process hashed it (device, number, size, times) -> its SHA-256.
_known: dict[tuple[int, ...], str] = {}


def check_content(directory: Path, manifest: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    """Compare files with the SHA-256 that a manifest lists; their sizes are right already.

    Args:
        directory: where the files are.
        manifest: for messages.
        files: relative name -> its entry, with ``sha256`` and ``bytes``.

    Raises:
        UserError: a file holds something else, or cannot be read.
    """
    wanted = {directory / name: str(entry["sha256"]) for name, entry in files.items()}
    before = {path: _state(path) for path in wanted}
    unknown = [path for path in wanted if before[path] not in _known]
    # The largest first, so that no thread is left alone with it in the end.
    unknown.sort(key=lambda path: -before[path][2])
    total = sum(before[path][2] for path in unknown)
    lock = threading.Lock()
    with tqdm(
        total=total,
        unit="B",
        unit_scale=True,
        mininterval=1,
        desc=f"SHA-256 {directory.name}",
        disable=total < _BAR,
    ) as bar:

        def count(bytes_: int) -> None:
            with lock:
                bar.update(bytes_)

        for path, found in digests(unknown, count):
            if isinstance(found, OSError):
                raise UserError(f"{path}: cannot be read: {found.strerror or found}")
            _known[before[path]] = found
    for path, expected in wanted.items():
        found = _known[before[path]]
        if found != expected:
            raise UserError(
                f"{path}: its SHA-256 is {found[:16]}..., but {manifest} lists {expected[:16]}...: "
                "the file rotted on the disk or was edited after it was made. Delete "
                f"{manifest} and run again, which makes it anew; `snakemake verify` looks through "
                "all of the study's files"
            )


def _state(path: Path) -> tuple[int, ...]:
    """What the file system says of a file; any write to it changes this, rot does not."""
    found: os.stat_result = path.stat()
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
