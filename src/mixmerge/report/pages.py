"""Long tables: LaTeX sets a table on one page, so one that is longer becomes several there."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from mixmerge.report import latex
from mixmerge.report.entries import TABLE_FORMATS
from mixmerge.report.table import Row, Table
from mixmerge.report.writing import write_table, write_text

#: Lines that fit a page of print with caption and notes.
_LINES = 32


def write_long(table: Table, out: Path) -> None:
    """Write a table in all renderings; in LaTeX as one ``table`` a page.

    Args:
        table: what is written; its blocks stay whole.
        out: directory of the tables.
    """
    write_table(table, out, [form for form in TABLE_FORMATS if form != "tex"])
    write_text(out / f"{table.name}.tex", "\n".join(map(latex.render, pages(table))))


def pages(table: Table) -> Iterator[Table]:
    """The table in parts of whole blocks that fit a page each; the notes stand below the last."""
    parts: list[list[Row]] = [[]]
    for _, rows in groupby(table.rows, key=lambda row: row.block):
        block = list(rows)
        if parts[-1] and len(parts[-1]) + len(block) > _LINES:
            parts.append([])
        parts[-1] += block
    for at, part in enumerate(parts, 1):
        name = table.name if len(parts) == 1 else f"{table.name}-{at}"
        notes = table.notes if at == len(parts) else ()
        yield replace(table, name=name, rows=tuple(part), notes=notes)
