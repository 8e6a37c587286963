"""JSONL as a stream of numbered raw lines: what is only passed on is never decoded twice."""

import codecs
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar

from tqdm import tqdm

from mixmerge.core.archives import Bounds
from mixmerge.core.errors import UserError

#: Bytes; the longest row of a known suite has 200 thousand.
LONGEST_LINE = 256 << 20

#: What a .gz of text may unpack to: as much as one likes, but text shrinks to a tenth.
_TEXT = Bounds(bytes=1 << 50)

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
            for number, line in enumerate(_bounded(file, path), start=1):
                if number == 1:  # some editors begin a file with a mark of its encoding
                    line = line.removeprefix(codecs.BOM_UTF8)
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
        raise UserError(
            f"{path}: cannot be read: {error.strerror or error}; check where it leads and who may "
            "read it"
        ) from None


def _bounded(file: IO[bytes] | gzip.GzipFile, path: Path) -> Iterator[bytes]:
    """A file's lines, none of them longer than memory has room for.

    Raises:
        UserError: a longer one, or a gzip file that unpacks to more than text does.
    """
    packed = path.stat().st_size if path.suffix == ".gz" else 0
    size = number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        size += len(line)
        if len(line) > LONGEST_LINE:
            raise UserError(
                f"{path}:{number}: a line of over {LONGEST_LINE >> 20} MiB; one JSON object a line "
                "is expected. Mend or delete that line"
            )
        if packed:
            _TEXT.check(path, size, packed)
        yield line


def _open(path: Path) -> IO[bytes] | gzip.GzipFile:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def parse_line(line: bytes, path: Path, number: int) -> Row:
    """Decode one line; NaN, which is not JSON but is often written, becomes null.

    Raises:
        UserError: not UTF-8, not JSON, or no object; names file and line.
    """
    try:
        # Decoded here: `json` itself takes UTF-16 and UTF-32 for what they are, line by line.
        row = json.loads(line.decode(), parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}:{number}: not valid JSON: {error.msg} at column {error.colno}; "
            "mend or delete that line"
        ) from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}:{number}: not UTF-8: {error.reason} at byte {error.start}; convert the file"
        ) from None
    except RecursionError:
        raise UserError(
            f"{path}:{number}: nested too deep to be read; mend or delete that line"
        ) from None
    except ValueError:  # Python reads no whole number of more than 4300 digits
        raise UserError(
            f"{path}:{number}: holds a number with thousands of digits; mend or delete that line, "
            "or write the number as text"
        ) from None
    if not isinstance(row, dict):
        raise UserError(
            f"{path}:{number}: expected a JSON object, found {type(row).__name__}; "
            "mend or delete that line"
        )
    return row


def _constant(name: str) -> float | None:
    return None if name == "NaN" else float(name)


def read_rows(path: Path, **needs: type) -> Iterator[tuple[int, Row]]:
    """Stream (line number, decoded row).

    Args:
        path: as in `read_lines`.
        needs: what each row must have, name -> type; for files that another stage wrote.

    Raises:
        UserError: see `read_lines` and `parse_line`; or a row lacks what it must have.
    """
    for number, line in read_lines(path):
        row = parse_line(line, path, number)
        check_row(row, path, number, needs)
        yield number, row


def check_row(row: Row, path: Path, number: int, needs: Mapping[str, type]) -> None:
    """Check that a row of a file that another stage wrote has what that stage writes.

    Raises:
        UserError: naming file, line and field.
    """
    for name, kind in needs.items():
        if not isinstance(row.get(name), kind):
            found = f"is {type(row[name]).__name__}" if name in row else "is missing"
            raise UserError(
                f"{path}:{number}: {name!r} {found}, expected {kind.__name__}; the file was edited "
                f"or written by another version of mixmerge. Delete {path.parent} and run again"
            )


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
