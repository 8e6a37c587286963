"""Files of the data stage: JSONL as a stream of raw lines or rows, Parquet in small batches.

What is only passed on is never decoded twice, and no file is held in memory as a whole.
"""

import codecs
import datetime
import decimal
import gzip
import hashlib
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

from tqdm import tqdm

from mixmerge.artifacts.manifest import write_manifest, write_provenance
from mixmerge.core.archives import Bounds
from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_dir

#: Rows of a source, a prepared task, or a decontaminated task.
ROWS = "rows.jsonl"
#: What a job counted.
REPORT = "report.json"
#: Rows that decontamination dropped, with the reason.
DROPPED = "dropped.jsonl"
#: The two parts of a split and of a training set.
TRAIN = "train.jsonl"
VALIDATION = "validation.jsonl"
#: A suite's problems in EvalPlus's format, byte for byte as they came.
PROBLEMS = "problems.jsonl"
#: A suite's texts that must not occur in training data.
TEXTS = "texts.jsonl"
#: A suite's prompts and references.
ITEMS = "items.jsonl"

#: Bytes; the longest row of a known suite has 200 thousand.
LONGEST_LINE = 256 << 20

#: What a .gz of text may unpack to: as much as one likes, but text shrinks to a tenth.
_TEXT = Bounds(bytes=1 << 50)

#: Rows of a Parquet file decoded at once, and the bytes up to which they are.
_BATCH, _BATCH_BYTES = 500, 64 << 20

T = TypeVar("T")
Row = dict[str, Any]


@contextmanager
def publish(
    out: Path,
    kind: str,
    inputs: list[Path],
    settings: Any,
    *,
    seed: int | None = None,
    packages: Iterable[str] = (),
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Make a directory with provenance and manifest; it appears when the block ends well.

    Args:
        out: the directory, replaced as a whole.
        kind: what the manifest calls it.
        inputs: files (mostly manifests) it is made from.
        settings: what the job depends on, JSON-able.
        seed: the job's, None where nothing is random.
        packages: distributions whose versions matter for the result.

    Yields:
        An empty folder to write into, and the manifest's facts, to be filled in.
    """
    facts: dict[str, Any] = {}
    with atomic_dir(out) as scratch:
        yield scratch, facts
        write_provenance(
            scratch, inputs=inputs, settings=settings, seed=seed, packages=list(packages)
        )
        write_manifest(scratch, kind, facts)


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Stream (line number from 1, line without its line break), blank lines skipped.

    Args:
        path: a ``.jsonl`` or ``.jsonl.gz`` file.

    Raises:
        UserError: the file is missing, or is no whole gzip file although its name says so.
    """
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
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


def parse_line(line: bytes, path: Path, number: int) -> Row:
    """Decode one line; NaN, which is not JSON but is often written, becomes null.

    Raises:
        UserError: not UTF-8, not JSON, or no object; names file and line.
    """
    mend = "mend or delete that line"
    try:
        # Decoded here: `json` itself takes UTF-16 and UTF-32 for what they are, line by line.
        row = json.loads(line.decode(), parse_constant=_constant)
    except json.JSONDecodeError as error:
        problem = f"not valid JSON: {error.msg} at column {error.colno}; {mend}"
    except UnicodeDecodeError as error:
        problem = f"not UTF-8: {error.reason} at byte {error.start}; convert the file"
    except RecursionError:
        problem = f"nested too deep to be read; {mend}"
    except ValueError:  # Python reads no whole number of more than 4300 digits
        problem = f"holds a number with thousands of digits; {mend}, or write the number as text"
    else:
        if isinstance(row, dict):
            return row
        problem = f"expected a JSON object, found {type(row).__name__}; {mend}"
    raise UserError(f"{path}:{number}: {problem}")


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


def read_parquet(path: Path) -> Iterator[Row]:
    """Stream the rows of a Parquet file as JSON-able values.

    Raises:
        UserError: the file is missing, no Parquet or cut off; has two columns of one name; or holds
            a value that is none, such as a date after the year 9999.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        raise UserError(f"{path}: file not found")
    try:
        with pq.ParquetFile(path, buffer_size=1 << 20) as file:
            names = file.schema_arrow.names
            if twice := [name for name in names if names.count(name) > 1]:
                raise UserError(f"{path}: has two columns {twice[0]!r}; rename or drop one of them")
            for batch in file.iter_batches(batch_size=_BATCH):
                yield from map(plain, _batch_rows(batch, path))
    except (pa.ArrowInvalid, pa.ArrowIOError, pa.ArrowNotImplementedError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not a readable Parquet file: {reason}") from None


def _batch_rows(batch: Any, path: Path) -> Iterator[Row]:
    """A batch's rows as Python values: all at once, or one at a time where they may be huge.

    A dictionary holds a value once that each row repeats: a kilobyte may stand for gigabytes.
    """
    at_once = batch.nbytes <= _BATCH_BYTES and "dictionary<" not in str(batch.schema)
    step = max(batch.num_rows, 1) if at_once else 1
    for number in range(0, batch.num_rows, step):
        try:
            yield from batch.slice(number, step).to_pylist()
        except (OverflowError, UnicodeDecodeError) as error:
            columns = zip(batch.schema.names, batch, strict=True)
            column = next(
                (name for name, values in columns if not _is_readable(values.slice(number, step))),
                batch.schema.names[-1],
            )
            raise UserError(
                f"{path}: column {column!r} holds a value that cannot be read ({error}); mend or "
                "drop the column"
            ) from None


def _is_readable(column: Any) -> bool:
    try:
        column.to_pylist()
    except (OverflowError, UnicodeDecodeError):
        return False
    return True


def plain(value: Any) -> Any:
    """The nearest JSON value: NaN is null, dates and decimals are text, bytes are UTF-8 text."""
    match value:
        case None | str() | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case bytes():
            return value.decode("utf-8", "backslashreplace")
        case datetime.date() | datetime.time():
            return value.isoformat()
        case decimal.Decimal() | datetime.timedelta():
            return str(value)
    return repr(value)


class Seen:
    """A set of texts that keeps 16 bytes of each: 700,000 of them take about 80 MB."""

    def __init__(self) -> None:
        self._digests: set[bytes] = set()

    def add(self, text: str) -> bool:
        """Add a text; returns whether it is new."""
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        is_new = digest not in self._digests
        self._digests.add(digest)
        return is_new
