"""Rows read as their jobs will read them, each kind of fault told once."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mixmerge.core.errors import UserError, nearest
from mixmerge.data.prepare import BlankRows, RowMapping
from mixmerge.data.rows import Row, Seen
from mixmerge.data.templates import MissingField, NotText, Template, UnknownLanguage

#: Different problems told of one file at most.
_MOST = 10

_LINE = re.compile(r":(\d+):")


class Faults:
    """Messages of one source; those that differ in the line only are told once."""

    def __init__(self) -> None:
        self.lines: dict[str, str] = {}
        self._count: Counter[str] = Counter()

    def add(self, error: UserError) -> None:
        """Count a message."""
        text = " ".join(str(error).split())
        kind = _LINE.sub(":", text, count=1)
        self.lines.setdefault(kind, text)
        self._count[kind] += 1

    def told(self) -> Iterator[str]:
        """A line for each kind."""
        for kind, text in list(self.lines.items())[:_MOST]:
            more = self._count[kind] - 1
            yield text + (f" (and {more:,} more rows)" if more else "")
        if len(self.lines) > _MOST:
            yield f"{len(self.lines) - _MOST} more kinds of faults in the same file"


class Reader:
    """A task or suite that reads a source's rows as its job will."""

    def __init__(self, mapping: RowMapping, path: Path) -> None:
        self.mapping = mapping
        self.path = path
        self.blanks = BlankRows(mapping.source, mapping.columns, path)
        self.ids = Seen()
        self.whole: bool | None = None

    def take(self, number: int, row: Row, faults: Faults) -> None:
        """Map one row; the first one tells which columns are missing, all at once."""
        if self.whole is None:
            self.whole = self._has_columns(number, row, faults)
        if not self.whole:
            return
        try:
            own = self.mapping.identity(row, self.path, number)
            if own is not None and not self.ids.add(own):
                source, column = self.mapping.source, self.mapping.columns.id_column
                faults.add(
                    UserError(
                        f"{self.path}:{number}: an id that another row has too, {own!r}, in column "
                        f"{column!r}; mend the data, or leave sources.{source}.id_column out"
                    )
                )
            self.blanks.add(*self.mapping.turns(row, self.path, number), number)
        except UserError as error:
            faults.add(error)

    def finish(self, faults: Faults) -> None:
        """Tell of blank rows, where they may not be dropped."""
        try:
            self.blanks.check()
        except UserError as error:
            faults.add(error)

    def _has_columns(self, number: int, row: Row, faults: Faults) -> bool:
        source, columns, whole = self.mapping.source, self.mapping.columns, True
        for field in self.mapping.fields:
            try:
                Template(f"{{{field}}}", self.mapping.owner).render(row, columns.columns)
            except MissingField as error:
                whole = False
                faults.add(
                    UserError(
                        f"{self.path}:{number}: no column {error.column!r} for the field "
                        f"{{{field}}} of {self.mapping.owner}{nearest(error.column, set(row))}; "
                        f"name the right one in sources.{source}.columns: {{{field}: ...}}"
                    )
                )
            except (NotText, UnknownLanguage):
                continue
        if columns.id_column is not None and columns.id_column not in row:
            whole = False
            faults.add(
                UserError(
                    f"{self.path}:{number}: sources.{source}.id_column: no column "
                    f"{columns.id_column!r}{nearest(columns.id_column, set(row))}"
                )
            )
        return whole
