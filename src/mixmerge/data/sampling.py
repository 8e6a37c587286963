"""Seeded choices among rows by a hash of their ids.

A row's rank depends on the seed and its own id only: not on the order of the file, on the other
rows, or on how many are taken. So a quarter is inside the half, which is inside the whole.
"""

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mixmerge.core.errors import UserError
from mixmerge.data.lines import progress, read_rows

Ranks = npt.NDArray[np.uint64]


def rank(seed: int, name: str) -> int:
    """64 bits that follow from the seed and the name."""
    text = f"{seed}\x1f{name}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def ranks(path: Path, seed: int, what: str, total: int) -> Ranks:
    """The rank of each row of a file, in the file's order (8 bytes a row).

    Args:
        path: JSONL with an ``id`` in each row.
        seed: a derived seed.
        what: label of the progress bar.
        total: rows that the file's manifest counts.

    Raises:
        UserError: another number of rows, or one without id.
    """
    rows = progress(read_rows(path, id=str), what, total)
    found = np.fromiter((rank(seed, row["id"]) for _, row in rows), np.uint64)
    check_count(path, len(found), total)
    return found


def check_count(path: Path, found: int, counted: int) -> None:
    """Check that a file holds as many rows as the manifest beside it counts.

    Raises:
        UserError: it does not.
    """
    if found != counted:
        raise UserError(
            f"{path}: holds {found} rows, but the manifest beside it counts {counted}; one of the "
            f"two was edited. Delete {path.parent} and run again"
        )


def lowest(values: Ranks, count: int) -> npt.NDArray[np.bool_]:
    """Mark the ``count`` rows of lowest rank; the earlier row wins a tie."""
    chosen = np.zeros(len(values), dtype=bool)
    chosen[np.argsort(values, kind="stable")[:count]] = True
    return chosen


def share(rows: int, percent: float) -> int:
    """``percent`` % of ``rows``, rounded half to even, but at least one."""
    return max(1, round(rows * percent / 100))
