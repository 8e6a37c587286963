"""Files of the data stage: JSON lines, packed or not, and Parquet, all read as streams."""

import codecs
import datetime
import decimal
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from mixmerge.artifacts.manifest import read_manifest
from mixmerge.core.archives import Bounds
from mixmerge.core.errors import UserError, one_line
from mixmerge.core.io import parse_object

#: Rows of a source or a task; what a job counted.
ROWS, REPORT = "rows.jsonl", "report.json"
#: The two parts of a split and of a training set.
TRAIN, VALIDATION = "train.jsonl", "validation.jsonl"
#: A suite's problems as they came; its texts that must not occur in training data; its prompts.
PROBLEMS, TEXTS, ITEMS = "problems.jsonl", "texts.jsonl", "items.jsonl"

#: Bytes; the longest row of a known suite has 200 thousand.
LONGEST_LINE = 256 << 20

#: What a .gz of text may unpack to: as much as one likes, but text shrinks to a tenth.
_TEXT = Bounds(bytes=1 << 50)

#: Rows of a Parquet file decoded at once, and the bytes up to which they are.
_BATCH, _BATCH_BYTES = 500, 64 << 20

T = TypeVar("T")
Row = dict[str, Any]


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Stream (line number from 1, line) of a ``.jsonl`` or ``.jsonl.gz`` file; skip blank lines.

    Raises `UserError` where the file cannot be read, or it or a line unpacks to too much.
    """
    number = size = 0
    try:
        packed = path.stat().st_size
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            while line := file.readline(LONGEST_LINE + 1):
                number, size = number + 1, size + len(line)
                if len(line) > LONGEST_LINE:
                    problem = f"a line of over {LONGEST_LINE >> 20} MiB; mend or delete that line"
                    raise UserError(f"{path}:{number}: {problem}, one JSON object a line")
                _TEXT.check(path, size, packed)
                if number == 1:  # some editors begin a file with a mark of its encoding
                    line = line.removeprefix(codecs.BOM_UTF8)
                if stripped := line.strip():
                    yield number, stripped
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        problem = f"not a whole gzip file (after line {number}: {error})"
        raise UserError(f"{path}: {problem}; fetch it again or drop the .gz in its name") from None
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}"
        raise UserError(f"{path}: {problem}; check where it leads and who may read it") from None


def read_directory(directory: Path, what: str) -> Iterable[tuple[int, Row]]:
    """Check a directory of rows and stream (line number, row), with a bar."""
    total = read_manifest(directory, "rows")["facts"]["rows"]
    path = directory / ROWS
    rows = ((number, parse_object(line, path, number)) for number, line in read_lines(path))
    return progress(rows, what, total)


def progress(items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """Show a bar on standard error while ``items`` are consumed."""
    return tqdm(items, desc=what, total=total, unit=" rows", mininterval=1)


def read_parquet(path: Path) -> Iterator[Row]:
    """Stream the rows of a Parquet file as JSON-able values; `UserError` where it is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = ""
    try:
        with pq.ParquetFile(path, buffer_size=1 << 20) as file:
            names = file.schema_arrow.names
            if twice := [name for name in names if names.count(name) > 1]:
                raise UserError(f"{path}: has two columns {twice[0]!r}; rename or drop one of them")
            for batch in file.iter_batches(batch_size=_BATCH):
                # A dictionary holds a value once that each row repeats: a kilobyte may stand for
                # gigabytes.
                is_small = batch.nbytes <= _BATCH_BYTES and "dictionary<" not in str(batch.schema)
                step = _BATCH if is_small else 1
                for start in range(0, batch.num_rows, step):
                    columns = []
                    for name, column in zip(names, batch.slice(start, step), strict=True):  # noqa: B007
                        columns.append([plain(value) for value in column.to_pylist()])
                    for values in zip(*columns, strict=True):
                        yield dict(zip(names, values, strict=True))
    except (OverflowError, UnicodeDecodeError) as error:
        problem = f"column {name!r} holds a value that cannot be read ({error})"
        raise UserError(f"{path}: {problem}; mend or drop the column") from None
    except (pa.ArrowInvalid, pa.ArrowIOError, pa.ArrowNotImplementedError) as error:
        raise UserError(f"{path}: not a readable Parquet file: {one_line(error)}") from None


def plain_row(line: bytes, path: Path, number: int) -> Row:
    """Decode a line of a file from outside; NaN and infinities become null."""
    row = parse_object(line, path, number)
    try:
        return {key: plain(value) for key, value in row.items()}
    except RecursionError:
        problem = "nested too deep to be read; mend or delete that line"
        raise UserError(f"{path}:{number}: {problem}") from None


def plain(value: Any) -> Any:
    """The nearest JSON value: NaN is null, dates and decimals are text, bytes are UTF-8 text."""
    if value is None or isinstance(value, str | int):
        return value
    return json.loads(json.dumps(value, default=_as_text), parse_constant=lambda name: None)


def _as_text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value) if isinstance(value, decimal.Decimal | datetime.timedelta) else repr(value)
