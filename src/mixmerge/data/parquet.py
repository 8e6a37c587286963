"""Parquet as a stream of JSON-able rows, one small batch in memory at a time."""

import datetime
import decimal
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mixmerge.errors import UserError

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
            for batch in file.iter_batches(batch_size=_BATCH):
                for row in _rows(batch):
                    yield plain(row)
    except (pa.ArrowInvalid, pa.ArrowIOError, pa.ArrowNotImplementedError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not a readable Parquet file: {reason}") from None


def _rows(batch: Any) -> Iterator[dict[str, Any]]:
    """A batch's rows as Python values: all at once, or one at a time where they may be huge.

    A dictionary holds a value once that each row repeats: a kilobyte may stand for gigabytes.
    """
    if batch.nbytes <= _BATCH_BYTES and "dictionary<" not in str(batch.schema):
        yield from batch.to_pylist()
        return
    for number in range(batch.num_rows):
        yield from batch.slice(number, 1).to_pylist()


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
