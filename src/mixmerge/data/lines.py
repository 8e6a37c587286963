"""JSONL as a stream of numbered raw lines: what is only passed on is never decoded twice."""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

from tqdm import tqdm

from mixmerge.errors import UserError

T = TypeVar("T")
Row = dict[str, Any]


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Stream (line number from 1, line without its line break), blank lines skipped.

    Args:
        path: a ``.jsonl`` or ``.jsonl.gz`` file.

    Raises:
        UserError: the file is missing, or is no whole gzip file although its name says so.
    """
    number = 0
    try:
        with _open(path) as file:
            for number, line in enumerate(file, start=1):
                if stripped := line.strip():
                    yield number, stripped
    except FileNotFoundError:
        raise UserError(f"{path}: file not found") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a directory; name a file in it") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(
            f"{path}: not a whole gzip file (after line {number}: {error}); fetch it again, or "
            "drop the .gz from its name if it is plain text"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None


def _open(path: Path) -> IO[bytes] | gzip.GzipFile:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def parse_line(line: bytes, path: Path, number: int) -> Row:
    """Decode one line; NaN, which is not JSON but is often written, becomes null.

    Raises:
        UserError: not UTF-8, not JSON, or no object; names file and line.
    """
    try:
        row = json.loads(line, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}:{number}: not valid JSON: {error.msg} at column {error.colno}; "
            "mend or delete that line"
        ) from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}:{number}: not UTF-8: {error.reason} at byte {error.start}; convert the file"
        ) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}:{number}: unusable JSON: {error}") from None
    if not isinstance(row, dict):
        raise UserError(f"{path}:{number}: expected a JSON object, found {type(row).__name__}")
    return row


def _constant(name: str) -> float | None:
    return None if name == "NaN" else float(name)


def read_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Stream (line number, decoded row)."""
    for number, line in read_lines(path):
        yield number, parse_line(line, path, number)


def progress(items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """Show a bar on standard error while ``items`` are consumed."""
    bar: Iterable[T] = tqdm(items, desc=what, total=total, unit=" rows", mininterval=1)
    return bar


def encode(row: Row) -> bytes:
    """One row as one line with its line break; the same bytes for the same content."""
    text = json.dumps(row, ensure_ascii=False, sort_keys=True, allow_nan=False)
    # A lone surrogate (half of an emoji, escaped in the source) has no UTF-8; keep it escaped.
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(row, sort_keys=True, allow_nan=False).encode() + b"\n"
