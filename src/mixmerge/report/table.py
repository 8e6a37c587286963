"""Tables as data: columns, cells, lines, and numbers as they are printed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from mixmerge.report import templates

TEMPLATES = Path(templates.__file__).parent

#: Printed where a value or a percentage is not defined.
UNDEFINED = "–"

#: Lines that fit a page of print with caption and notes.
_LINES = 32


class Field(NamedTuple):
    """A column of a table."""

    key: str  # in CSV files
    header: str
    group: str = ""  # spanning head
    #: How values are printed: ``text`` (the one aligned to the left), ``,`` (thousands apart),
    #: ``p``, or a number of decimals, after a space followed by a unit.
    form: str = ""

    @property
    def align(self) -> str:
        """``left`` or ``right``."""
        return "left" if self.form == "text" else "right"


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


class Row(NamedTuple):
    """A line of a table."""

    cells: Sequence[Cell]  # one a column
    block: str = ""  # heading under which lines of the same block stand together
    ids: Mapping[str, str] = {}  # columns of the CSV file that say what the line is about
    compared: bool = False  # whether the line takes part in the search for each column's best value


@dataclass(frozen=True)
class Table:
    """A table with its caption."""

    name: str  # stem of its files
    texts: Sequence[str]  # title (``Table 3. Mixing and merging``), then what a reader must know
    fields: Sequence[Field]
    rows: Sequence[Row]
    block_header: str = ""  # heads the blocks' names where there are no spanning lines

    @property
    def title(self) -> str:
        """The caption's first sentence."""
        return self.texts[0]

    @property
    def notes(self) -> Sequence[str]:
        """What stands below the table."""
        return self.texts[1:]

    @property
    def blocks(self) -> list[tuple[str, list[Row]]]:
        """Neighbouring lines of the same block."""
        return [(block, list(rows)) for block, rows in groupby(self.rows, lambda row: row.block)]

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Spanning heads with the number of columns that each spans."""
        groups = groupby(self.fields, lambda entry: entry.group)
        return [(group, len(list(fields))) for group, fields in groups]

    def column(self, index: int) -> list[Cell]:
        """The cells of a column."""
        return [row.cells[index] for row in self.rows]

    def pages(self) -> list["Table"]:
        """The table in parts of whole blocks that fit a page each; notes stand below the last."""
        parts: list[list[Row]] = [[]]
        for _, block in self.blocks:
            if parts[-1] and len(parts[-1]) + len(block) > _LINES:
                parts.append([])
            parts[-1] += block
        if len(parts) == 1:
            return [self]
        texts = [self.texts[:1]] * (len(parts) - 1) + [self.texts]
        return [
            replace(self, name=f"{self.name}-{at}", rows=rows, texts=own)
            for at, (rows, own) in enumerate(zip(parts, texts, strict=True), 1)
        ]


def fields_of(table: str, **words: str) -> list[Field]:
    """A table's columns in ``templates/fields.tsv``; words stand for ``{names}`` in the heads."""
    return [
        Field(key, header.format(**words), group, form)
        for name, key, header, group, form in _columns()
        if name == table
    ]


@cache
def _columns() -> list[list[str]]:
    """The lines of ``templates/fields.tsv``."""
    lines = (TEMPLATES / "fields.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines[1:]]


def row(
    fields: Iterable[Field],
    values: Mapping[str, Any],
    block: str = "",
    ids: Mapping[str, str] | None = None,
) -> Row:
    """A line of values by column, printed as the columns' forms say; cells stand as they are."""
    return Row([_cell(values.get(entry.key), entry.form) for entry in fields], block, ids or {})


def label(text: str) -> Cell:
    """A cell of plain text."""
    return Cell(text, text)


def _cell(value: Any, form: str) -> Cell:
    if isinstance(value, Cell):
        return value
    if value is None or form == "text":
        return Cell(value, value or UNDEFINED)
    if form == "p":
        return Cell(value, p_value(value).removeprefix("p ").removeprefix("= "))
    if form == ",":
        return Cell(value, f"{value:,}")
    digits, space, unit = form.partition(" ")
    return Cell(value, f"{number(value, int(digits))}{space}{unit}")


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


def bracket(ends: Sequence[float], digits: int = 1) -> str:
    """An interval: ``[−3.2, 0.4]``."""
    return f"[{', '.join(number(end, digits) for end in ends)}]"


def p_value(value: float) -> str:
    """Such as ``p = 0.012`` or ``p < 0.001``."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def amount(value: float) -> str:
    """Hours with three digits that count, none of them pretended."""
    if 0 < value < 0.0005:
        return "< 0.001"
    return number(value, 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3)
