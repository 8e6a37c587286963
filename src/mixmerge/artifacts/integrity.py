"""SHA-256 of files, compared with what a manifest or list says before a stage reads them.

Rot changes no time and no size, so what was compared is remembered within one process alone.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from tqdm import tqdm

from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_open, sha256

#: File as it was when this process hashed it (device, number, size, times) -> its SHA-256.
_known: dict[tuple[int, ...], str] = {}


class Entry(BaseModel, strict=True):
    """What is listed of a file."""

    bytes: int
    sha256: str


def entry_of(path: Path) -> dict[str, Any]:
    """A file's `Entry`, to be written."""
    return {"bytes": path.stat().st_size, "sha256": sha256(path)}


def digests(sizes: Mapping[Path, int], label: str) -> Iterator[tuple[Path, str | OSError]]:
    """Yield each file with its SHA-256 in hexadecimal, or with why it could not be read.

    Side by side, the largest (``sizes`` has their bytes) first, which keeps all threads busy to the
    end, with a progress bar where it takes more than half a second.
    """
    paths, total = sorted(sizes, key=lambda path: -sizes[path]), sum(sizes.values())
    # More threads than eight would only wait for the disk.
    workers = max(1, min(8, len(os.sched_getaffinity(0)), len(paths)))
    bar = tqdm(total=total, unit="B", unit_scale=True, desc=label, disable=total < 500_000_000)
    with bar, ThreadPoolExecutor(workers) as pool:
        for path, job in [(path, pool.submit(sha256, path)) for path in paths]:
            error = job.exception()
            bar.update(sizes[path])
            yield path, error if isinstance(error, OSError) else job.result()


def difference(
    directory: Path, files: Mapping[str, Mapping[str, Any]], listing: Path, content: bool = True
) -> tuple[str, str] | None:
    """The first of the files that is not what is listed, and in what it differs, if any.

    Sizes are compared, and SHA-256 where the content counts; messages name the listing.
    """
    states: dict[Path, tuple[int, ...]] = {}
    for name, entry in files.items():
        try:
            stat = (directory / name).stat()
        except OSError as error:
            return name, f"is listed in {listing}, but cannot be read: {error.strerror}"
        if (size := stat.st_size) != (listed := entry["bytes"]):
            return name, f"{size} bytes, but {listing} lists {listed}: changed or cut off"
        # Any write to the file changes this, rot does not.
        state = (stat.st_dev, stat.st_ino, size, stat.st_mtime_ns, stat.st_ctime_ns)
        states[directory / name] = state
    unknown = {path: state[2] for path, state in states.items() if content and state not in _known}
    hashes = dict(digests(unknown, f"SHA-256 {directory.name}"))
    for name, entry in files.items() if content else ():
        path, listed = directory / name, entry["sha256"]
        digest = _known.get(states[path]) or hashes[path]
        if isinstance(digest, OSError):
            return name, f"cannot be read: {digest.strerror or digest}"
        _known[states[path]] = digest
        if digest != listed:
            sums = f"its SHA-256 is {digest[:16]}..., but {listing} lists {listed[:16]}..."
            return name, f"{sums}: the file rotted on the disk or was edited after it was made"
    return None


def write_sums(listing: Path, files: Iterable[Path]) -> None:
    """List files below the list's folder as `sha256sum` does, for folders that rules share."""
    lines = [f"{sha256(path)}  {path.relative_to(listing.parent).as_posix()}\n" for path in files]
    with atomic_open(listing) as file:
        file.writelines(sorted(lines, key=lambda line: line[64:]))


def read_sums(listing: Path) -> dict[Path, str]:
    """File -> SHA-256, from a list of `write_sums`; `UserError` where it cannot be read."""
    sums: dict[Path, str] = {}
    try:
        lines = listing.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{listing}: damaged: cannot be read ({error})") from None
    for number, line in enumerate(lines, start=1):
        match = re.fullmatch(r"([0-9a-f]{64})  ([^/].*)", line)
        if match is None or ".." in match[2].split("/"):
            raise UserError(f"{listing}: damaged: line {number} is no SHA-256 and name")
        sums[listing.parent / match[2]] = match[1]
    return sums
