"""SHA-256 of files: hashed side by side, compared with what a manifest or a list says.

A bit that flips on a disk changes no time and no size, only a number in a tensor. So no stage
trusts a directory before its bytes were compared with its manifest. What was compared is remembered
within one process and no longer: a longer memory could only go by times and sizes.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_open, sha256

#: More threads than this would only wait for the disk; hashlib lets the others run meanwhile.
_MOST_THREADS = 8

#: From so many bytes on (half a second) a bar is shown.
_BAR = 500_000_000

_SUM = re.compile(r"([0-9a-f]{64})  (.+)")

#: File as it was when this process hashed it (device, number, size, times) -> its SHA-256.
_known: dict[tuple[int, ...], str] = {}


def digests(sizes: Mapping[Path, int], label: str) -> Iterator[tuple[Path, str | OSError]]:
    """Yield each file with its SHA-256 in hexadecimal, or with why it could not be read.

    They are hashed side by side, with a progress bar where they are large; the largest (``sizes``
    has their bytes) first, which keeps all threads busy to the end.
    """
    paths = sorted(sizes, key=lambda path: -sizes[path])
    total = sum(sizes.values())
    workers = max(1, min(_MOST_THREADS, len(os.sched_getaffinity(0)), len(paths)))
    with (
        tqdm(total=total, unit="B", unit_scale=True, desc=label, disable=total < _BAR) as bar,
        ThreadPoolExecutor(workers, thread_name_prefix="sha256") as pool,
    ):
        for path, digest in zip(paths, pool.map(_digest, paths), strict=True):
            bar.update(sizes[path])
            yield path, digest


def _digest(path: Path) -> str | OSError:
    try:
        return sha256(path)
    except OSError as error:
        return error


def difference(
    directory: Path, files: Mapping[str, Mapping[str, Any]], listing: Path, content: bool = True
) -> tuple[str, str] | None:
    """The first of the files that is not what is listed, and in what it differs, if any.

    Sizes are compared, and SHA-256 where the content counts; messages name the listing.
    """
    states: dict[Path, tuple[int, ...]] = {}
    for name, entry in files.items():
        path = directory / name
        try:
            stat = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return name, f"listed in {listing} but missing"
        except OSError as error:
            return name, f"cannot be read: {error.strerror}"
        if stat.st_size != entry["bytes"]:
            sizes = f"{stat.st_size} bytes, but {listing} lists {entry['bytes']}"
            return name, f"{sizes}; the file was changed or cut off"
        # Any write to the file changes this, rot does not.
        state = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        states[path] = state
    unknown = {path: state[2] for path, state in states.items() if content and state not in _known}
    for path, digest in digests(unknown, f"SHA-256 {directory.name}"):
        if isinstance(digest, OSError):
            name = path.relative_to(directory).as_posix()
            return name, f"cannot be read: {digest.strerror or digest}"
        _known[states[path]] = digest
    for name, entry in files.items() if content else ():
        digest, listed = _known[states[directory / name]], str(entry["sha256"])
        if digest != listed:
            sums = f"its SHA-256 is {digest[:16]}..., but {listing} lists {listed[:16]}..."
            return name, f"{sums}: the file rotted on the disk or was edited after it was made"
    return None


def entry_of(path: Path) -> dict[str, Any]:
    """What is listed of a file: its bytes and SHA-256."""
    return {"bytes": path.stat().st_size, "sha256": sha256(path)}


def write_sums(listing: Path, files: Iterable[Path]) -> None:
    """List the SHA-256 of files below the list's folder, in the form of `sha256sum`; call it last.

    Tables and figures lie in folders that several rules share, so no manifest fits them.
    """
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
        match = _SUM.fullmatch(line)
        if match is None or match[2].startswith("/") or ".." in match[2].split("/"):
            raise UserError(f"{listing}: damaged: line {number} is no SHA-256 and name")
        sums[listing.parent / match[2]] = match[1]
    return sums
