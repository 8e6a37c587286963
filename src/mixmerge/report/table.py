"""A table as data: what every rendering (CSV, Markdown, LaTeX, HTML) is made from."""

from dataclasses import dataclass, field, replace
from typing import Literal

#: Printed where a value or a percentage is not defined.
UNDEFINED = "–"


@dataclass(frozen=True)
class Field:
    """A column of a table."""

    key: str
    """Name of the column in the CSV file."""

    header: str
    """Printed head."""

    group: str = ""
    """Printed head that spans neighbouring columns with the same group."""

    align: Literal["left", "right"] = "right"
    """Alignment in print."""


@dataclass(frozen=True)
class Cell:
    """A value, how it is printed, and its change against a reference."""

    value: float | int | str | None
    """The value in full precision."""

    text: str
    """The value as printed."""

    change: float | None = None
    """Change against the reference in percent, in full precision."""

    change_text: str = ""
    """The change as printed; empty where the cell has no reference."""

    best: bool = False
    """Whether it is the best of its column among the rows compared."""

    mark: str = ""
    """Signs behind value and change, which a note explains."""

    interval: str = ""
    """The value's confidence interval, where it is printed."""

    hint: str = ""
    """What a page shows when the pointer rests on the cell."""

    extra: dict[str, float | None] = field(default_factory=dict)
    """Further columns of the CSV file: suffix -> value."""

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

    cells: tuple[Cell, ...]
    """One cell a column."""

    block: str = ""
    """Lines with the same block stand together under this heading."""

    ids: dict[str, str] = field(default_factory=dict)
    """Columns of the CSV file that say which checkpoint the line is about."""

    shows: dict[str, str] = field(default_factory=dict)
    """Key of a field -> the checkpoint whose score the cell shows."""

    compared: bool = False
    """Whether the line takes part in the search for each column's best value."""


@dataclass(frozen=True)
class Table:
    """A table with its caption."""

    name: str
    """Stem of its files."""

    title: str
    """Caption's first sentence, such as ``Table 3. Mixing and merging``."""

    fields: tuple[Field, ...]
    """The columns."""

    rows: tuple[Row, ...]
    """The lines."""

    block_header: str = ""
    """Head of the column that names the blocks where a rendering has no spanning lines."""

    notes: tuple[str, ...] = ()
    """What a reader must know to read the numbers, one sentence or two each."""


def label(text: str) -> Cell:
    """A cell of plain text."""
    return Cell(value=text, text=text)


def number(value: float | None, digits: int) -> str:
    """A number as printed, with a true minus sign and no negative zero."""
    if value is None:
        return UNDEFINED
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def mark_best(rows: list[Row], lower_is_better: set[int], skip: set[int]) -> list[Row]:
    """Mark the best value of each column among the compared rows of each block.

    Args:
        rows: the lines, in order; blocks are told apart by `Row.block`.
        lower_is_better: indices of columns where the least value is the best.
        skip: indices of columns that hold labels.

    Returns:
        The lines with `Cell.best` set; equal values are all marked. A block with a single compared
        line is left alone: being the best of one says nothing.
    """
    marked = list(rows)
    for block in dict.fromkeys(row.block for row in rows):
        lines = [i for i, row in enumerate(rows) if row.block == block and row.compared]
        if len(lines) < 2:
            continue
        for column in range(len(rows[lines[0]].cells)):
            if column in skip:
                continue
            values = {i: rows[i].cells[column].value for i in lines}
            known = {i: v for i, v in values.items() if isinstance(v, int | float)}
            if not known:
                continue
            best = min(known.values()) if column in lower_is_better else max(known.values())
            for i, value in known.items():
                if value == best:
                    cells = list(marked[i].cells)
                    cells[column] = replace(cells[column], best=True)
                    marked[i] = replace(marked[i], cells=tuple(cells))
    return marked
