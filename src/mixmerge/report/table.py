"""Tables as data: fields, cells, lines, and numbers as they are printed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Literal, NamedTuple

#: Printed where a value or a percentage is not defined.
UNDEFINED = "–"

#: Lines that fit a page of print with caption and notes.
_LINES = 32


class Field(NamedTuple):
    """A column of a table: its name in CSV files, printed head, spanning head, alignment."""

    key: str
    header: str
    group: str = ""
    align: Literal["left", "right"] = "right"


@dataclass(frozen=True)
class Cell:
    """A value, how it is printed, and its change against a reference."""

    value: float | int | str | None  # in full precision; None where it is not defined
    text: str  # the value as printed
    change: float | None = None  # against the reference in percent, in full precision
    change_text: str = ""  # the change as printed; empty where the cell has no reference
    best: bool = False  # whether it is the best of its column among the rows compared
    mark: str = ""  # signs behind value and change, which a note explains
    interval: str = ""  # the value's confidence interval, where it is printed
    hint: str = ""  # what a page shows when the pointer rests on the cell
    # further columns of the CSV file: suffix -> value
    extra: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """Value and change: ``0.671 (−11.24)``."""
        return f"{self.text} ({self.change_text})" if self.change_text else self.text

    @property
    def printed(self) -> str:
        """Value, change, marks and interval: ``0.671 (−11.24)≈``, ``−1.38≈ [−3.20, 0.44]``."""
        text = f"{self.shown}{self.mark}"
        return f"{text} {self.interval}" if self.interval else text


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    cells: Sequence[Cell]  # one a column
    block: str = ""  # heading under which lines of the same block stand together
    # columns of the CSV file that say which checkpoint the line is about
    ids: Mapping[str, str] = field(default_factory=dict)
    compared: bool = False  # whether the line takes part in the search for each column's best value


@dataclass(frozen=True)
class Table:
    """A table with its caption."""

    name: str  # stem of its files
    title: str  # caption's first sentence, such as ``Table 3. Mixing and merging``
    fields: Sequence[Field]  # the columns
    rows: Sequence[Row]  # the lines
    # head of the column that names the blocks where there are no spanning lines
    block_header: str = ""
    notes: Sequence[str] = ()  # what a reader must know to read the numbers

    @property
    def caption(self) -> str:
        """The title without its number, which LaTeX sets itself."""
        number, _, rest = self.title.partition(". ")
        return rest or number

    @property
    def blocks(self) -> list[tuple[str, list[Row]]]:
        """Neighbouring lines of the same block."""
        return [(block, list(rows)) for block, rows in groupby(self.rows, lambda row: row.block)]

    @property
    def grouped(self) -> bool:
        """Whether any column has a spanning head."""
        return any(entry.group for entry in self.fields)

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Spanning heads with the number of columns that each spans."""
        groups = groupby(self.fields, lambda entry: entry.group)
        return [(group, len(list(fields))) for group, fields in groups]

    @property
    def unique_heads(self) -> list[str]:
        """Heads of the columns, with the spanning head where they are not unique."""
        heads = Counter(entry.header for entry in self.fields)
        return [f"{f.group}, {f.header}" if heads[f.header] > 1 else f.header for f in self.fields]

    @property
    def rooms(self) -> list[dict[str, bool]]:
        """For each column whether cells keep room for marks, and for an interval."""
        columns = list(zip(*(row.cells for row in self.rows), strict=True))
        columns = columns or [()] * len(self.fields)
        names = ("mark", "interval")
        return [{name: any(getattr(c, name) for c in cells) for name in names} for cells in columns]

    def pages(self) -> list["Table"]:
        """The table in parts of whole blocks that fit a page each; notes stand below the last."""
        parts: list[list[Row]] = [[]]
        for _, block in self.blocks:
            if parts[-1] and len(parts[-1]) + len(block) > _LINES:
                parts.append([])
            parts[-1] += block
        if len(parts) == 1:
            return [self]
        notes = [()] * (len(parts) - 1) + [self.notes]
        return [
            replace(self, name=f"{self.name}-{at}", rows=part, notes=below)
            for at, (part, below) in enumerate(zip(parts, notes, strict=True), 1)
        ]


def number(value: float | None, digits: int = 2) -> str:
    """A number as printed, with a true minus sign and no negative zero."""
    if value is None:
        return UNDEFINED
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def signed(value: float | None, digits: int = 2) -> str:
    """A change with its sign: ``+5.00``, ``−3.77``, ``0.00``."""
    text = number(value, digits)
    return f"+{text}" if value is not None and float(f"{value:.{digits}f}") > 0 else text


def label(text: str) -> Cell:
    """A cell of plain text."""
    return Cell(text, text)


def number_cell(value: float | None, digits: int, factor: float = 1) -> Cell:
    """A cell of a number, times a factor, to so many decimals."""
    value = value if value is None or factor == 1 else factor * value
    return Cell(value, number(value, digits))
