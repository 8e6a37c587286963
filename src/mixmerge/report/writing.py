"""Writing a table in all its renderings."""

from collections.abc import Callable, Sequence
from pathlib import Path

from mixmerge.core.io import atomic_open
from mixmerge.report import latex, markdown, page, plain, sheet
from mixmerge.report.entries import TABLE_FORMATS
from mixmerge.report.table import Table

_RENDERERS: dict[str, Callable[[Table], str]] = {
    "csv": sheet.render,
    "md": markdown.render,
    "tex": latex.render,
    "html": page.render,
    "txt": plain.render,
}


def write_table(table: Table, out: Path, formats: Sequence[str] = TABLE_FORMATS) -> None:
    """Write ``out/{table.name}.{format}`` for each format.

    Args:
        table: what is written.
        out: directory, made where it is missing.
        formats: among csv, md, tex, html and txt.
    """
    for form in formats:
        write_text(out / f"{table.name}.{form}", _RENDERERS[form](table))


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_open(path) as file:
        file.write(text)
