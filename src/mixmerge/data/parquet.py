"""Parquet as a stream of JSON-able rows, one small batch in memory at a time."""

import datetime
import decimal
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mixmerge.core.errors import UserError

_BATCH = 500
_BATCH_BYTES = 64 << 20


def read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    """Stream the rows of a Parquet file.

    Raises:
        UserError: the file is missing, no Parquet, or cut off.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        raise UserError(f"{path}: file not found")
    try:
        with pq.ParquetFile(path, buffer_size=1 << 20) as file:
            _check_columns(path, file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=_BATCH):
                for row in _rows(batch, path):
                    yield plain(row)
    except (pa.ArrowInvalid, pa.ArrowIOError, pa.ArrowNotImplementedError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not a readable Parquet file: {reason}") from None


def _check_columns(path: Path, names: list[str]) -> None:
    """Check that no column would take another's place in a row.

    Raises:
        UserError: two columns of one name.
    """
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{path}: has two columns {twice[0]!r}; rename or drop one of them")


def _rows(batch: Any, path: Path) -> Iterator[dict[str, Any]]:
    """A batch's rows as Python values: all at once, or one at a time where they may be huge.

    A dictionary holds a value once that each row repeats: a kilobyte may stand for gigabytes.

    Raises:
        UserError: a value that is none, such as a date after the year 9999.
    """
    at_once = batch.nbytes <= _BATCH_BYTES and "dictionary<" not in str(batch.schema)
    step = max(batch.num_rows, 1) if at_once else 1
    for number in range(0, batch.num_rows, step):
        piece = batch.slice(number, step)
        try:
            found = piece.to_pylist()
        except (OverflowError, UnicodeDecodeError) as error:
            column = next((n for n, c in zip(piece.schema.names, piece, strict=True) if _fails(c)))
            raise UserError(
                f"{path}: column {column!r} holds a value that cannot be read ({error}); mend or "
                "drop the column"
            ) from None
        yield from found


def _fails(column: Any) -> bool:
    try:
        column.to_pylist()
    except (OverflowError, UnicodeDecodeError):
        return True
    return False


def plain(value: Any) -> Any:
    """The nearest JSON value: NaN is null, dates and decimals are text, bytes are UTF-8 text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal | datetime.timedelta):
        return str(value)
    return repr(value)
