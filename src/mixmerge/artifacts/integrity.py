"""SHA-256 of files: hashed side by side, compared with what a manifest or a list says.

A bit that flips on a disk changes no time and no size, and what it spoils is only a slightly other
number in a tensor. So no stage trusts a directory before its bytes have been compared with its
manifest. What was compared is remembered within one process and no longer: a memory that outlives
it could only go by times and sizes, which rot does not touch.
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
    """Hash files side by side, with a progress bar where they are large.

    Args:
        sizes: path -> bytes; the largest are hashed first, which keeps all threads busy to the end.
        label: what the bar is called.

    Yields:
        Each path with its SHA-256 in hexadecimal, or with why it could not be read; the largest
        first.
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


def check_content(directory: Path, manifest: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    """Compare files with the SHA-256 that a manifest lists; their sizes are right already.

    Args:
        directory: where the files are.
        manifest: for messages.
        files: relative name -> its entry, with ``sha256`` and ``bytes``.

    Raises:
        UserError: a file holds something else, or cannot be read.
    """
    expected = {directory / name: str(entry["sha256"]) for name, entry in files.items()}
    states = {path: _state(path) for path in expected}
    unknown = {path: state[2] for path, state in states.items() if state not in _known}
    for path, digest in digests(unknown, f"SHA-256 {directory.name}"):
        if isinstance(digest, OSError):
            raise UserError(f"{path}: cannot be read: {digest.strerror or digest}")
        _known[states[path]] = digest
    for path, wanted in expected.items():
        digest = _known[states[path]]
        if digest != wanted:
            raise UserError(
                f"{path}: its SHA-256 is {digest[:16]}..., but {manifest} lists {wanted[:16]}...: "
                "the file rotted on the disk or was edited after it was made. Delete "
                f"{manifest} and run again, which makes it anew; `snakemake verify` looks through "
                "all of the study's files"
            )


def _state(path: Path) -> tuple[int, ...]:
    """What the file system says of a file; any write to it changes this, rot does not."""
    stat: os.stat_result = path.stat()
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def write_sums(list_: Path, files: Iterable[Path]) -> None:
    """List the SHA-256 of files of the report, in the form of `sha256sum`; call it last.

    Tables and figures lie in folders that several rules share, so no manifest fits them.

    Args:
        list_: the file to write, such as ``results/x/.tables.sha256``.
        files: below its directory.
    """
    lines = [f"{sha256(path)}  {path.relative_to(list_.parent).as_posix()}\n" for path in files]
    with atomic_open(list_) as file:
        file.writelines(sorted(lines, key=lambda line: line[64:]))


def read_sums(list_: Path) -> dict[Path, str]:
    """File -> its SHA-256 when it was made, from a list of `write_sums`.

    Raises:
        UserError: the list cannot be read; names the line.
    """
    sums: dict[Path, str] = {}
    try:
        lines = list_.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{list_}: damaged: cannot be read ({error})") from None
    for number, line in enumerate(lines, start=1):
        match = _SUM.fullmatch(line)
        if match is None or match[2].startswith("/") or ".." in match[2].split("/"):
            raise UserError(f"{list_}: damaged: line {number} is no SHA-256 and name")
        sums[list_.parent / match[2]] = match[1]
    return sums
