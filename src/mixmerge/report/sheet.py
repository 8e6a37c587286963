"""CSV rendering: full precision, one column a value, more for changes, intervals and p-values."""

import csv
import io
from itertools import chain

from mixmerge.report.table import Table


def render(table: Table) -> str:
    """The table as CSV with a header line.

    First come the columns that say which checkpoint a line is about, then for each column of print
    its value as Python writes it (17 digits bring the same float back), followed by ``KEY_pct``
    where the column has changes against a reference, and by the further columns of its cells, such
    as ``KEY_low`` and ``KEY_high``. What is undefined is left empty.
    """
    ids = list(dict.fromkeys(chain.from_iterable(row.ids for row in table.rows)))
    compared = {
        index for row in table.rows for index, cell in enumerate(row.cells) if cell.change_text
    }
    extras = [
        list(dict.fromkeys(chain.from_iterable(row.cells[index].extra for row in table.rows)))
        for index in range(len(table.fields))
    ]
    header = list(ids)
    for index, field in enumerate(table.fields):
        header.append(field.key)
        if index in compared:
            header.append(f"{field.key}_pct")
        header += [f"{field.key}_{suffix}" for suffix in extras[index]]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in table.rows:
        line = [row.ids.get(name, "") for name in ids]
        for index, cell in enumerate(row.cells):
            line.append(_raw(cell.value))
            if index in compared:
                line.append(_raw(cell.change))
            line += [_raw(cell.extra.get(suffix)) for suffix in extras[index]]
        writer.writerow(line)
    return text.getvalue()


def _raw(value: float | int | str | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else repr(value)
