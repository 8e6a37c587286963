"""SHA-256 of many files at once: several threads, big pieces, a count of what is done."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

#: Bytes read at a time: hashlib lets other threads run meanwhile.
_PIECE = 4 << 20

#: More threads than this would only wait for the disk.
_MOST_THREADS = 8


def threads() -> int:
    """Threads worth having: the cores this process may use, within reason."""
    return max(1, min(_MOST_THREADS, len(os.sched_getaffinity(0))))


def digests(
    files: Iterable[Path], progress: Callable[[int], object] | None = None
) -> Iterator[tuple[Path, str | OSError]]:
    """Hash files side by side.

    Args:
        files: their paths; large ones first keeps all threads busy to the end.
        progress: called with a number of bytes whenever so many more are hashed, from any thread.

    Yields:
        Each path with its SHA-256 in hexadecimal, or with why it could not be read; in the order
        given.
    """
    paths = list(files)
    count = min(threads(), max(1, len(paths)))
    with ThreadPoolExecutor(count, thread_name_prefix="sha256") as pool:
        yield from zip(paths, pool.map(lambda path: _digest(path, progress), paths), strict=True)


def _digest(path: Path, progress: Callable[[int], object] | None) -> str | OSError:
    digest = hashlib.sha256()
    piece = bytearray(_PIECE)
    view = memoryview(piece)
    try:
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(piece):
                digest.update(view[:count])
                if progress is not None:
                    progress(count)
    except OSError as error:
        return error
    return digest.hexdigest()
